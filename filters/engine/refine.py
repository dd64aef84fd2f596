# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a mask between the network and OBS: cleaned, smoothed, grown, guided, foreseen."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from .edges import EdgeGuide, to_half
from .foresight import Foresight, Plane, move
from .prepare import halved
from .specks import SpeckRemover
from .temporal import Byte, TemporalSmoother

MAX_GROW_PX = 32.0


class Refinement(NamedTuple):
    """What is wanted of a mask.

    ``smoothing`` is 0 to 1; ``grow_px`` in mask pixels, negative shrinks; ``ahead_ms`` how far ahead in time.
    """

    smoothing: float = 0.0
    grow_px: float = 0.0
    sharp_edges: bool = False
    no_specks: bool = False
    ahead_ms: float = 0.0

    @property
    def is_guided(self) -> bool:
        """Whether factors come out and not alpha."""
        return self.sharp_edges and not self.grow_px


class Refiner:
    """The refinement of one stream, with its memory of earlier masks."""

    def __init__(self) -> None:
        self._specks = SpeckRemover()
        self._temporal = TemporalSmoother()
        self._foresight = Foresight()
        self._finisher = Finisher()
        self.alpha: Byte = np.empty((0, 0), np.uint8)
        """The mask refined last, clean and smoothed, as ``Finisher`` takes it; not used again."""

    def refine(
        self,
        alpha: NDArray[np.uint8],
        frame_rgba: NDArray[np.uint8],
        time_ns: int,
        wanted: Refinement,
    ) -> NDArray[np.uint8] | NDArray[np.float16]:
        """The mask, refined; ``alpha`` HxW uint8 belongs to the HxWx4 uint8 frame captured at ``time_ns``.

        See ``Finisher`` for what comes out.
        """
        if wanted.no_specks:
            alpha = self._specks.remove(alpha)
        movement = None
        if wanted.ahead_ms:
            movement = self._foresight.movement(alpha, frame_rgba, time_ns, wanted.ahead_ms)
        small_rgba = halved(frame_rgba)
        if wanted.is_guided:  # from here on at the size of the factors
            alpha = halved(alpha)
        self.alpha = self._temporal.smooth(alpha, small_rgba, time_ns, wanted.smoothing)
        return self._finisher.finish(self.alpha, small_rgba, wanted, movement)


class Finisher:
    """The last step, which remembers nothing; keeps buffers, so it is for one thread."""

    def __init__(self) -> None:
        self._edges = EdgeGuide()

    def finish(
        self, alpha: NDArray[np.uint8], small_rgba: NDArray[np.uint8], wanted: Refinement, movement: Plane | None = None
    ) -> NDArray[np.uint8] | NDArray[np.float16]:
        """A mask as it is drawn, of a smooth one (if ``wanted.is_guided``, ``halved``) and its frame, ``halved``.

        Alpha uint8, or with sharp edges the factors of ``EdgeGuide`` as float16. A mask that is grown or shrunk stays
        alpha: its edge lies where the picture has none.
        """
        if wanted.is_guided:
            factors = self._edges.factors(alpha, small_rgba)
            return to_half(factors if movement is None else move(factors, movement))
        alpha = grow(alpha, wanted.grow_px)
        return alpha if movement is None else move(alpha, movement)


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
