# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures, cut out: many at a time, one thread and one copy of the network for each core."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..engine.network import InferenceError, Network
from ..obs.compose import wants_despill
from ..obs.settings import FilterSettings
from .backgrounds import Background
from .compose import Alpha, Picture, in_depth, over, widened, with_alpha
from .despill import despill
from .files import MediaError
from .person import PersonFinder
from .picture_files import Read, read_picture, write_picture

THUMBNAIL_PX = 320  # the longer side


class Job(NamedTuple):
    """A picture to read and where its result goes."""

    source: Path
    target: Path


class Done(NamedTuple):
    """A job that is finished: a small picture of the result (uint8 RGB), or why there is none."""

    job: Job
    thumbnail: Picture | None
    problem: str = ""


@dataclass(frozen=True)
class Wanted:
    """What is made of a picture: its mask, the person before a background, or (None) the person with alpha."""

    settings: FilterSettings
    background: Background | None


def finish(picture: Read, alpha: Alpha, wanted: Wanted) -> Picture:
    """What is written: grey HxW, RGB HxWx3 or RGBA HxWx4, in the depth of the picture, which is spoilt."""
    shown = alpha
    if picture.alpha is not None:
        shown = np.asarray(cv2.multiply(alpha, picture.alpha, scale=1 / 255), np.uint8)
    if wanted.settings.preview_mask:
        return widened(shown, picture.rgb.dtype)
    behind = wanted.background.behind(picture.rgb, shown) if wanted.background else None
    if wants_despill(wanted.settings):
        despill(picture.rgb, alpha, picture.alpha)
    return with_alpha(picture.rgb, shown) if behind is None else over(picture.rgb, shown, behind)


def thumbnail(picture: Picture) -> Picture:
    """A small uint8 RGB of what was written; a transparent one over grey squares."""
    scale = min(1.0, THUMBNAIL_PX / max(picture.shape[:2]))
    size = tuple(max(round(side * scale), 1) for side in picture.shape[1::-1])
    small = in_depth(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)), np.dtype(np.uint8))
    if small.ndim == 2:
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2RGB))
    if small.shape[2] == 3:
        return small
    down, across = np.indices(small.shape[:2]) // 12
    squares = np.where((down + across) % 2, 190, 230).astype(np.uint8)
    return over(small[:, :, :3].copy(), small[:, :, 3].copy(), np.dstack([squares] * 3))


class Pool:
    """Works on pictures in as many threads as there are cores; each has a network of its own, with one thread."""

    def __init__(self, new_network: Callable[[], Network], wanted: Wanted, threads: int | None = None) -> None:
        self._new_network, self._wanted = new_network, wanted
        self._threads = threads or os.cpu_count() or 1
        self._of_thread = threading.local()

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Each job as it is finished, in any order. An interruption drops those that have not begun."""
        cv2.setNumThreads(1)  # each picture has a thread
        pool = concurrent.futures.ThreadPoolExecutor(min(self._threads, len(jobs)), "pictures")
        try:
            futures = [pool.submit(self._do, job) for job in jobs]
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _do(self, job: Job) -> Done:
        try:
            if not hasattr(self._of_thread, "network"):
                self._of_thread.network = self._new_network()
            picture = read_picture(job.source)
            alpha = PersonFinder(self._of_thread.network, self._wanted.settings).alpha_of_still(picture.rgb)
            finished = finish(picture, alpha, self._wanted)
            write_picture(job.target, finished)
            return Done(job, thumbnail(finished))
        except (MediaError, InferenceError) as error:
            return Done(job, None, str(error))
        except (MemoryError, cv2.error) as error:
            return Done(job, None, f"{job.source} could not be worked on: {error}.")


def sheet(finished: Sequence[Done], columns: int = 4) -> Picture:
    """A contact sheet, uint8 RGB: the results with their names."""
    cell, caption = THUMBNAIL_PX + 8, 22
    tiles = [(done.thumbnail, done.job.target.name) for done in finished if done.thumbnail is not None]
    columns = min(columns, len(tiles)) or 1
    rows = -(-len(tiles) // columns) or 1
    page = np.full((rows * (cell + caption), columns * cell, 3), 255, np.uint8)
    for number, (small, name) in enumerate(tiles):
        top, left = number // columns * (cell + caption), number % columns * cell
        height, width = small.shape[:2]
        y, x = top + (cell - height) // 2, left + (cell - width) // 2
        page[y : y + height, x : x + width] = small
        place = left + 4, top + cell + 14
        cv2.putText(page, name[:44], place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return page
