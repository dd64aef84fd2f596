# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a mask between the network and OBS: cleaned, smoothed, guided, foreseen."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .edges import EdgeGuide, to_half
from .foresight import Foresight, Plane, move
from .prepare import halved
from .specks import SpeckRemover
from .temporal import Byte, TemporalSmoother


class Refinement(NamedTuple):
    """What is wanted of a mask.

    ``smoothing`` is 0 to 1; ``ahead_ms`` how far ahead in time.
    """

    smoothing: float = 0.0
    sharp_edges: bool = False
    no_specks: bool = False
    ahead_ms: float = 0.0


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

        For sharp edges alpha may be ``halved``. See ``Finisher`` for what comes out.
        """
        if wanted.no_specks:
            alpha = self._without_specks(alpha, frame_rgba)
        movement = None
        if wanted.ahead_ms:
            movement = self._foresight.movement(alpha, frame_rgba, time_ns, wanted.ahead_ms)
        small_rgba = halved(frame_rgba)
        if wanted.sharp_edges and alpha.shape != small_rgba.shape[:2]:  # from here on at the size of the factors
            alpha = halved(alpha)
        self.alpha = self._temporal.smooth(alpha, small_rgba, time_ns, wanted.smoothing)
        return self._finisher.finish(self.alpha, small_rgba, wanted, movement)

    def _without_specks(self, alpha: NDArray[np.uint8], frame_rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Alpha in its size, without specks; these are looked for at the frame's size always."""
        whole = alpha
        if alpha.shape != frame_rgba.shape[:2]:
            whole = np.asarray(cv2.resize(alpha, frame_rgba.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        clean = self._specks.remove(whole)
        if clean is whole:
            return alpha
        return clean if alpha.shape == clean.shape else halved(clean)


class Finisher:
    """The last step, which remembers nothing; keeps buffers, so it is for one thread."""

    def __init__(self) -> None:
        self._edges = EdgeGuide()

    def finish(
        self, alpha: NDArray[np.uint8], small_rgba: NDArray[np.uint8], wanted: Refinement, movement: Plane | None = None
    ) -> NDArray[np.uint8] | NDArray[np.float16]:
        """A mask as it is drawn, of a smooth one (if ``wanted.sharp_edges``, ``halved``) and its frame, ``halved``.

        Alpha uint8, or with sharp edges the factors of ``EdgeGuide`` as float16.
        """
        if wanted.sharp_edges:
            factors = self._edges.factors(alpha, small_rgba)
            return to_half(factors if movement is None else move(factors, movement))
        return alpha if movement is None else move(alpha, movement)
