# SPDX-License-Identifier: GPL-2.0-or-later
"""From what a network says to an alpha mask of the input's size, without allocating in the loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...models.catalog import OutputSpec

MAX_LOGIT = 30.0  # e**30 still fits a float; the mask is 0 or 255 long before
LEAST_SALIENCY_RANGE = 0.05  # below this nothing stands out: stretching would make a person of an empty room
# What enlarging to twice the size, bilinearly, and halving by area mean do together, along one axis.
ENLARGED_AND_HALVED = np.array([0.125, 0.75, 0.125])

Float = NDArray[np.float32]
PlaneOf = Callable[[NDArray[Any]], Float]


class OutputError(Exception):
    """A network's output is not what its entry says, or not finite."""


class AlphaDecoder:
    """Turns raw outputs into uint8 alpha of ``height`` x ``width``.

    Bilinear upsampling comes before the sigmoid: across an edge logits are nearly linear, probabilities not. What
    the spec asks for is chosen here once; the loop only calls it.
    """

    def __init__(self, spec: OutputSpec, width: int, height: int) -> None:
        self._size = (width, height)
        self._buffers = {
            shape: (np.empty(shape, np.float32), np.empty(shape, np.uint8))
            for shape in ((height, width), (height // 2, width // 2))
        }
        self._plane = plane_reader(spec)
        self._finish = finisher(spec)

    def decode(self, raw: NDArray[Any], may_be_half: bool = False) -> NDArray[np.uint8]:
        """Alpha HxW uint8, reused by the next call; OutputError for a wrong shape, NaN or infinity.

        ``may_be_half``: of an output that is half as large as the input, alpha is, too.
        """
        plane = self._plane(raw)
        if not math.isfinite(float(plane.sum())):
            raise OutputError("the output holds values that are not finite")
        width, height = self._size
        stays_half = may_be_half and plane.shape == (height // 2, width // 2)
        values, alpha = self._buffers[plane.shape if stays_half else (height, width)]
        if stays_half:
            cv2.sepFilter2D(
                plane, -1, ENLARGED_AND_HALVED, ENLARGED_AND_HALVED, values, borderType=cv2.BORDER_REPLICATE
            )
        elif plane.shape == values.shape:
            np.copyto(values, plane)
        else:
            cv2.resize(plane, self._size, dst=values, interpolation=cv2.INTER_LINEAR)
        self._finish(values)
        cv2.convertScaleAbs(values, dst=alpha, alpha=255.0)  # rounds to the nearest
        return alpha


def plane_reader(spec: OutputSpec) -> PlaneOf:
    """What takes the person's plane out of a raw output: h x w float32, a logit or a probability (``finisher``)."""
    layout, index = spec.layout, spec.channel

    def channel(raw: NDArray[Any]) -> Float:
        return np.ascontiguousarray(channels_first(raw, layout)[index], np.float32)

    def byte_channel(raw: NDArray[Any]) -> Float:
        plane = channel(raw)
        if raw.dtype == np.uint8:
            plane *= np.float32(1 / 255)
        return plane

    def softmax(raw: NDArray[Any]) -> Float:
        return against_the_rest(channels_first(raw, layout), index)

    def class_number(raw: NDArray[Any]) -> Float:
        return cast(Float, (channels_first(raw, layout)[0] == index).astype(np.float32))

    def saliency(raw: NDArray[Any]) -> Float:
        return stretched(channel(raw))

    readers: dict[str, PlaneOf] = {
        "logits": channel,
        "probability": byte_channel,
        "softmax_logits": softmax,
        "classes": class_number,
        "saliency": saliency,
    }
    return readers[spec.kind]


def finisher(spec: OutputSpec) -> Callable[[Float], None]:
    """What makes a probability of the person, in place, of what ``plane_reader`` gave."""
    if spec.kind in ("logits", "softmax_logits"):
        return inverse_sigmoid_in_place if spec.inverted else sigmoid_in_place
    return inverse_clip_in_place if spec.inverted else clip_in_place


def against_the_rest(channels: NDArray[Any], index: int) -> Float:
    """Softmax of one class against all others, as the logit of a sigmoid: its logit minus log-sum-exp of theirs.

    ``channels`` C x h x w; returns h x w float32.
    """
    if len(channels) == 2:
        return np.ascontiguousarray(np.subtract(channels[index], channels[1 - index], dtype=np.float32))
    rest = np.array(channels, np.float32, order="C")
    person = rest[index].copy()
    rest[index] = -np.inf
    largest = rest.max(axis=0)
    np.subtract(rest, largest, out=rest)
    np.exp(rest, out=rest)
    total = rest.sum(axis=0)
    np.log(total, out=total)
    return cast(Float, person - (largest + total))


def stretched(plane: Float) -> Float:
    """From the least to the largest value as 0 to 1, as U2-Net's authors do with its maps; in place.

    Source: normPRED in https://github.com/xuebinqin/U-2-Net (arXiv 2005.09007).
    """
    least, largest = float(plane.min()), float(plane.max())
    if largest - least >= LEAST_SALIENCY_RANGE:
        plane -= np.float32(least)
        plane *= np.float32(1 / (largest - least))
    return plane


def channels_first(raw: NDArray[Any], layout: str) -> NDArray[Any]:
    """An output of rank 2 to 4 as channels x h x w; OutputError if it is none."""
    if raw.ndim == 4 and raw.shape[0] == 1:
        return raw[0] if layout == "NCHW" else np.moveaxis(raw[0], -1, 0)
    if raw.ndim == 3 and (raw.shape[0] == 1 or layout == "NCHW"):
        return raw
    if raw.ndim == 3:
        return np.moveaxis(raw, -1, 0)
    if raw.ndim == 2:
        return raw[np.newaxis]
    raise OutputError(f"the output has the shape {list(raw.shape)}")


def sigmoid_in_place(values: Float) -> None:
    """values = 1 / (1 + exp(-values))"""
    np.clip(values, -MAX_LOGIT, MAX_LOGIT, out=values)
    np.negative(values, out=values)
    np.exp(values, out=values)
    np.add(values, 1.0, out=values)
    np.reciprocal(values, out=values)


def inverse_sigmoid_in_place(values: Float) -> None:
    """values = 1 / (1 + exp(values)): for what says how sure it is of the background."""
    np.negative(values, out=values)
    sigmoid_in_place(values)


def clip_in_place(values: Float) -> None:
    """Keep values within 0 to 1."""
    np.clip(values, 0.0, 1.0, out=values)


def inverse_clip_in_place(values: Float) -> None:
    """values = 1 - values, within 0 to 1."""
    np.subtract(1.0, values, out=values)
    np.clip(values, 0.0, 1.0, out=values)
