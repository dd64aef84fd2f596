# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries a mask from its own frame to a later one, for frames that a slow network has no time for.

The optical flow (DIS: Kroeger et al. 2016, arXiv:1603.03590) leads back from the later frame to the mask's own. Flow of
small pictures does not reach far, so the mask's frame is first shifted by how far the person has come since, as the
carries before have found it.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from .foresight import Plane, Value, move, spread_over
from .memory import CUT_DIFFERENCE

# The longer side of the pictures that the flow is sought in; as good as twice as long a side, in a third of the time.
FLOW_SIDE_PX = 128
MAX_AHEAD_MS = 100.0  # nobody goes on evenly for longer
MAX_AGE_S = 1.0  # an older mask says nothing about this frame
KEPT_STEPS = 128  # of the path, in frames: more than the slowest network takes

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
        self._path: dict[int, Plane] = {}  # where the person was, right and down in pixels of the flow, by time
        self._velocity = np.zeros(2, np.float32)  # per ns

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
        flow_size = small_size(frame_rgba)
        grey, grey_before = (small_grey(each, flow_size) for each in (frame_rgba, reference.frame_rgba))
        if cv2.mean(cv2.absdiff(grey, grey_before))[0] > CUT_DIFFERENCE:
            return None
        weight = cv2.resize(reference.alpha, flow_size, interpolation=cv2.INTER_AREA).astype(np.float32)
        weight *= np.float32(1 / 255)
        start = self._path.setdefault(reference.time_ns, self._position(reference.time_ns))
        guesses = (np.zeros(2, np.float32), self._position(time_ns) - start)
        guess = min(guesses, key=lambda shift: mismatch(shift, grey, grey_before, weight))
        shifted = shift_by(guess, grey_before)
        back = self._flow.calc(grey, shifted, np.zeros((*grey.shape, 2), np.float32)) - guess
        here = move(weight, -back)
        forth = -spread_over(back, here)
        self._note(time_ns, start - np.asarray((back * here[:, :, None]).sum((0, 1)) / max(float(here.sum()), 1.0)))
        return move(reference.alpha, forth + self._velocity * np.float32(min(ahead_ms, MAX_AHEAD_MS) * 1e6))

    def _position(self, time_ns: int) -> Plane:
        """Where the person was or will be, as far as is known."""
        known = self._path.get(time_ns)
        if known is not None:
            return known
        if not self._path:
            return np.zeros(2, np.float32)
        last_ns = max(self._path)
        return np.asarray(self._path[last_ns] + self._velocity * np.float32(time_ns - last_ns), np.float32)

    def _note(self, time_ns: int, position: Plane) -> None:
        last_ns = max(self._path)
        if time_ns > last_ns:
            self._velocity = (position - self._path[last_ns]) / np.float32(time_ns - last_ns)
        self._path[time_ns] = position
        while len(self._path) > KEPT_STEPS:
            del self._path[next(iter(self._path))]


def small_size(frame_rgba: Byte) -> tuple[int, int]:
    """Width and height of a frame, made smaller so that its longer side is `FLOW_SIDE_PX`."""
    height, width = frame_rgba.shape[:2]
    scale = min(FLOW_SIDE_PX / max(width, height), 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def small_grey(frame_rgba: Byte, size: tuple[int, int]) -> Byte:
    """The brightness of a frame in this size (width, height): uint8."""
    small_rgba = cv2.resize(frame_rgba, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small_rgba, cv2.COLOR_RGBA2GRAY), np.uint8)


def shift_by(shift: Plane, plane: NDArray[Value], border: int = cv2.BORDER_REPLICATE) -> NDArray[Value]:
    """A picture, moved right and down by two numbers of pixels."""
    way = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    moved = cv2.warpAffine(plane, way, plane.shape[1::-1], borderMode=border)
    return cast("NDArray[Value]", moved)


def mismatch(shift: Plane, grey: Byte, grey_before: Byte, weight: Plane) -> float:
    """How much a picture differs from an earlier one that is shifted, where the earlier person lies then; infinite
    when most of her would lie outside."""
    difference = cv2.absdiff(grey, shift_by(shift, grey_before))
    there = shift_by(shift, weight, cv2.BORDER_CONSTANT)
    share = float(there.sum())
    if share <= float(weight.sum()) / 2:
        return math.inf
    return float(np.multiply(difference, there, dtype=np.float32).sum()) / share
