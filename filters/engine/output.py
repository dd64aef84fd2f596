# SPDX-License-Identifier: GPL-2.0-or-later
"""From what a network says to an alpha mask of the input's size, without allocating in the loop."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ...models.catalog import OutputSpec

MAX_LOGIT = 30.0  # e**30 still fits a float; the mask is 0 or 255 long before


class OutputError(Exception):
    """A network's output is not what its entry says, or not finite."""


class AlphaDecoder:
    """Turns raw outputs into uint8 alpha of ``height`` x ``width``.

    Bilinear upsampling comes before the sigmoid: across an edge logits are nearly linear, probabilities not.
    """

    def __init__(self, spec: OutputSpec, width: int, height: int) -> None:
        self._spec = spec
        self._size = (width, height)
        self._full = np.empty((height, width), np.float32)
        self._alpha = np.empty((height, width), np.uint8)

    def decode(self, raw: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Alpha HxW uint8, reused by the next call; OutputError for a wrong shape, NaN or infinity."""
        plane = self._person_plane(raw)
        if not math.isfinite(float(plane.sum())):
            raise OutputError("the output holds values that are not finite")
        full = self._full
        if plane.shape == full.shape:
            np.copyto(full, plane)
        else:
            cv2.resize(plane, self._size, dst=full, interpolation=cv2.INTER_LINEAR)
        if self._spec.kind == "probability":
            np.clip(full, 0.0, 1.0, out=full)
        else:
            sigmoid_in_place(full)
        cv2.convertScaleAbs(full, dst=self._alpha, alpha=255.0)  # rounds to the nearest
        return self._alpha

    def _person_plane(self, raw: NDArray[np.floating]) -> NDArray[np.float32]:
        """The person's channel as h x w float32: a probability or a logit."""
        channels = channels_first(raw, self._spec.layout)
        index = self._spec.channel
        if self._spec.kind != "softmax_logits":
            return np.ascontiguousarray(channels[index], np.float32)
        others = np.delete(channels, index, axis=0).astype(np.float32)
        # softmax of one class against the rest is the sigmoid of its logit minus log-sum-exp of theirs
        rest = others[0] if len(others) == 1 else np.logaddexp.reduce(others, axis=0)
        return np.ascontiguousarray(channels[index] - rest, np.float32)


def channels_first(raw: NDArray[np.floating], layout: str) -> NDArray[np.floating]:
    """An output of rank 2 to 4 as channels x h x w; OutputError if it is none."""
    if raw.ndim == 4 and raw.shape[0] == 1:
        return raw[0] if layout == "NCHW" else np.moveaxis(raw[0], -1, 0)
    if raw.ndim == 3 and raw.shape[0] == 1:
        return raw
    if raw.ndim == 2:
        return raw[np.newaxis]
    raise OutputError(f"the output has the shape {list(raw.shape)}")


def sigmoid_in_place(values: NDArray[np.float32]) -> None:
    """values = 1 / (1 + exp(-values))"""
    np.clip(values, -MAX_LOGIT, MAX_LOGIT, out=values)
    np.negative(values, out=values)
    np.exp(values, out=values)
    np.add(values, 1.0, out=values)
    np.reciprocal(values, out=values)
