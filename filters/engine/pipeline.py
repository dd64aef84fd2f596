# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of one picture through the engine: prepare, infer, refine; or, where there is no time for that, carry."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...models.trust import VerifiedModel
from .carry import Carrier, Reference
from .network import Network, load_network
from .prepare import halved
from .refine import Finisher, Refinement, Refiner


class Segmented(NamedTuple):
    """A mask and what its stages cost in ms; ``is_repeat``: nothing was inferred, as the frame is like the one before
    or an earlier mask was carried to it.

    ``mask``: alpha HxW uint8 (0 room, 255 person), or the factors of ``EdgeGuide``, float16 H/2 x W/2 x 4.
    """

    mask: NDArray[np.uint8] | NDArray[np.float16]
    prepare_ms: float
    infer_ms: float
    refine_ms: float
    is_repeat: bool


class Look(NamedTuple):
    """What the network says of a frame, before refinement: alpha HxW uint8, perhaps in a buffer that the next look of
    any stream reuses; and what that took in ms."""

    alpha: NDArray[np.uint8]
    prepare_ms: float
    infer_ms: float
    is_repeat: bool


class Before(NamedTuple):
    """The last frame, and the mask that ``Infer`` gave of it."""

    frame_rgba: NDArray[np.uint8]
    may_be_half: bool
    alpha: NDArray[np.uint8]

    def is_of(self, frame_rgba: NDArray[np.uint8], may_be_half: bool) -> bool:
        """Whether the same is asked again."""
        return self.may_be_half == may_be_half and np.array_equal(self.frame_rgba, frame_rgba)


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
        self._carrier, self._finisher = Carrier(), Finisher()  # of the thread that calls carry, like the next
        self._carried: tuple[NDArray[np.uint8], Segmented] | None = None
        self._before: Before | None = None

    def alpha(self, frame_rgba: NDArray[np.uint8], smoothing: float = 0.0) -> NDArray[np.uint8]:
        """The mask, HxW uint8, of an HxWx4 uint8 RGBA frame of the network's input size, captured now."""
        segmented = self.segment(frame_rgba, time.monotonic_ns(), Refinement(smoothing))
        return np.array(segmented.mask, np.uint8)

    def segment(self, frame_rgba: NDArray[np.uint8], capture_ns: int, wanted: Refinement) -> Segmented:
        """The mask of the frame captured at ``capture_ns``, in a buffer that the next call may reuse.

        ``frame_rgba`` must not change afterwards. A frame like the one before, as of a paused source or of a camera
        slower than the canvas, costs no inference. Raises InferenceError.
        """
        # Sharp edges are made of half a mask; what is foreseen needs all of it.
        may_be_half = wanted.sharp_edges and not wanted.ahead_ms
        return self.refined(self.look(frame_rgba, capture_ns, may_be_half), frame_rgba, capture_ns, wanted)

    def look(self, frame_rgba: NDArray[np.uint8], capture_ns: int, may_be_half: bool = False) -> Look:
        """The first half of ``segment``; ``may_be_half`` as in ``Infer``."""
        start = prepared = time.perf_counter()
        before = self._before
        is_repeat = before is not None and before.is_of(frame_rgba, may_be_half)
        if before is not None and is_repeat:
            alpha = before.alpha
        else:
            tensor = self.network.prepare(frame_rgba)
            prepared = time.perf_counter()
            alpha = self._infer(tensor, frame_rgba, capture_ns, may_be_half)
            if not self.network.ports.remembers:  # a recurrent network learns from each look
                # The network's buffer serves other streams too.
                self._before = Before(frame_rgba, may_be_half, alpha.copy())
        inferred = time.perf_counter()
        return Look(alpha, (prepared - start) * 1e3, (inferred - prepared) * 1e3, is_repeat)

    def refined(self, look: Look, frame_rgba: NDArray[np.uint8], capture_ns: int, wanted: Refinement) -> Segmented:
        """The second half of ``segment``."""
        start = time.perf_counter()
        mask = self._refiner.refine(look.alpha, frame_rgba, capture_ns, wanted)
        refine_ms = (time.perf_counter() - start) * 1e3
        return Segmented(mask, look.prepare_ms, look.infer_ms, refine_ms, look.is_repeat)

    def refer(self, frame_rgba: NDArray[np.uint8], capture_ns: int) -> None:
        """Have ``carry`` start from the mask that ``segment`` gave last, of this frame."""
        self._carrier.refer(Reference(self._refiner.alpha.copy(), frame_rgba, capture_ns))

    def carry(self, frame_rgba: NDArray[np.uint8], capture_ns: int, wanted: Refinement) -> Segmented | None:
        """As ``segment``, without inference: the mask that was ``refer``red to, carried to this frame.

        May run in another thread, while ``segment`` runs. None if there is no mask to carry.
        """
        if self._carried and np.array_equal(self._carried[0], frame_rgba):
            return self._carried[1]
        start = time.perf_counter()
        small_rgba = halved(frame_rgba)
        alpha = self._carrier.carried(frame_rgba, capture_ns, wanted.ahead_ms)
        # Of the other size is what was wanted before a setting changed.
        if alpha is None or alpha.shape != (small_rgba if wanted.sharp_edges else frame_rgba).shape[:2]:
            return None
        mask = self._finisher.finish(alpha, small_rgba, wanted)
        self._carried = frame_rgba, Segmented(mask, 0.0, 0.0, (time.perf_counter() - start) * 1e3, True)
        return self._carried[1]
