# SPDX-License-Identifier: GPL-2.0-or-later
"""The pictures that a network must show what it can do on before it meets a frame; always the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def self_test_picture(width: int, height: int) -> NDArray[np.uint8]:
    """A picture with gradients, a head-and-shoulders shape and fixed noise: HxWx4 uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height
    picture = np.empty((height, width, 4), np.float32)
    picture[..., 0] = 60 + 120 * y
    picture[..., 1] = 120 + 100 * x
    picture[..., 2] = 150 - 80 * y
    picture[..., 3] = 255
    person = ((x / 0.11) ** 2 + ((y - 0.38) / 0.2) ** 2 < 1) | ((x / 0.28) ** 2 + ((y - 1.0) / 0.42) ** 2 < 1)
    picture[person, :3] = picture[person, :3] * 0.4 + np.array([120.0, 80.0, 60.0], np.float32)
    picture[..., :3] += np.random.default_rng(1).normal(0.0, 3.0, (height, width, 3)).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def noise_picture(width: int, height: int) -> NDArray[np.uint8]:
    """Coarse black and white blocks and fine noise: what drives a network to the ends of its range. HxWx4 uint8."""
    random = np.random.default_rng(2)
    blocks = random.integers(0, 2, (8, 8, 3)) * 220
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    picture = np.full((height, width, 4), 255, np.uint8)
    picture[..., :3] = blocks[rows][:, columns] + random.integers(0, 36, (height, width, 3))
    return picture
