# SPDX-License-Identifier: GPL-2.0-or-later
"""Less flicker without lag: masks are averaged over time where the picture stands still, and only there."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

STILL_WEIGHT = 0.25  # of a new mask on a still pixel, at smoothing 1
MAX_GAP_S = 0.5  # an older mask says nothing about this one
LEAST_MOTION = 3.0  # luma steps of 255 after averaging: below this everything counts as still
MOST_NOISE = 8.0  # a camera's noise never looks larger; if half the picture changes more than this, it moves
NOISE_FACTOR = 6.0  # of the median change: what the noise of one frame in ten thousand pixels stays below
FULL_MOTION_FACTOR = 2.0  # at this multiple of the threshold the picture moves for certain
BLUR_PX = 3  # averages noise away
REACH_PX = 5  # a mask's edge is not exactly where the picture's edge is
SAMPLE_STEP = 4  # noise is measured on every fourth pixel of every fourth row
_REACH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (REACH_PX, REACH_PX))

Float = NDArray[np.float32]
Byte = NDArray[np.uint8]


class TemporalSmoother:
    """The memory of one stream. A pixel that moves takes the new mask unchanged, so nothing trails.

    Motion is the difference between the frame and a running average of earlier frames that is weighted like
    the masks: slow movement adds up in it until it counts, noise does not.
    """

    def __init__(self) -> None:
        self._memory: tuple[Float, Float] | None = None  # alpha and luma; both 0 to 255
        self._time_ns = 0

    def smooth(
        self, alpha: NDArray[np.uint8], small_rgba: NDArray[np.uint8], time_ns: int, smoothing: float
    ) -> NDArray[np.uint8]:
        """The mask, averaged where nothing moves.

        ``alpha`` HxW uint8 and ``small_rgba`` uint8, the frame ``halved``, belong together; alpha may be halved, too.
        ``time_ns`` is the capture time; ``smoothing`` 0 (off: returns ``alpha``) to 1. Returns HxW uint8. Forgets all
        after half a second without a frame, and when the size changes.
        """
        gap_s = (time_ns - self._time_ns) / 1e9
        self._time_ns = time_ns
        if smoothing <= 0.0:
            self._memory = None
            return alpha
        memory, luma = self._memory, blurred_luma(small_rgba)
        if memory is None or memory[0].shape != alpha.shape or not 0.0 <= gap_s <= MAX_GAP_S:
            self._memory = alpha.astype(np.float32), luma
            return alpha
        average_alpha, average_luma = memory
        weight = weight_of_new(luma - average_luma, STILL_WEIGHT**smoothing)
        mix_into(average_luma, luma, weight)
        if weight.shape != alpha.shape:
            weight = cast(Float, cv2.resize(weight, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR))
        mix_into(average_alpha, alpha.astype(np.float32), weight)
        return cast(Byte, cv2.convertScaleAbs(average_alpha))


def weight_of_new(change: Float, still_weight: float) -> Float:
    """``still_weight`` where nothing moves, up to 1 where the picture changes; spoils ``change``."""
    exposure, threshold = exposure_and_threshold(change)
    change -= exposure
    np.abs(change, out=change)
    motion = cast(Float, cv2.dilate(change, _REACH))
    scale = np.float32((1.0 - still_weight) / (threshold * (FULL_MOTION_FACTOR - 1.0)))
    motion *= scale
    motion += np.float32(still_weight - threshold * scale)
    np.maximum(motion, np.float32(still_weight), out=motion)  # a third of what np.clip takes
    return cast(Float, np.minimum(motion, np.float32(1.0), out=motion))


def exposure_and_threshold(change: Float) -> tuple[float, float]:
    """What a difference of brightness, in steps of 255, has on all pixels alike, as the camera's brightness control
    moves them; and how far from that the noise reaches: beyond it something moves."""
    sample = change[::SAMPLE_STEP, ::SAMPLE_STEP].ravel()
    exposure = middle(sample)
    noise = middle(np.abs(sample - exposure))
    return exposure, min(max(LEAST_MOTION, NOISE_FACTOR * noise), MOST_NOISE)


def middle(values: Float) -> float:
    """The median of a flat array (of two middle values, the larger), in a third of the time that np.median takes."""
    half = values.size // 2
    return float(np.partition(values, half)[half])


def blurred_luma(frame_rgba: NDArray[np.uint8]) -> Float:
    """The brightness of a frame, HxWx4 uint8, slightly blurred: float32, 0 to 255."""
    luma = cv2.cvtColor(frame_rgba, cv2.COLOR_RGBA2GRAY)
    return cast(Float, cv2.boxFilter(luma, cv2.CV_32F, (BLUR_PX, BLUR_PX)))


def mix_into(average: Float, new: Float, weight: Float) -> None:
    """average += weight * (new - average); spoils ``new``."""
    np.subtract(new, average, out=new)
    np.multiply(new, weight, out=new)
    np.add(average, new, out=average)
