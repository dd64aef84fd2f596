# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole video: every frame gets its own mask. Reading, finding and writing overlap; what waits between is bounded."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from ..engine.network import Network
from .compose import Alpha, Picture, over, with_alpha
from .files import MediaError, part_name
from .person import PersonFinder
from .pictures import Wanted
from .reading import Frame, Item, VideoReader
from .writing import VideoWriter

WAITING = 4  # items between two stages
LOOK_AGAIN_S = 0.2  # how often a stage that waits looks whether all is to end

Report = Callable[[int, float], None]
T = TypeVar("T")


class Outcome(NamedTuple):
    """What came of a video: where it lies, how many frames, what of the source could not be read, in words."""

    path: Path
    frames: int
    problem: str
    interrupted: bool


def convert(
    source: Path, target: Path, network: Network, wanted: Wanted, stop: threading.Event, report: Report
) -> Outcome:
    """Make ``target`` of ``source``.

    ``report`` hears the frames written and the time of the last in seconds, counted from the first. Set
    ``stop`` to end early: what is done then lies, playable, beside the target (``files.part_name``). Raises
    MediaError, InferenceError; then nothing is left.
    """
    has_alpha = not (wanted.settings.preview_mask or wanted.background)
    part = part_name(target)
    frames = 0
    cv2.setNumThreads(1)  # each stage has a thread
    try:
        with VideoReader(source) as reader:
            target.parent.mkdir(parents=True, exist_ok=True)
            with VideoWriter(part, reader, has_alpha) as writer:
                with contextlib.closing(through(segmented(reader, network, wanted, stop), stop)) as items:
                    for item in items:
                        writer.write(item)
                        if isinstance(item, Frame):
                            frames += 1
                            report(frames, float(item.pts * reader.time_base) - reader.start_s)
                writer.close()
        interrupted = stop.is_set()
        if interrupted and not frames:
            part.unlink()
        if not interrupted:
            os.replace(part, target)
        return Outcome(part if interrupted else target, frames, reader.problem, interrupted)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise MediaError(f"{target} can't be written: {error.strerror or error}.") from error
        raise


def segmented(reader: VideoReader, network: Network, wanted: Wanted, stop: threading.Event) -> Iterator[Item]:
    """The reader's items with each frame as it is to be written."""
    finder = PersonFinder(network, wanted.settings)
    with contextlib.closing(through(reader.items(), stop)) as items:
        for item in items:
            if isinstance(item, Frame):
                time_ns = int(item.pts * reader.time_base * 10**9)
                alpha = finder.alpha(item.rgb, time_ns)
                yield Frame(finish(item.rgb, alpha, wanted), item.pts)
            else:
                yield item


def finish(frame_rgb: Picture, alpha: Alpha, wanted: Wanted) -> Picture:
    """The frame to write: RGB, or RGBA if it is to stay transparent."""
    if wanted.settings.preview_mask:
        return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB))
    if wanted.background:
        return over(frame_rgb, alpha, wanted.background.behind(frame_rgb, alpha))
    return with_alpha(frame_rgb, alpha)


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
