# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of one picture through the engine: prepare, infer, refine."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...models.trust import VerifiedModel
from .network import Network, load_network
from .refine import Refiner


class Segmented(NamedTuple):
    """A mask, HxW uint8 (0 room, 255 person), and what its stages cost in ms."""

    alpha: NDArray[np.uint8]
    prepare_ms: float
    infer_ms: float
    refine_ms: float


class Segmenter:
    """Finds the person in one sequence of frames; keeps what smoothing and a recurrent network remember of it.

    For one thread.

    >>> Segmenter(read_model(entry), "cpu").alpha(frame_rgba)
    """

    def __init__(self, model: VerifiedModel | Network, device: str = "auto") -> None:
        """Load a verified model on a device (see ``load_network``), or share a network that is loaded."""
        self.network = model if isinstance(model, Network) else load_network(model, device).network
        self._infer = self.network.new_sequence()
        self._refiner = Refiner()

    def alpha(self, frame_rgba: NDArray[np.uint8], smoothing: float = 0.0, grow_px: float = 0.0) -> NDArray[np.uint8]:
        """The mask, HxW uint8, of an HxWx4 uint8 RGBA frame of the network's input size, captured now."""
        segmented = self.segment(frame_rgba, time.monotonic_ns(), smoothing, grow_px)
        return np.array(segmented.alpha)

    def segment(self, frame_rgba: NDArray[np.uint8], capture_ns: int, smoothing: float, grow_px: float) -> Segmented:
        """The mask of the frame captured at ``capture_ns``, in a buffer that the next call may reuse.

        ``smoothing`` 0 to 1, ``grow_px`` in mask pixels. Raises InferenceError.
        """
        start = time.perf_counter()
        tensor = self.network.prepare(frame_rgba)
        prepared = time.perf_counter()
        raw_alpha = self._infer(tensor, frame_rgba, capture_ns)
        inferred = time.perf_counter()
        alpha = self._refiner.refine(raw_alpha, frame_rgba, capture_ns, smoothing, grow_px)
        refined = time.perf_counter()
        return Segmented(alpha, (prepared - start) * 1e3, (inferred - prepared) * 1e3, (refined - inferred) * 1e3)
