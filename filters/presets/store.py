# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's own presets: one readable JSON file each in their configuration folder, named like the preset.

Whoever shares a preset gives that file away; what is read here is as untrusted as one that came from elsewhere.
"""

import os
import stat
import unicodedata
from pathlib import Path

from ...models.atomic import replace_file
from ..environment.folders import config_folder
from .built_in import BUILT_IN
from .preset import MAX_BYTES, Preset, PresetError, from_json, legal_name, legal_preset

ENDING = ".json"
MAX_LISTED = 200


def presets_folder() -> Path:
    """Where the user's own presets lie (it may not exist)."""
    return config_folder() / "presets"


def names_of_own() -> list[str]:
    """The names of the user's own presets, whatever is in their files."""
    try:
        files = sorted(os.listdir(presets_folder()), key=str.casefold)
    except OSError:
        return []
    # macOS may give names back with their accents apart.
    stems = [unicodedata.normalize("NFC", file.removesuffix(ENDING)) for file in files if file.endswith(ENDING)]
    return [stem for stem in stems if _is_name(stem)][:MAX_LISTED]


def find_preset(name: str) -> tuple[Preset, list[str]]:
    """What a person calls a preset, one that comes with the filter or their own, in capitals or not; with words on
    what in its file could not be used. PresetError."""
    built_in = built_in_id(name)
    return (BUILT_IN[built_in], []) if built_in else load_own(name)


def load_own(name: str) -> tuple[Preset, list[str]]:
    """One of the user's own presets, as ``find_preset``."""
    kept = _present(name)
    if kept is None:
        raise PresetError("preset.missing", name=name[:100])
    file = presets_folder() / f"{kept}{ENDING}"
    _, values = from_json(_read(file), file.name)
    return legal_preset(kept, values)


def read_preset_file(path: Path, name: str | None = None) -> tuple[Preset, list[str]]:
    """A preset from any file, called ``name``, else as it says itself, else as the file is; PresetError."""
    name_inside, values = from_json(_read(path), path.name)
    return legal_preset(name or name_inside or path.stem, values)


def save_own(preset: Preset, may_replace: bool = False) -> Path:
    """Keep a preset; gives its file. PresetError if the name is taken (unless it may be replaced; never that of one
    that comes with the filter), or if nothing can be written."""
    name = legal_name(preset.name)
    present = _present(name)
    if built_in_id(name) or (present is not None and not may_replace):
        raise PresetError("preset.taken", name=name)
    file = presets_folder() / f"{present or name}{ENDING}"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, preset.to_json())
    except OSError as error:
        raise PresetError("preset.not_saved", file=file.name, detail=_reason(error)) from None
    return file


def free_name(name: str) -> str:
    """``name``, or with a number behind it if a preset is called so already."""
    number, free = 1, legal_name(name)
    while built_in_id(free) or _present(free) is not None:
        number += 1
        free = legal_name(f"{name[:32]} {number}")
    return free


def remove_own(name: str) -> str:
    """Delete one of the user's own presets; gives its name as it was. PresetError."""
    kept = _present(name)
    if kept is None:
        raise PresetError("preset.missing", name=name[:100])
    file = presets_folder() / f"{kept}{ENDING}"
    try:
        file.unlink()
    except OSError as error:
        raise PresetError("preset.unreadable", file=file.name, detail=_reason(error)) from None
    return kept


def built_in_id(name: str) -> str | None:
    """The id of the preset that comes with the filter and is called so."""
    wanted = "_".join(name.casefold().replace("-", " ").replace("_", " ").split())
    return wanted if wanted in BUILT_IN else None


def _present(name: str) -> str | None:
    """The name of the own preset that is called so, in capitals or not: some file systems know no difference."""
    wanted = legal_name(name).casefold()
    return next((each for each in names_of_own() if each.casefold() == wanted), None)


def _is_name(stem: str) -> bool:
    try:
        return legal_name(stem) == stem
    except PresetError:
        return False


def _read(path: Path) -> bytes:
    """A regular file's bytes, one more than a preset may have at most."""
    try:
        # A FIFO must not hold OBS.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PresetError("preset.unreadable", file=path.name, detail="not a regular file")
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise PresetError("preset.unreadable", file=path.name, detail=_reason(error)) from None


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or type(error).__name__)
