# SPDX-License-Identifier: GPL-2.0-or-later
"""Presets: several settings of the filter under one name. Some come with the filter, others are the user's own.

Used inside OBS and on the command line: the standard library only.
"""

from .built_in import BUILT_IN, DEFAULT_PRESET
from .preset import Preset, PresetError, as_preset, from_json, legal_name
from .store import find_preset, load_own, names_of_own, presets_folder, read_preset_file, remove_own, save_own

__all__ = [
    "BUILT_IN",
    "DEFAULT_PRESET",
    "Preset",
    "PresetError",
    "as_preset",
    "find_preset",
    "from_json",
    "legal_name",
    "load_own",
    "names_of_own",
    "presets_folder",
    "read_preset_file",
    "remove_own",
    "save_own",
]
