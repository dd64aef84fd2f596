# SPDX-License-Identifier: GPL-2.0-or-later
"""``video``: people cut out of a video."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from . import media
from .errors import CommandError
from .progress import Progress
from .workshop import LIBRARIES_OFFLINE, has_libraries

INTERRUPTED = 130


def run(options: argparse.Namespace) -> int:
    """Cut out, here or in the environment for it; 1 if the source was damaged, 130 if interrupted."""
    if has_libraries(LIBRARIES_OFFLINE):
        return run_here(options)
    return media.go_on_offline(options.arguments)


def run_here(options: argparse.Namespace) -> int:
    """As ``run``, in a Python that has the libraries."""
    media.prepare_process()
    from ..engine.network import InferenceError
    from ..offline.files import MediaError
    from ..offline.pictures import Wanted
    from ..offline.reading import VideoReader
    from ..offline.videos import convert

    settings = media.settings_of(options)
    source: Path = options.source
    if not source.is_file():
        raise CommandError(f"{source} is not there.", 2)
    is_opaque = settings.preview_mask or settings.background != "transparent"
    target = checked_target(source, options.target, is_opaque)
    behind = [Path(settings.background_source)] if settings.background == "source" else []
    media.refuse_to_overwrite([target], [source, *behind], options.overwrite)
    wanted = Wanted(settings, media.background_of(settings, may_move=True))
    try:
        with VideoReader(source) as reader:
            duration_s = reader.duration_s
        network = media.load(media.verified_model(settings.model), options.device)
        with stopped_by(signal.SIGINT) as stop, Progress("Video") as progress:
            outcome = convert(source, target, network, wanted, stop, Teller(progress, duration_s), options.resume)
    except MediaError as error:
        raise CommandError(str(error)) from error
    except InferenceError as error:
        raise CommandError(f"The model failed: {error}") from error
    if outcome.interrupted:
        kept = f"{outcome.frames} frames are kept in {outcome.path}; the same command goes on from there"
        print(f"interrupted: {kept if outcome.frames else 'nothing was kept'}", file=sys.stderr)
        return INTERRUPTED
    print(f"Written: {outcome.path}, {outcome.frames} frames")
    if outcome.problem:
        print(f"error: {source}: {outcome.problem}. What could be read is in {outcome.path}.", file=sys.stderr)
    return 1 if outcome.problem else 0


def checked_target(source: Path, target: Path | None, is_opaque: bool) -> Path:
    """Where the video goes; CommandError for an ending that can't be, or can't be transparent."""
    from ..offline.writing import OPAQUE, WITH_ALPHA

    if target is None:
        return source.with_name(f"{source.stem}_filtered.mp4" if is_opaque else f"{source.stem}_person.webm")
    suffix = target.suffix.lower()
    if suffix in (OPAQUE if is_opaque else WITH_ALPHA):
        return target
    if suffix in OPAQUE:
        raise CommandError(f"{suffix} can't be transparent: give a --background, or let OUT end in .webm or .mov.", 2)
    raise CommandError(f"The name of OUT must end in one of {' '.join(sorted(OPAQUE))}, not “{target.suffix}”.", 2)


@contextlib.contextmanager
def stopped_by(*numbers: int) -> Iterator[threading.Event]:
    """An event that the first of these signals sets; a second Ctrl-C interrupts at once."""
    stop = threading.Event()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Teller:
    """Tells how far a video is, how fast it goes, and how long it will take."""

    def __init__(self, progress: Progress, duration_s: float | None) -> None:
        self._progress, self._duration_s = progress, duration_s
        self._begin_s: float | None = None
        self._begin_at_s: float | None = None

    def __call__(self, frames: int, before: int, position_s: float) -> None:
        """``frames`` are there, ``before`` of them from an earlier run; the last of them is shown at ``position_s``."""
        from ..offline.reading import clock

        self._begin_s = self._begin_s or time.monotonic()
        self._begin_at_s = position_s if self._begin_at_s is None else self._begin_at_s
        taken_s = max(time.monotonic() - self._begin_s, 1e-3)
        speed = f"{frames} frames" + (f", {(frames - before) / taken_s:.0f} per second" if taken_s > 1 else "")
        speed += f", going on after {before}" if before else ""
        if not self._duration_s:
            self._progress(0.0, "", f"{speed}, at {clock(position_s)}")
            return
        done_s, rest_s = position_s - self._begin_at_s, max(self._duration_s - position_s, 0.0)
        left = f", {clock(taken_s * rest_s / done_s)} left" if done_s > 0 else ""
        self._progress(min(position_s / self._duration_s, 1.0), "", f"{speed}{left}")
