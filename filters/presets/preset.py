# SPDX-License-Identifier: GPL-2.0-or-later
"""What a preset is, and what may stand in one.

A preset never shows the room by surprise. So it says nothing of *Without a mask: show the source*, of *Invert* and of
*Show the mask* (but that they are off), keeps the blur strong enough that a room can't be read, at the lower edge as
well, and does not let a room through that the network is sure of. It names no source: names belong to a scene
collection, and the one that another person's file names may be the bare camera here. And it names only models of the
catalogue that are there: files of one's own lie elsewhere on another computer.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...models.catalog import CatalogError, find_model
from ...models.places import find_file
from ..bridge.messages import AUTOMATIC
from ..bridge.problems import Param, Problem, load_json
from ..locale import text
from ..obs.model_list import AS_IN_SCRIPT
from ..obs.settings import DEFAULTS, SETTINGS, FilterSettings, Setting, legal

FORMAT = 1
MAX_BYTES = 64 * 1024
MAX_NAME = 40

NEVER = frozenset(("background_source",))
# The values that a preset may hold where it may not hold all legal ones.
ONLY: dict[str, tuple[Any, ...]] = {"without_mask": ("hide", "blur"), "invert": (False,), "preview_mask": (False,)}
LEAST: dict[str, float] = {"blur_strength": 0.3, "threshold": 0.2}
MOST: dict[str, float] = {"blur_falloff": 0.0}

# No control characters, no separators of paths, nothing that means more than itself in a file's name.
_NAME = re.compile(r"[\w][\w .,()+&'!-]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # no files on Windows


class PresetError(Exception):
    """A preset can't be used, kept or found. ``problem`` has the words: ``preset.missing`` (name), ``preset.name``
    (name), ``preset.taken`` (name), ``preset.unreadable`` and ``preset.not_saved`` (file, detail),
    ``preset.too_large`` (file, limit_kb), ``preset.not_a_preset`` (file, detail), ``preset.newer`` (file, found)."""

    def __init__(self, code: str, **params: Param) -> None:
        self.problem = Problem(code, params)
        super().__init__(text(f"problem.{code}", **params))


@dataclass(frozen=True)
class Preset:
    """``values`` by a setting's key, each legal in a preset; settings that it does not name stay as they are."""

    name: str
    values: Mapping[str, Any]

    def is_in(self, settings: FilterSettings) -> bool:
        """Whether a filter has all of its values."""
        return all(getattr(settings, key) == value for key, value in self.values.items())

    def to_json(self) -> bytes:
        """The file: UTF-8, to be read by people as well."""
        content = {"format": FORMAT, "name": self.name, "settings": dict(self.values)}
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def legal_name(name: str) -> str:
    """A name as it is kept, which is also that of its file; PresetError (preset.name) if it can't be one."""
    kept = " ".join(unicodedata.normalize("NFC", name).split())
    if not _NAME.fullmatch(kept) or len(kept) > MAX_NAME or kept.endswith(".") or _DEVICES.fullmatch(kept):
        raise PresetError("preset.name", name=name[:MAX_NAME])
    return kept


def as_preset(name: str, settings: FilterSettings) -> tuple[Preset, list[str]]:
    """A filter's settings as a preset, and in words what could not be kept."""
    values = {setting.key: getattr(settings, setting.key) for setting in SETTINGS if setting.key not in NEVER}
    return legal_preset(name, values)


def legal_preset(name: str, values: Mapping[str, Any]) -> tuple[Preset, list[str]]:
    """A preset of what is legal in ``values`` (anything by key), and in words what was left out or changed."""
    known = {setting.key: setting for setting in SETTINGS if setting.key not in NEVER}
    kept: dict[str, Any] = {}
    left_out, changed, unknown = [], [], []
    for key, value in values.items():
        setting = known.get(key)
        if setting is None:
            unknown.append(str(key)[:MAX_NAME])
            continue
        legal_value = _legal_in_preset(setting, value)
        if legal_value is None:
            left_out.append(key)
            continue
        kept[key] = legal_value
        if legal_value != value:
            changed.append(key)
    notes = [
        text(f"preset.note.{what}", keys=_listed(keys, named))
        for what, keys, named in (("unknown", unknown, False), ("left_out", left_out, True), ("changed", changed, True))
        if keys
    ]
    in_order = {key: kept[key] for key in known if key in kept}
    return Preset(legal_name(name), in_order), notes


def from_json(raw: bytes, file: str) -> tuple[str | None, Mapping[str, Any]]:
    """The name in a preset's file, if there is one, and what stands under its settings; PresetError for anything that
    is no preset."""
    if len(raw) > MAX_BYTES:
        raise PresetError("preset.too_large", file=file, limit_kb=MAX_BYTES // 1024)
    try:
        content = load_json(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise PresetError("preset.not_a_preset", file=file, detail=str(error)[:100]) from None
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise PresetError("preset.not_a_preset", file=file, detail=text("preset.no_settings"))
    if content.get("format") != FORMAT:
        raise PresetError("preset.newer", file=file, found=f"{content.get('format')!r:.20}")
    name = content.get("name")
    return (name if isinstance(name, str) else None), content["settings"]


def _legal_in_preset(setting: Setting, value: Any) -> Any:
    """``value`` made legal; None if nothing like it may stand in a preset."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(setting.default, float) and is_number:
        least, most = LEAST.get(setting.key, setting.minimum), MOST.get(setting.key, setting.maximum)
        return min(max(float(legal(setting, value)), least), most)
    if type(value) is not type(setting.default):
        return None
    if setting.offers == "models":
        return value if _is_shared_model(str(value)) else None
    if setting.choices and value not in setting.choices:
        return None
    return legal(setting, value) if value in ONLY.get(setting.key, (value,)) else None


def _is_shared_model(model: str) -> bool:
    """Whether a preset may name it: no file, and there."""
    try:
        entry = find_model(model)
    except CatalogError:
        entry = None
    return model in (AS_IN_SCRIPT, AUTOMATIC) or bool(entry and entry.id == model and find_file(entry))


def _listed(keys: list[str], are_settings: bool) -> str:
    return ", ".join([text(f"setting.{key}.label") if are_settings else key for key in keys][:8])


def defaults_of(keys: tuple[str, ...]) -> dict[str, Any]:
    """The defaults of some settings."""
    return {key: getattr(DEFAULTS, key) for key in keys}
