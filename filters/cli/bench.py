# SPDX-License-Identifier: GPL-2.0-or-later
"""``bench``: installs what measuring needs, then hands over to ``bench_measure`` in the environment that has it."""

import os
import subprocess
from collections.abc import Sequence

from ..environment.folders import ENGINE_OVERRIDE, engine_environment_folder
from . import media
from .bench_options import ATTENTION, OFFLINE, PARTS, PICTURE, PictureOptions
from .bench_report import ATTENTION_MARKERS, tell
from .errors import CommandError
from .install_engine import ensure_with_progress
from .workshop import (
    FOR_DEMO,
    LIBRARIES_OF_ENGINE,
    ROOT,
    has_libraries,
    prepare_programs,
    prepare_python,
    prepare_venv,
)


def bench(parts: Sequence[str], write: bool, picture: PictureOptions) -> int:
    """Set up and measure; the exit code is that of the measuring."""
    for alone in (OFFLINE, ATTENTION):
        if alone in parts and list(parts) != [alone]:
            raise CommandError(f"bench {alone} stands alone, without other parts", 2)
    if write and parts and list(parts) != [PICTURE]:
        raise CommandError("--write needs all figures: leave the part away", 2)
    if write and picture.quick:
        raise CommandError("--write needs all figures: leave --quick away", 2)
    if picture.words() and PICTURE not in parts:
        raise CommandError(f"{picture.words()[0]} belongs to: bench picture, bench attention", 2)
    if {"obs", PICTURE} & set(parts or PARTS):
        prepare_programs("obs", "Xvfb", "xdotool")
    prepare_python()
    ensure_with_progress()
    python = prepare_venv(FOR_DEMO)
    command = [str(python), str(ROOT / "obs_background_filter.py"), "bench", "--measure-only", *parts]
    command += picture.words()
    if write:
        command.append("--write")
    environment = os.environ | {ENGINE_OVERRIDE: str(engine_environment_folder())}
    return subprocess.run(command, env=environment, check=False).returncode


def bench_small_people(write: bool, picture: PictureOptions, arguments: list[str]) -> int:
    """``bench attention``, here or in the engine's environment; 1 when a figure misses what it should be."""
    if not has_libraries(LIBRARIES_OF_ENGINE):
        prepare_python()
        return media.go_on_in(ensure_with_progress(), arguments)
    media.prepare_process()
    from .bench_attention import measure_attention

    return tell(measure_attention(picture), ATTENTION_MARKERS if write else None)
