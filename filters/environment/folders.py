# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's folders on each operating system; pure functions, so that all three can be tested on one."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

NAME = "obs-background-filter"
ENGINE_OVERRIDE = "OBS_BACKGROUND_FILTER_ENGINE_ENV"
CONFIG_OVERRIDE = "OBS_BACKGROUND_FILTER_CONFIG"


def data_folder(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> Path:
    """The folder for large files that can be made again (it may not exist yet)."""
    home = home or Path.home()
    if platform == "win32":
        return _absolute(environ.get("LOCALAPPDATA"), home / "AppData" / "Local") / NAME
    if platform == "darwin":
        return home / "Library" / "Application Support" / NAME
    return _absolute(environ.get("XDG_DATA_HOME"), home / ".local" / "share") / NAME


def config_folder(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> Path:
    """The folder for what the user decided (it may not exist yet); OBS_BACKGROUND_FILTER_CONFIG overrides it."""
    home = home or Path.home()
    if environ.get(CONFIG_OVERRIDE):
        return Path(environ[CONFIG_OVERRIDE])
    if platform == "win32":
        return _absolute(environ.get("APPDATA"), home / "AppData" / "Roaming") / NAME
    if platform == "darwin":
        return home / "Library" / "Application Support" / NAME
    return _absolute(environ.get("XDG_CONFIG_HOME"), home / ".config") / NAME


def engine_environment_folder(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> Path:
    """The folder of the engine's environment (it may not exist yet); OBS_BACKGROUND_FILTER_ENGINE_ENV overrides it."""
    if environ.get(ENGINE_OVERRIDE):
        return Path(environ[ENGINE_OVERRIDE])
    return data_folder(platform, environ, home) / "engine"


def _absolute(chosen: str | None, otherwise: Path) -> Path:
    # The XDG specification: a relative path in these variables is to be ignored.
    is_absolute = bool(chosen) and (chosen.startswith("/") or chosen[1:3] in (":\\", ":/"))  # type: ignore[union-attr, index]
    return Path(str(chosen)) if is_absolute else otherwise
