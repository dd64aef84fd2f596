# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recurrent network remembers of one stream: taken along from frame to frame, forgotten when it must be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .output import AlphaDecoder, OutputError
from .ports import Ports
from .prepare import planes_of

MAX_GAP_S = 1.0  # an older memory says nothing about this frame
CUT_DIFFERENCE = 40.0  # of 255, mean over the picture: people who move make up to 5, another source mostly 60 or more
CUT_STEP = 8  # looked for in every eighth pixel of every eighth row

Tensor = NDArray[Any]


class Memory:
    """What one stream has left in one network, states or its last mask; two streams of a network have one each.

    It is forgotten after a gap in time, at a cut to another picture, and when what the network remembers is not finite
    or changes its size, so it can neither grow nor stay poisoned.
    """

    def __init__(self, ports: Ports, session: onnxruntime.InferenceSession, decoder: AlphaDecoder) -> None:
        self._session = session
        self._decoder = decoder
        self._picture_name = ports.input_name
        self._takes = ports.input
        self._mask_scale = 1.0 if ports.dtype is np.uint8 else 1 / 255
        self._mask = np.zeros((ports.input.height, ports.input.width), np.uint8)
        self._states = ports.states
        self._wanted = [ports.output_name, *(state.output for state in ports.states)]
        self._feed: dict[str, Tensor] = dict(ports.constants)
        self._shapes: list[tuple[int, ...]] | None = None  # of what is remembered, once it was seen
        self._time_ns = 0
        self._sample: NDArray[np.int16] | None = None
        self.is_fresh = True
        self.forget()

    def forget(self) -> None:
        """Begin anew, as before the first frame."""
        for state in self._states:
            self._feed[state.input] = state.start
        self._mask.fill(0)
        self.is_fresh = True

    def infer(self, tensor: Tensor, frame_rgba: NDArray[np.uint8], capture_ns: int) -> NDArray[np.uint8]:
        """The alpha of a prepared frame, HxW uint8, reused by the next call; raises what the session raises."""
        if self._is_another_scene(frame_rgba, capture_ns):
            self.forget()
        self._feed[self._picture_name] = tensor
        try:
            return self._step()
        except OutputError:
            if self.is_fresh:
                raise
            self.forget()  # what it remembered may have spoilt it
            return self._step()

    def _step(self) -> NDArray[np.uint8]:
        if self._takes.takes_mask:
            plane = planes_of(self._feed[self._picture_name], self._takes.layout)[-1]
            np.multiply(self._mask, self._mask_scale, out=plane, casting="unsafe")
        mask, *states = self._session.run(self._wanted, self._feed)
        alpha = self._decoder.decode(mask)
        self._remember(alpha, states)
        return alpha

    def _remember(self, alpha: NDArray[np.uint8], states: list[Tensor]) -> None:
        """Keep what is sound for the next frame."""
        shapes = [state.shape for state in states]
        if self._shapes is None:
            self._shapes = shapes
        if shapes != self._shapes or not all(math.isfinite(float(state.sum())) for state in states):
            self.forget()
            return
        for known, state in zip(self._states, states):
            self._feed[known.input] = state
        if self._takes.takes_mask:
            np.copyto(self._mask, alpha)
        self.is_fresh = False

    def _is_another_scene(self, frame_rgba: NDArray[np.uint8], capture_ns: int) -> bool:
        gap_s = (capture_ns - self._time_ns) / 1e9
        before, self._time_ns = self._sample, capture_ns
        self._sample = frame_rgba[::CUT_STEP, ::CUT_STEP, 1].astype(np.int16)
        if before is None or before.shape != self._sample.shape or not 0.0 <= gap_s <= MAX_GAP_S:
            return True
        return float(np.abs(self._sample - before).mean()) > CUT_DIFFERENCE
