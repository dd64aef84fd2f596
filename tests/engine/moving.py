# SPDX-License-Identifier: GPL-2.0-or-later
"""A textured person who moves before a textured room, with her mask."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (256, 144)
FRAME_NS = 33_333_333
FRAME_MS = FRAME_NS / 1e6


def texture(size: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Colours of this size (width, height), rough and fine ones as in photographs: H x W x 3, 0 to 255."""
    rng = np.random.default_rng(seed)
    picture = np.full((size[1], size[0], 3), 128, np.float32)
    for cells, weight in ((3, 70.0), (6, 40.0), (12, 25.0), (24, 15.0), (48, 8.0)):
        coarse = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        picture += weight * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(picture.clip(0, 255), np.float32)


def scene(x: float, noise_seed: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A textured person at x before a textured room: alpha HxW and frame HxWx4, uint8."""
    room, person = texture(SIZE, 5), texture((120, 120), 6)
    shape = np.zeros((120, 120), np.uint8)
    cv2.ellipse(shape, (60, 70), (50, 48), 0, 0, 360, 255, -1)
    place = np.array([[1, 0, x], [0, 1, 20]], np.float32)
    alpha = np.asarray(cv2.warpAffine(shape, place, SIZE), np.uint8)
    cover = alpha[:, :, None] / 255
    picture = cv2.warpAffine(person, place, SIZE) * cover + room * (1 - cover)
    if noise_seed is not None:
        picture += np.random.default_rng(noise_seed).normal(0, 2, picture.shape)
    return alpha, np.dstack([picture.clip(0, 255).astype(np.uint8), np.full(SIZE[::-1], 255, np.uint8)])


def mad(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean() / 255)
