# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a picture has changed since it was last looked at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bridge.region import Region
from .attention import Box
from .prepare import halved
from .temporal import Float, blurred_luma, exposure_and_threshold

LEAST_MOVED_PX = 4  # at half size, after single pixels are taken away
_SMALLEST = np.ones((2, 2), np.uint8)


class MotionWatch:
    """Compares frames, HxWx4 uint8, with the one it remembers. For one thread."""

    def __init__(self) -> None:
        self._luma: Float | None = None
        self.time_ns = 0

    def remember(self, frame_rgba: NDArray[np.uint8], time_ns: int) -> None:
        """From now on compare with this frame."""
        self._luma, self.time_ns = blurred_luma(halved(frame_rgba)), time_ns

    def change(self, frame_rgba: NDArray[np.uint8], beyond: Region | None = None) -> Box | None:
        """Where the frame has changed, ``beyond`` a region only if there is one; None if nowhere. All of it, if there
        is nothing to compare with."""
        luma = blurred_luma(halved(frame_rgba))
        if self._luma is None or self._luma.shape != luma.shape:
            return Box(0.0, 0.0, 1.0, 1.0)
        changed = changed_pixels(luma - self._luma)
        height, width = changed.shape
        if beyond is not None:
            changed[pixels_of(beyond, width, height)] = 0
        if cv2.countNonZero(changed) < LEAST_MOVED_PX:
            return None
        left, top, wide, high = cv2.boundingRect(changed)
        return Box(left / width, top / height, (left + wide) / width, (top + high) / height)


def changed_pixels(change: Float) -> NDArray[np.uint8]:
    """1 where a difference of brightness is more than noise or exposure; single pixels don't count."""
    exposure, threshold = exposure_and_threshold(change)
    return np.asarray(
        cv2.morphologyEx((np.abs(change - exposure) > threshold).view(np.uint8), cv2.MORPH_OPEN, _SMALLEST)
    )


def pixels_of(region: Region, width: int, height: int) -> tuple[slice, slice]:
    """The rows and columns of a picture of the whole frame that show any of the region, with what they share."""
    rows = slice(int(region.top * height), -int(-(region.top + region.side) * height // 1))
    columns = slice(int(region.left * width), -int(-(region.left + region.side) * width // 1))
    return rows, columns
