# SPDX-License-Identifier: GPL-2.0-or-later
"""``install-engine``: the engine's environment, with a progress line."""

from pathlib import Path

from ..environment.build import BuildError, build_environment, describe, engine_python
from .errors import CommandError
from .progress import Progress


def install_engine(again: bool, python: Path | None) -> int:
    """Build the environment unless it is there; ``again`` builds it anyway."""
    if again or python or engine_python() is None:
        build_with_progress(python=python)
    print(f"The engine is installed: {describe()}")
    return 0


def build_with_progress(folder: Path | None = None, python: Path | None = None) -> Path:
    """Build the environment and give its interpreter; CommandError when that fails."""
    try:
        with Progress("Installing the engine") as progress:
            return build_environment(progress, folder, python)
    except BuildError as error:
        raise CommandError(str(error)) from error


def ensure_with_progress(folder: Path | None = None) -> Path:
    """The interpreter of the engine's environment, built first where there is none."""
    return engine_python(folder) or build_with_progress(folder)
