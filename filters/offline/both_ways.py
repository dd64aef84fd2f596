# SPDX-License-Identifier: GPL-2.0-or-later
"""Less flicker, with frames from before and after: a mask that is not needed at once can wait for those that follow.

As ``engine/temporal.py`` a pixel is averaged only with frames in which the picture there is the same, but over both
directions: half the noise is left, and nothing hangs behind.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engine.prepare import halved
from ..engine.temporal import MAX_GAP_S, STILL_WEIGHT, blurred_luma, weight_of_new

REACH = 4  # frames to either side

Byte = NDArray[np.uint8]
Float = NDArray[np.float32]
T = TypeVar("T")


@dataclass
class _Waiting(Generic[T]):
    """A mask that waits: its own, the weighted sum of those around it, the sum of the weights."""

    item: T
    time_ns: int
    place: object
    alpha: Float
    luma: Float
    total: Float
    weight: Float


class BothWays(Generic[T]):
    """Smooths the masks of one sequence; each comes out `REACH` frames later, with the ``item`` it was given with.

    ``smoothing`` is 0 (off) to 1, as in the filter: how much a still neighbour counts.
    """

    def __init__(self, smoothing: float) -> None:
        self._kept = np.float32(1 - STILL_WEIGHT**smoothing)
        self._reach = REACH if smoothing > 0 else 0
        self._waiting: collections.deque[_Waiting[T]] = collections.deque()

    def push(
        self, item: T, alpha: Byte, frame_rgba: NDArray[Any], time_ns: int, place: object = None
    ) -> Iterator[tuple[T, Byte]]:
        """Take the next mask, HxW uint8, with its frame HxWx4 uint8; gives those that are finished.

        Only masks of the same ``place``, which is where in the picture they lie, take part in each other.
        """
        if not self._reach:
            yield item, alpha
            return
        own = alpha.astype(np.float32)
        luma = blurred_luma(halved(frame_rgba))
        new = _Waiting(item, time_ns, place, own, luma, own.copy(), np.ones_like(own))
        for distance, old in enumerate(reversed(self._waiting), 1):
            is_near = 0 <= time_ns - old.time_ns <= MAX_GAP_S * 1e9 and old.place == place
            if is_near and old.alpha.shape == own.shape:
                self._mix(old, new, self._kept**distance)
        self._waiting.append(new)
        if len(self._waiting) > self._reach:
            yield self._finished()

    def flush(self) -> Iterator[tuple[T, Byte]]:
        """Those that still wait, at the end of the sequence."""
        while self._waiting:
            yield self._finished()

    def _mix(self, old: _Waiting[T], new: _Waiting[T], share: np.float32) -> None:
        """Let two masks take part in each other, where nothing moved between them."""
        weight = weight_of_new(new.luma - old.luma, 0.0)  # 0 where nothing moves, 1 where it does
        np.subtract(1, weight, out=weight)
        weight *= share
        height, width = new.alpha.shape
        full = cast(Float, cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR))
        for one, other in ((old, new), (new, old)):
            one.total += full * other.alpha
            one.weight += full

    def _finished(self) -> tuple[T, Byte]:
        done = self._waiting.popleft()
        return done.item, cast(Byte, cv2.convertScaleAbs(done.total / done.weight))
