# SPDX-License-Identifier: GPL-2.0-or-later
"""The folders in which files of models are looked for; pure functions, so that every system can be tested on one."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..filters.environment.folders import NAME, config_folder
from .catalog import ModelEntry

ROOT = Path(__file__).resolve().parents[1]


class Place(NamedTuple):
    """A folder, and what it is for. Files are put only into the user's own."""

    what: str
    path: Path


def shipped_models_folder(root: Path = ROOT) -> Path:
    """Where the networks that ship lie."""
    return root / "models" / "weights"


def user_models_folder() -> Path:
    """Where a user keeps the files of models that do not ship."""
    return config_folder() / "models"


def originals_folder() -> Path:
    """Where fetched files lie that must be converted before they can run."""
    return user_models_folder() / "originals"


def places(
    root: Path = ROOT,
    platform: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> tuple[Place, ...]:
    """All folders in the order in which they are looked through (they may not exist)."""
    return (
        Place("shipped with the filter", shipped_models_folder(root)),
        Place("yours", config_folder(platform, environ, home) / "models"),
        Place("yours, beside OBS's plugins", _obs_folder(platform, environ, home or Path.home())),
        Place("for all users", _system_folder(platform, environ)),
    )


def find_file(entry: ModelEntry, root: Path = ROOT) -> Path | None:
    """The file of a catalogue model, from the first folder that has one; None if no folder has."""
    for place in places(root):
        path = place.path / entry.file
        if os.path.lexists(path):
            return path
    return None


def _obs_folder(platform: str, environ: Mapping[str, str], home: Path) -> Path:
    """Where OBS keeps what belongs to a user's plugins."""
    if platform == "win32":
        base = Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "obs-studio"
    elif platform == "darwin":
        base = home / "Library" / "Application Support" / "obs-studio"
    else:
        base = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "obs-studio"
    return base / "plugins" / NAME / "data" / "models"


def _system_folder(platform: str, environ: Mapping[str, str]) -> Path:
    """For an administrator. On macOS not inside OBS.app: a change there breaks the application's signature."""
    if platform == "win32":
        programs = Path(environ.get("ProgramFiles") or "C:/Program Files")
        return programs / "obs-studio" / "data" / "obs-plugins" / NAME / "models"
    if platform == "darwin":
        return Path("/Library/Application Support") / NAME / "models"
    return Path("/usr/share/obs/obs-plugins") / NAME / "models"
