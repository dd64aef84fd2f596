# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries a mask from its own frame to a later one, for frames that a slow network has no time for.

The optical flow (DIS: Kroeger et al. 2016, arXiv:1603.03590) leads back from the later frame to the mask's own. It does
not reach far, so the person is first looked for as a whole, and only what is left is the flow's.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .foresight import Plane, move, spread_over
from .memory import CUT_DIFFERENCE

# The longer side of the pictures that the flow is sought in; as good as twice as long a side, in a third of the time.
FLOW_SIDE_PX = 128
MAX_AHEAD_MS = 100.0  # nobody goes on evenly for longer
MAX_AGE_S = 1.0  # an older mask says nothing about this frame

Byte = NDArray[np.uint8]


class Reference(NamedTuple):
    """A mask (HxW uint8 alpha, of any size) and the frame it belongs to (uint8 RGBA), captured at ``time_ns``."""

    alpha: Byte
    frame_rgba: Byte
    time_ns: int


class Carrier:
    """The memory of one stream. ``refer`` may be called by another thread than ``carried``."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._reference: Reference | None = None
        # Of the last carry: times of mask and frame, and how far the person had come, in shares of the picture.
        self._before: tuple[int, int, Plane] | None = None
        self._velocity = np.zeros(2, np.float32)  # per ms

    def refer(self, reference: Reference) -> None:
        """From now on this mask is carried."""
        self._reference = reference

    def carried(self, frame_rgba: Byte, time_ns: int, ahead_ms: float = 0.0) -> Byte | None:
        """The newest reference's mask, where the person is in a frame captured at ``time_ns``, or ``ahead_ms`` later;
        None without a reference of this frame's size, after a second, and at a cut to another picture."""
        reference = self._reference
        if reference is None or reference.frame_rgba.shape != frame_rgba.shape:
            return None
        if not 0 <= time_ns - reference.time_ns <= MAX_AGE_S * 1e9:
            return None
        size = small_size(frame_rgba)
        grey, grey_before = (small_grey(each, size) for each in (frame_rgba, reference.frame_rgba))
        if cv2.mean(cv2.absdiff(grey, grey_before))[0] > CUT_DIFFERENCE:
            return None
        weight = cv2.resize(reference.alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        weight *= np.float32(1 / 255)
        way = likely_way(grey, grey_before, weight)
        back = self._flow.calc(grey, shifted(grey_before, way), np.zeros((*grey.shape, 2), np.float32)) - way
        here = move(weight, -back)
        movement = -spread_over(back, here)
        if ahead_ms:
            hers = (back * here[:, :, None]).sum((0, 1)) / max(float(here.sum()), 1.0)
            self._measure(reference.time_ns, time_ns, np.asarray(-hers, np.float32))
            movement += self._velocity * np.float32(min(ahead_ms, MAX_AHEAD_MS))
        return move(reference.alpha, movement)

    def _measure(self, from_ns: int, time_ns: int, way: Plane) -> None:
        """Note the person's way since the mask's frame; of two ways from the same frame follows how fast she is."""
        before, self._before = self._before, (from_ns, time_ns, way)
        since_ns = before[1] if before and before[0] == from_ns and before[1] < time_ns else from_ns
        come = way - before[2] if before and since_ns == before[1] else way
        if time_ns > since_ns:
            self._velocity = come / np.float32((time_ns - since_ns) / 1e6)


def small_size(frame_rgba: Byte) -> tuple[int, int]:
    """Width and height of a frame, made smaller so that its longer side is `FLOW_SIDE_PX`."""
    height, width = frame_rgba.shape[:2]
    scale = min(FLOW_SIDE_PX / max(width, height), 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def small_grey(frame_rgba: Byte, size: tuple[int, int]) -> Byte:
    """The brightness of a frame in this size (width, height): uint8."""
    small_rgba = cv2.resize(frame_rgba, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_rgba, cv2.COLOR_RGBA2GRAY), np.uint8)


def likely_way(grey: Byte, grey_before: Byte, weight: Plane) -> Plane:
    """How far right and down, in whole pixels, the person has come since an earlier picture: to where most of her looks
    as before. ``weight``, 0 to 1, is how much of each earlier pixel is hers."""
    person = (weight > 0.5).view(np.uint8)
    left, top, width, height = cv2.boundingRect(person)
    if not width:
        return np.zeros(2, np.float32)
    box = np.s_[top : top + height, left : left + width]
    # She may leave the picture by half.
    beyond_x, beyond_y = width // 2, height // 2
    wide = cv2.copyMakeBorder(grey, beyond_y, beyond_y, beyond_x, beyond_x, cv2.BORDER_REPLICATE)
    errors = cv2.matchTemplate(wide, grey_before[box], cv2.TM_SQDIFF, mask=person[box])
    x, y = cv2.minMaxLoc(errors)[2]
    return np.array([x - beyond_x - left, y - beyond_y - top], np.float32)


def shifted(picture: Byte, way: Plane) -> Byte:
    """A picture, moved right and down by two numbers of pixels."""
    matrix = np.array([[1, 0, way[0]], [0, 1, way[1]]], np.float32)
    return np.asarray(cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)
