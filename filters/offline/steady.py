# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``filters/obs/steady.py`` and ``steady.effect`` do on the GPU, on the processor: alpha averaged over time where
nothing moves, so that a video's noise does not flicker in its edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..obs.steady import (
    COLOUR_MOVES,
    COLOUR_STILL,
    MASK_MOVES,
    MASK_STILL,
    MAX_GAP_NS,
    REACH_CELLS,
    grid_size,
    still_weight,
)

Plane = NDArray[np.float32]
Alpha = NDArray[np.uint8]
_AROUND = np.ones((2 * REACH_CELLS + 1,) * 2, np.uint8)


class SteadyAlpha:
    """The memory of one video. For one thread."""

    def __init__(self, smoothing: float) -> None:
        """``smoothing`` is 0 (off) to 1."""
        self._weight = still_weight(smoothing)
        self._cells = np.empty((0, 0, 4), np.float32)
        self._average = np.empty((0, 0), np.float32)
        self._time_ns = 0

    def mix(self, alpha: Alpha, mask: NDArray[Any], picture_rgb: NDArray[Any], time_ns: int) -> Alpha:
        """The steady alpha, HxW uint8, of the picture HxWx3 at ``time_ns``.

        ``alpha`` is the picture's own, made of ``mask`` (alpha h x w uint8, or factors h x w x 4).
        """
        if self._weight == 1.0:
            return alpha
        gap_ns, self._time_ns = time_ns - self._time_ns, time_ns
        cells = cells_of(mask, picture_rgb)
        if self._average.shape != alpha.shape or not 0 <= gap_ns <= MAX_GAP_NS:
            self._cells, self._average = cells, alpha.astype(np.float32)
            return alpha
        weight = self._weight_of_new(cells)
        self._cells += weight[..., None] * (cells - self._cells)
        weights = cv2.resize(weight, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        change = cv2.subtract(alpha, self._average, dtype=cv2.CV_32F)
        self._average += cv2.multiply(change, weights)
        return np.asarray(cv2.convertScaleAbs(self._average))

    def _weight_of_new(self, cells: Plane) -> Plane:
        """How much a new alpha weighs in each cell."""
        change = np.abs(cells - self._cells)
        colour = (change[..., :2].max(axis=2) - COLOUR_STILL) / (COLOUR_MOVES - COLOUR_STILL)
        mask = (change[..., 2] - MASK_STILL) / (MASK_MOVES - MASK_STILL)
        moves = cv2.dilate(np.clip(np.maximum(colour, mask), 0, 1), _AROUND)
        return np.asarray(self._weight + (1 - self._weight) * moves, np.float32)


def cells_of(mask: NDArray[Any], picture_rgb: NDArray[Any]) -> Plane:
    """Brightness, one difference of colour, and mask, each a cell's mean: float32 h x w x 3, the mask 0 to 1."""
    size = grid_size(picture_rgb.shape[1], picture_rgb.shape[0])
    scale = np.float32(1 / np.iinfo(picture_rgb.dtype).max)
    colour = cv2.resize(picture_rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) * scale
    small = cv2.resize(np.asarray(mask, np.float32), size, interpolation=cv2.INTER_LINEAR)
    value = small / 255 if mask.ndim == 2 else (small[..., :3] * colour).sum(axis=2) + small[..., 3]
    brightness = colour @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.dstack([brightness, 0.5 * (colour[..., 0] - colour[..., 2]), np.clip(value, 0, 1)]).astype(np.float32)
