# SPDX-License-Identifier: GPL-2.0-or-later
"""From a frame's bytes to a network's input tensor, without allocating in the loop."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...models.catalog import InputSpec

FRAME_CHANNEL = {"R": 0, "G": 1, "B": 2}  # frames are RGBA
Byte = NDArray[np.uint8]
Dtype = type[np.float32] | type[np.float16] | type[np.uint8]


def view_frame(pixels: bytes | bytearray | memoryview, width: int, height: int, row_bytes: int) -> NDArray[np.uint8]:
    """A frame's bytes as an HxWx4 uint8 RGBA picture that shares their memory."""
    rows = np.frombuffer(pixels, np.uint8, count=height * row_bytes).reshape(height, row_bytes)
    return rows[:, : width * 4].reshape(height, width, 4)


def halved(picture: Byte) -> Byte:
    """A picture at half its width and height (rounded down, at least 1), by area mean; uint8, any channels."""
    height, width = (max(side // 2, 1) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class Fills(Protocol):
    """Something that makes the input tensor of a frame."""

    def fill(self, frame_rgba: NDArray[np.uint8]) -> NDArray[Any]:
        """Convert an HxWx4 uint8 RGBA frame of exactly the input's size; returns the reused tensor."""
        ...


def make_preparer(spec: InputSpec, dtype: Dtype) -> Fills:
    """The preparer for the type of number that the network takes; the mask of the frame before is left to Memory."""
    return BytePreparer(spec) if dtype is np.uint8 else Preparer(spec, dtype)


class Preparer:
    """Fills the colours of the input tensor: ``x = (pixel * scale - mean) / std``, in the network's order."""

    def __init__(self, spec: InputSpec, dtype: Dtype = np.float32) -> None:
        self.tensor, planes = empty_tensor(spec, dtype)
        self._bytes = [np.empty((spec.height, spec.width), np.uint8) for _ in range(4)]
        self._planes = [
            (
                planes[i],
                FRAME_CHANNEL[name],
                np.float32(spec.scale / spec.std[i]),
                np.float32(-spec.mean[i] / spec.std[i]),
            )
            for i, name in enumerate(spec.channels[:3])
        ]

    def fill(self, frame_rgba: NDArray[np.uint8]) -> NDArray[Any]:
        """Convert an HxWx4 uint8 RGBA frame of exactly the input's size; returns the reused tensor."""
        cv2.split(frame_rgba, self._bytes)  # NumPy takes three times as long for every fourth byte
        for plane, channel, factor, offset in self._planes:
            np.multiply(self._bytes[channel], factor, out=plane, casting="same_kind")
            if offset:
                np.add(plane, offset, out=plane, casting="same_kind")
        return self.tensor


class BytePreparer:
    """Fills the input tensor of a network that takes the bytes as they are."""

    def __init__(self, spec: InputSpec) -> None:
        self.tensor, self._planes = empty_tensor(spec, np.uint8)
        self._bytes = [np.empty((spec.height, spec.width), np.uint8) for _ in range(4)]
        self._order = [FRAME_CHANNEL[name] for name in spec.channels[:3]]

    def fill(self, frame_rgba: NDArray[np.uint8]) -> NDArray[Any]:
        """Convert an HxWx4 uint8 RGBA frame of exactly the input's size; returns the reused tensor."""
        cv2.split(frame_rgba, self._bytes)
        for plane, channel in zip(self._planes, self._order):
            np.copyto(plane, self._bytes[channel])
        return self.tensor


def empty_tensor(spec: InputSpec, dtype: Dtype) -> tuple[NDArray[Any], NDArray[Any]]:
    """A tensor of the input's shape, zeros, and ``planes_of`` it."""
    planes = len(spec.channels)
    shape = (planes, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, planes)
    tensor: NDArray[Any] = np.zeros((1, *shape), dtype)
    return tensor, planes_of(tensor, spec.layout)


def planes_of(tensor: NDArray[Any], layout: str) -> NDArray[Any]:
    """A view of an input tensor as planes x h x w; with ``InputSpec.takes_mask`` the last is the mask."""
    return tensor[0] if layout == "NCHW" else np.moveaxis(tensor[0], -1, 0)
