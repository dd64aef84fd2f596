# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a mask between the network and OBS: smoothing over time, then growing or shrinking."""

from __future__ import annotations

import functools
import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from .temporal import Byte, TemporalSmoother

MAX_GROW_PX = 32.0


class Refiner:
    """The refinement of one stream, with its memory of earlier masks."""

    def __init__(self) -> None:
        self._temporal = TemporalSmoother()

    def refine(
        self,
        alpha: NDArray[np.uint8],
        frame_rgba: NDArray[np.uint8],
        time_ns: int,
        smoothing: float,
        grow_px: float,
    ) -> NDArray[np.uint8]:
        """The HxW uint8 mask, refined; ``alpha`` belongs to the HxWx4 uint8 frame captured at ``time_ns``."""
        return grow(self._temporal.smooth(alpha, frame_rgba, time_ns, smoothing), grow_px)


def grow(alpha: NDArray[np.uint8], grow_px: float) -> NDArray[np.uint8]:
    """Grow a soft mask by ``grow_px`` mask pixels in all directions, or shrink it by a negative number.

    Grey dilation or erosion with a disc (32 pixels at most); a fraction blends the two nearest whole radii.
    The picture's border neither adds nor takes away.
    """
    radius_px = min(abs(grow_px), MAX_GROW_PX)
    whole_px = math.floor(radius_px)
    fraction = radius_px - whole_px
    if radius_px == 0.0:
        return alpha
    operate = cv2.dilate if grow_px > 0 else cv2.erode
    inner = operate(alpha, disc(whole_px)) if whole_px else alpha
    if fraction == 0.0:
        return cast(Byte, inner)
    outer = operate(alpha, disc(whole_px + 1))
    return cast(Byte, cv2.addWeighted(inner, 1.0 - fraction, outer, fraction, 0.0))


@functools.cache
def disc(radius_px: int) -> NDArray[np.uint8]:
    """A filled circle of ``2 * radius_px + 1`` pixels across, as a kernel of zeros and ones."""
    return cast(Byte, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1)))
