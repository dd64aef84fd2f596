# SPDX-License-Identifier: GPL-2.0-or-later
"""Presets: several settings of the filter under one name. Some come with the filter, others are the user's own.

Used inside OBS and on the command line: the standard library only.
"""

from .built_in import BUILT_IN, DEFAULT_PRESET
from .preset import LEAST, MOST, NEVER, ONLY, Preset, PresetError, as_preset, legal_name, legal_preset
from .store import (
    built_in_id,
    find_preset,
    free_name,
    load_own,
    names_of_own,
    presets_folder,
    read_preset_file,
    remove_own,
    save_own,
)

__all__ = [
    "BUILT_IN",
    "DEFAULT_PRESET",
    "LEAST",
    "MOST",
    "NEVER",
    "ONLY",
    "Preset",
    "PresetError",
    "as_preset",
    "built_in_id",
    "find_preset",
    "free_name",
    "legal_name",
    "legal_preset",
    "load_own",
    "names_of_own",
    "presets_folder",
    "read_preset_file",
    "remove_own",
    "save_own",
]
