# SPDX-License-Identifier: GPL-2.0-or-later
"""Moves a mask ahead in time, to where the person will be when it is drawn: for a picture without delay.

The person's movement is the optical flow (DIS: Kroeger et al. 2016, arXiv:1603.03590) from the frame before, and is
taken to go on evenly. Only the flow on the person counts, spread out around them: at their outline the flow of a small
picture is half theirs and half the room's, and would leave a part of the mask behind.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_GAP_S = 0.25  # between two frames; beyond it nothing can be said of the movement
MAX_STEPS = 6  # how far ahead at most
# A new picture may come this much too early to be expected, in steps; and this late it does not come any more.
EARLY_STEPS, LATE_STEPS = 0.25, 1.5
KEPT_STEPS = 7  # one that is longer or shorter says nothing about the next
# How far around the person their movement is spread, as a share of the width; measured: the better of .08 and .16 up
# to 1.2 frame widths per second.
SPREAD = 0.16
LEAST_WEIGHT = 1e-3

Plane = NDArray[np.float32]
Value = TypeVar("Value", np.uint8, np.float32)


class Foresight:
    """The memory of one stream. For one thread.

    A camera is often slower than the canvas, and then frames are repeated. So the person is moved in whole steps, from
    one new picture to the next, and only as many as there will be new pictures.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grey: NDArray[np.uint8] | None = None  # the newest picture that is not like the one before it
        self._time_ns = 0
        self._movement: Plane | None = None  # from the one before it
        self._steps_s: deque[float] = deque(maxlen=KEPT_STEPS)  # times between new pictures

    def movement(
        self, alpha: NDArray[np.uint8], frame_rgba: NDArray[np.uint8], time_ns: int, ahead_ms: float
    ) -> Plane | None:
        """By how many mask pixels (right, down) each place's person moves in ``ahead_ms``: float32 HxWx2, or None.

        ``alpha`` HxW uint8 and ``frame_rgba`` HxWx4 uint8 belong together; the frame was captured at ``time_ns``.
        """
        grey = np.asarray(cv2.cvtColor(frame_rgba, cv2.COLOR_RGBA2GRAY), np.uint8)
        if self._grey is None or not np.array_equal(grey, self._grey):
            self._movement = self._new_movement(alpha, grey, time_ns)
            self._grey, self._time_ns = grey, time_ns
        if self._movement is None:
            return None
        step_s = statistics.median(self._steps_s)
        since_s = (time_ns - self._time_ns) / 1e9
        if since_s > step_s * LATE_STEPS:  # the source has stopped
            return None
        steps = min(math.floor((since_s + ahead_ms / 1e3) / step_s + EARLY_STEPS), MAX_STEPS)
        steps_before = max(round(self._steps_s[-1] / step_s), 1)
        return self._movement * np.float32(steps / steps_before) if steps else None

    def _new_movement(self, alpha: NDArray[np.uint8], grey: NDArray[np.uint8], time_ns: int) -> Plane | None:
        """That between the newest picture so far and this one, if there is one and not too old."""
        before, step_s = self._grey, (time_ns - self._time_ns) / 1e9
        if before is None or before.shape != grey.shape or not 0.0 < step_s <= MAX_GAP_S:
            self._steps_s.clear()
            return None
        self._steps_s.append(step_s)
        back = np.asarray(self._flow.calc(grey, before, np.zeros((*grey.shape, 2), np.float32)), np.float32)
        return -spread_over(back, alpha.astype(np.float32) * np.float32(1 / 255))


def spread_over(flow: Plane, weight: Plane) -> Plane:
    """The person's flow, averaged and carried outward: of a flow HxWx2 and how much of each pixel is hers, 0 to 1.

    Where she is nowhere near it is her mean one, or 0 without a person.
    """
    side_px = max(round(SPREAD * weight.shape[1]), 1)
    window = (side_px, side_px)
    hers = flow * weight[:, :, None]
    mean = hers.sum((0, 1)) / max(float(weight.sum()), 1.0)
    spread = np.asarray(cv2.blur(hers, window), np.float32) + mean * np.float32(LEAST_WEIGHT)
    spread /= (np.asarray(cv2.blur(weight, window), np.float32) + np.float32(LEAST_WEIGHT))[:, :, None]
    return cast(Plane, spread)


def move(mask: NDArray[Value], movement: Plane) -> NDArray[Value]:
    """A mask, or factors, of any size and number of channels, moved by what ``Foresight.movement`` found."""
    height, width = mask.shape[:2]
    scale = np.array([width / movement.shape[1], height / movement.shape[0]], np.float32)
    moved = np.asarray(cv2.resize(movement, (width, height), interpolation=cv2.INTER_LINEAR), np.float32) * scale
    from_x = np.arange(width, dtype=np.float32)[None, :] - moved[:, :, 0]
    from_y = np.arange(height, dtype=np.float32)[:, None] - moved[:, :, 1]
    return cast("NDArray[Value]", cv2.remap(mask, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
