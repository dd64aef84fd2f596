# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a user's own choices about models are kept."""

import os
import sys
from pathlib import Path

_NAME = "obs-background-filter"


def config_folder() -> Path:
    """The user's configuration folder for this product (it may not exist yet); OBS_BACKGROUND_FILTER_CONFIG overrides."""
    override = os.environ.get("OBS_BACKGROUND_FILTER_CONFIG")
    if override:
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / _NAME
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / _NAME
    chosen = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (chosen if chosen.is_absolute() else Path.home() / ".config") / _NAME
