# SPDX-License-Identifier: GPL-2.0-or-later
"""The filter's dialog, made from the settings table and the locale, with the live status on top."""

from collections.abc import Mapping, Sequence
from ctypes import CFUNCTYPE, c_bool, c_void_p
from dataclasses import dataclass
from typing import Any

from ..locale import text
from ..presets import BUILT_IN
from .libobs import (
    OBS_COMBO_FORMAT_STRING,
    OBS_COMBO_TYPE_LIST,
    OBS_GROUP_NORMAL,
    OBS_PATH_FILE,
    OBS_TEXT_DEFAULT,
    OBS_TEXT_INFO,
    OBS_TEXT_INFO_NORMAL,
    OBS_TEXT_INFO_WARNING,
    LibObs,
    libobs,
)
from .other_source import video_sources
from .preset_rows import FILE, NAME, PRESET, PresetRows
from .settings import GROUPS, SETTINGS, Setting
from .words import StatusText

Modified = CFUNCTYPE(c_bool, c_void_p, c_void_p, c_void_p)
ModifiedOf = CFUNCTYPE(c_bool, c_void_p, c_void_p, c_void_p, c_void_p)
Clicked = CFUNCTYPE(c_bool, c_void_p, c_void_p, c_void_p)
Offered = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class PresetCallbacks:
    """What the rows of the presets call, with a filter's handle; each lives as long as the process."""

    chosen: Any
    file_chosen: Any
    save: Any
    remove: Any


@dataclass(frozen=True)
class PresetPart:
    """The presets of the filter with this handle."""

    rows: PresetRows
    callbacks: PresetCallbacks
    handle: int


def make_properties(
    obs: LibObs,
    status: StatusText | None = None,
    offered: Offered | None = None,
    presets: PresetPart | None = None,
) -> int:
    """A new ``obs_properties_t`` for the dialog; OBS frees it. ``offered`` are the choices of the settings that take
    what there is: by key, pairs of value and words."""
    properties = int(obs.obs_properties_create())
    if status:
        _add_info(obs, properties, b"status", text("status.label"), status.figures, OBS_TEXT_INFO_NORMAL)
        if status.problem:
            _add_info(obs, properties, b"problem", text("problem.label"), status.problem, OBS_TEXT_INFO_WARNING)
    if presets:
        _add_preset_list(obs, properties, presets)
    by_key = {setting.key: setting for setting in SETTINGS}
    for name, keys in GROUPS.items():
        group = int(obs.obs_properties_create())
        for key in keys:
            made = _add_setting(obs, group, by_key[key], offered or {})
            if key in _DECIDING:
                obs.obs_property_set_modified_callback(made, _SHOW_WHAT_BELONGS)
            obs.obs_property_set_long_description(made, text(f"setting.{key}.tooltip").encode())
        _add_group(obs, properties, f"group_{name}", text(f"group.{name}"), group)
    if presets:
        _add_own_presets(obs, properties, presets)
    return properties


def _add_group(obs: LibObs, properties: int, key: str, label: str, group: int) -> None:
    obs.obs_properties_add_group(properties, key.encode(), label.encode(), OBS_GROUP_NORMAL, group)


def _add_preset_list(obs: LibObs, properties: int, presets: PresetPart) -> None:
    label = text("preset.label").encode()
    made = obs.obs_properties_add_list(properties, PRESET, label, OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING)
    for choice, words in presets.rows.choices():
        obs.obs_property_list_add_string(made, words.encode(), choice.encode())
    what_for = [f"{text(f'preset.{each}')}: {text(f'preset.{each}.about')}" for each in BUILT_IN]
    obs.obs_property_set_long_description(made, "\n".join([text("preset.tooltip"), *what_for]).encode())
    obs.obs_property_set_modified_callback2(made, presets.callbacks.chosen, presets.handle)
    if presets.rows.list_note:
        obs.obs_properties_add_text(properties, b"preset_note", presets.rows.list_note.encode(), OBS_TEXT_INFO)


def _add_own_presets(obs: LibObs, properties: int, presets: PresetPart) -> None:
    """Saving, removing and loading the user's own: seldom wanted, so it stands last."""
    rows, callbacks, handle = presets.rows, presets.callbacks, presets.handle
    group = int(obs.obs_properties_create())
    name = obs.obs_properties_add_text(group, NAME, text("preset.name.label").encode(), OBS_TEXT_DEFAULT)
    save = obs.obs_properties_add_button2(group, b"preset_save", text("preset.save").encode(), callbacks.save, handle)
    for made in (name, save):
        obs.obs_property_set_long_description(made, text("preset.save.tooltip").encode())
    if rows.own_name:
        words = text("preset.really_remove" if rows.to_remove else "preset.remove", name=rows.own_name)
        obs.obs_properties_add_button2(group, b"preset_remove", words.encode(), callbacks.remove, handle)
    label = text("preset.file.label").encode()
    file = obs.obs_properties_add_path(group, FILE, label, OBS_PATH_FILE, b"JSON (*.json)", None)
    obs.obs_property_set_long_description(file, text("preset.file.tooltip").encode())
    obs.obs_property_set_modified_callback2(file, callbacks.file_chosen, handle)
    if rows.own_note:
        obs.obs_properties_add_text(group, b"own_preset_note", rows.own_note.encode(), OBS_TEXT_INFO)
    _add_group(obs, properties, "group_presets", text("group.presets"), group)


def _add_info(obs: LibObs, properties: int, key: bytes, label: str, words: str, kind: int) -> None:
    # An info text shows the setting of its key if there is one, else the description: there is none, by intent.
    line = obs.obs_properties_add_text(properties, key, f"{label}: {words}".encode(), OBS_TEXT_INFO)
    obs.obs_property_text_set_info_type(line, kind)


def offered_sources(obs: LibObs, parent: int, chosen: str) -> list[tuple[str, str]]:
    """All sources and scenes that have a picture, but for ``parent``, the filtered source itself; and ``chosen``, there
    or not: a choice that is not in its list would be lost."""
    names = {name for source, name in video_sources(obs) if source != parent}
    there = sorted(names | {chosen} - {""}, key=str.casefold)
    return [("", text("setting.background_source.none")), *((name, name) for name in there)]


def _show_what_belongs(properties: int, _: int | None, settings: int) -> bool:
    """OBS calls this when a dialog opens and when a deciding setting changes: rows that say nothing now are hidden."""
    obs = libobs()
    for setting in SETTINGS:
        row = obs.obs_properties_get(properties, setting.key.encode()) if setting.only_for else None
        if row and setting.only_for:
            key, choice = setting.only_for
            obs.obs_property_set_visible(row, obs.obs_data_get_string(settings, key.encode()) == choice.encode())
    return True


# OBS holds the pointer as long as a dialog is open, so it lives as long as the process.
_SHOW_WHAT_BELONGS = Modified(_show_what_belongs)
_DECIDING = {setting.only_for[0] for setting in SETTINGS if setting.only_for}


def _add_setting(obs: LibObs, properties: int, setting: Setting, offered: Offered) -> int:
    key, label = setting.key.encode(), text(f"setting.{setting.key}.label").encode()
    if isinstance(setting.default, bool):
        return int(obs.obs_properties_add_bool(properties, key, label))
    if isinstance(setting.default, str):
        made = obs.obs_properties_add_list(properties, key, label, OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING)
        named = [(choice, text(f"setting.{setting.key}.{choice}")) for choice in setting.choices]
        for choice, words in offered.get(setting.key, named):
            obs.obs_property_list_add_string(made, words.encode(), choice.encode())
        return int(made)
    if isinstance(setting.default, int):
        return int(obs.obs_properties_add_color(properties, key, label))
    made = obs.obs_properties_add_float_slider(properties, key, label, setting.minimum, setting.maximum, setting.step)
    if setting.unit:
        obs.obs_property_float_set_suffix(made, setting.unit.encode())
    return int(made)
