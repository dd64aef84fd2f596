# SPDX-License-Identifier: GPL-2.0-or-later
"""``demo``: installs what the demo needs, then hands over to ``demo_show`` in the environment that has the packages."""

import os
import subprocess
from pathlib import Path

from ..environment.folders import ENGINE_OVERRIDE, engine_environment_folder
from .errors import CommandError
from .install_engine import ensure_with_progress
from .workshop import FOR_DEMO, ROOT, prepare_programs, prepare_python, prepare_venv


def has_screen(no_screen: bool) -> bool:
    """Whether OBS can open its window where a person sees it."""
    return bool(os.environ.get("DISPLAY")) and not no_screen


def demo(picture: Path, no_screen: bool) -> int:
    """Set up and show; the exit code is that of the showing."""
    if picture.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise CommandError(f"{picture} is no name for a picture: let it end in .png", 2)
    prepare_programs("obs", *([] if has_screen(no_screen) else ["Xvfb", "xdotool"]))
    prepare_python()
    ensure_with_progress()
    python = prepare_venv(FOR_DEMO)
    command = [str(python), str(ROOT / "obs_background_filter.py"), "demo", "--show-only", "--picture", str(picture)]
    if no_screen:
        command.append("--no-screen")
    # OBS gets a home of its own for the demo, but the engine that was just installed is this user's.
    environment = os.environ | {ENGINE_OVERRIDE: str(engine_environment_folder())}
    return subprocess.run(command, env=environment, check=False).returncode
