# SPDX-License-Identifier: GPL-2.0-or-later
"""``bench``: installs what measuring needs, then hands over to ``bench_measure`` in the environment that has it."""

import os
import subprocess
from collections.abc import Sequence

from ..environment.folders import ENGINE_OVERRIDE, engine_environment_folder
from .errors import CommandError
from .install_engine import ensure_with_progress
from .workshop import FOR_DEMO, ROOT, prepare_programs, prepare_python, prepare_venv

PARTS = ("engine", "obs")


def bench(parts: Sequence[str], write: bool) -> int:
    """Set up and measure; the exit code is that of the measuring."""
    if write and parts:
        raise CommandError("--write needs all figures: leave the part away", 2)
    if "obs" in (parts or PARTS):
        prepare_programs("obs", "Xvfb", "xdotool")
    prepare_python()
    ensure_with_progress()
    python = prepare_venv(FOR_DEMO)
    command = [str(python), str(ROOT / "obs_background_filter.py"), "bench", "--measure-only", *parts]
    if write:
        command.append("--write")
    environment = os.environ | {ENGINE_OVERRIDE: str(engine_environment_folder())}
    return subprocess.run(command, env=environment, check=False).returncode
