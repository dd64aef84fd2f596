# SPDX-License-Identifier: GPL-2.0-or-later
"""The filter's dialog, made from the settings table and the locale, with the live status on top."""

from ..locale import text
from .libobs import (
    OBS_COMBO_FORMAT_STRING,
    OBS_COMBO_TYPE_LIST,
    OBS_TEXT_INFO,
    OBS_TEXT_INFO_NORMAL,
    OBS_TEXT_INFO_WARNING,
    LibObs,
)
from .model_list import AS_IN_SCRIPT, filter_choices
from .settings import SETTINGS, Setting
from .words import StatusText


def make_properties(obs: LibObs, status: StatusText | None, chosen_model: str = AS_IN_SCRIPT) -> int:
    """A new ``obs_properties_t`` for the dialog; OBS frees it. ``chosen_model`` is the filter's setting ``model``."""
    properties = int(obs.obs_properties_create())
    if status:
        _add_info(obs, properties, b"status", text("status.label"), status.figures, OBS_TEXT_INFO_NORMAL)
        if status.problem:
            _add_info(obs, properties, b"problem", text("problem.label"), status.problem, OBS_TEXT_INFO_WARNING)
    for setting in SETTINGS:
        made = _add_setting(obs, properties, setting, chosen_model)
        obs.obs_property_set_long_description(made, text(f"setting.{setting.key}.tooltip").encode())
    return properties


def _add_info(obs: LibObs, properties: int, key: bytes, label: str, words: str, kind: int) -> None:
    # An info text shows the setting of its key if there is one, else the description: there is none, by intent.
    line = obs.obs_properties_add_text(properties, key, f"{label}: {words}".encode(), OBS_TEXT_INFO)
    obs.obs_property_text_set_info_type(line, kind)


def _add_setting(obs: LibObs, properties: int, setting: Setting, chosen_model: str) -> int:
    key, label = setting.key.encode(), text(f"setting.{setting.key}.label").encode()
    if isinstance(setting.default, bool):
        return int(obs.obs_properties_add_bool(properties, key, label))
    if isinstance(setting.default, str):
        made = obs.obs_properties_add_list(properties, key, label, OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING)
        named = [(choice, text(f"setting.{setting.key}.{choice}")) for choice in setting.choices]
        for choice, words in filter_choices(chosen_model) if setting.is_model else named:
            obs.obs_property_list_add_string(made, words.encode(), choice.encode())
        return int(made)
    made = obs.obs_properties_add_float_slider(properties, key, label, setting.minimum, setting.maximum, setting.step)
    if setting.unit:
        obs.obs_property_float_set_suffix(made, setting.unit.encode())
    return int(made)
