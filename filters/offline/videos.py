# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole video: every frame gets its own mask. Reading, finding, composing and writing overlap; little waits between.

It is made in stretches, each whole or not there, which are joined at the end: so it goes on where it was broken off.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2

from ..engine.network import Network
from ..obs.compose import wants_despill
from .compose import Alpha
from .despill import despill_planes
from .files import MediaError
from .person import STRETCH, WARM_UP, ClipPersonFinder, Found
from .pictures import Wanted
from .planes import alpha_of_planes, blacked_out, grey, over_planes
from .reading import Frame, Mark, VideoReader, said
from .stretches import Stretches, fingerprint_of, lead_number, open_stretches
from .writing import OPAQUE, WITH_ALPHA, Made, StretchWriter, join

WAITING = 3  # items between two stages
LOOK_AGAIN_S = 0.2  # how often a stage that waits looks whether all is to end

Report = Callable[[int, int, float], None]
T = TypeVar("T")


class Outcome(NamedTuple):
    """What came of a video: where it lies, how many frames, what of the source could not be read, in words. If it was
    interrupted: the folder of what is kept, and how many frames those are."""

    path: Path
    frames: int
    problem: str
    interrupted: bool


def convert(
    source: Path,
    target: Path,
    network: Network,
    wanted: Wanted,
    stop: threading.Event,
    report: Report,
    go_on: bool = True,
) -> Outcome:
    """Make ``target`` of ``source``; with ``go_on`` from where an earlier run with the same wishes was broken off.

    ``report`` hears of each frame: how many are there, how many of them an earlier run had made, and the frame's time
    in seconds, counted from the first. Set ``stop`` to end early. Raises MediaError, InferenceError. In both cases the
    stretches that are finished stay, in ``stretches.folder_of(target)``.
    """
    has_alpha = not (wanted.settings.preview_mask or wanted.background)
    encoding = (WITH_ALPHA if has_alpha else OPAQUE)[target.suffix.lower()]
    cv2.setNumThreads(1)  # each stage has a thread
    with VideoReader(source) as reader:
        stretches = open_stretches(target, encoding, fingerprint_of(source, wanted, network, encoding), go_on)
        unfinished = stretches.folder / f"unfinished{encoding.stretch}"
        whole = stretches.folder / target.name
        try:
            frames = write_stretches(stretches, unfinished, reader, network, wanted, stop, report)
            interrupted = stop.is_set()
            if not interrupted:
                with VideoReader(source) as again:
                    join(whole, stretches.files(), encoding, again)
                os.replace(whole, target)
                stretches.remove()
            return Outcome(stretches.folder if interrupted else target, frames, reader.problem, interrupted)
        except (MediaError, OSError) as error:
            why = str(error) if isinstance(error, MediaError) else f"{target} can't be written: {said(error)}."
            kept = f" {stretches.frames} frames are kept in {stretches.folder}; the same command goes on from there."
            raise MediaError(f"{why}{kept if stretches.done else ''}") from error
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
                whole.unlink(missing_ok=True)
            if not stretches.done:
                stretches.remove()


def write_stretches(
    stretches: Stretches,
    unfinished: Path,
    reader: VideoReader,
    network: Network,
    wanted: Wanted,
    stop: threading.Event,
    report: Report,
) -> int:
    """Write what is not there yet; gives the number of frames that are, then. Raises MediaError, InferenceError."""
    marks: dict[int, Mark] = {}
    before, frames = stretches.frames, 0
    with contextlib.closing(through(composed(reader, network, wanted, stretches, marks, stop), stop)) as items:
        for stretch in by_stretch(items):
            first = next(stretch)
            number = stretches.done
            with StretchWriter(unfinished, stretches.encoding, reader) as writer:
                for frames, made in enumerate(itertools.chain([first], stretch), 1):
                    writer.write(made)
                    position_s = float(made.source.pts * reader.time_base) - reader.start_s
                    report(stretches.frames + frames, before, position_s)
                writer.close()
            if not stop.is_set():
                stretches.add(unfinished, frames, first.source.pts, marks.pop(number))
    return stretches.frames


def by_stretch(items: Iterable[Made]) -> Iterator[Iterator[Made]]:
    """The frames of each stretch."""
    return (frames for _, frames in itertools.groupby(items, lambda made: made.source.number // STRETCH))


def composed(
    reader: VideoReader,
    network: Network,
    wanted: Wanted,
    stretches: Stretches,
    marks: dict[int, Mark],
    stop: threading.Event,
) -> Iterator[Made]:
    """The frames as they are to be written, from the first that is missing on. Fills ``marks`` for each stretch."""
    with contextlib.closing(through(masked(reader, network, wanted, stretches, marks, stop), stop)) as items:
        for frame, mask, region in items:
            alpha = alpha_of_planes(mask, frame.planes, reader.colours, wanted.settings, region)
            yield finish(frame, alpha, wanted, reader)


def masked(
    reader: VideoReader,
    network: Network,
    wanted: Wanted,
    stretches: Stretches,
    marks: dict[int, Mark],
    stop: threading.Event,
) -> Iterator[Found]:
    """The frames with their masks, small still. Looking closer at small people begins with the first always."""
    attend = wanted.settings.attention
    start, needed = (None, 0) if attend else (stretches.start(), stretches.first_needed())
    finder = ClipPersonFinder(network, wanted.settings, reader.colours, needed, stretches.done * STRETCH)
    with contextlib.closing(through(marked(reader, start, marks), stop)) as frames:
        for frame in frames:
            yield from finder.push(frame, int(frame.pts * reader.time_base * 10**9))
        yield from finder.flush()


def marked(reader: VideoReader, start: Mark | None, marks: dict[int, Mark]) -> Iterator[Frame]:
    """The frames from a mark on (None: all)."""
    for frame in reader.frames(start):
        stretch = (frame.number + WARM_UP) // STRETCH
        if frame.number == lead_number(stretch):
            marks[stretch] = reader.mark(frame)
        yield frame


def finish(frame: Frame, alpha: Alpha, wanted: Wanted, reader: VideoReader) -> Made:
    """The frame to write: the mask, the person before a background, or the person on nothing."""
    colours = reader.colours
    if wanted.settings.preview_mask:
        return Made(grey(alpha, colours), None, frame)
    own = frame.planes.copy()
    if wants_despill(wanted.settings):
        despill_planes(own, alpha)
    if wanted.background:
        time_s = float(frame.pts * reader.time_base) - reader.start_s
        behind = wanted.background.behind_planes(frame.planes, alpha, colours, time_s)
        return Made(over_planes(own, alpha, behind, colours), None, frame)
    return Made(blacked_out(own, alpha, colours), alpha, frame)


class _End(NamedTuple):
    """The last thing in a queue: all is said, or what went wrong."""

    error: BaseException | None


def through(items: Iterable[T], stop: threading.Event) -> Generator[T, None, None]:
    """The same items, made by a thread of its own that is at most `WAITING` ahead; raises what it raises.

    Ends early when ``stop`` is set, or when the caller stops iterating.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(WAITING)
    ended = threading.Event()

    def put(item: T | _End) -> bool:
        while not (ended.is_set() or stop.is_set()):
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=LOOK_AGAIN_S)
                return True
        return False

    def work() -> None:
        error = None
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as raised:  # it is raised again where somebody hears it
            error = raised
        finally:
            if isinstance(items, Iterator) and hasattr(items, "close"):
                items.close()
        put(_End(error))

    thread = threading.Thread(target=work, name="video", daemon=True)
    thread.start()
    try:
        while not stop.is_set():
            try:
                item = waiting.get(timeout=LOOK_AGAIN_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        ended.set()
        thread.join()
