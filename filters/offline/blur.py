# SPDX-License-Identifier: GPL-2.0-or-later
"""The blurred room behind a person, as ``filters/effects/blur.effect`` and ``filters/obs/blur.py`` make it on the GPU:
a Gaussian mean of the room's pixels alone, in linear light, in a reduced picture; sizes and strengths are theirs.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from ..obs.blur import far_size, reduced_size, room_sigma_px
from .compose import Alpha, Picture, Plane, linear
from .planes import shrunk

# As in blur.effect.
PERSON_FROM, FAR_SHARE = 0.25, 0.02
# Reducing is a box; enlarging adds nothing here, because it is no B-spline.
BOX_VARIANCE = 1 / 12
# One pixel of the reduced picture is made of at least 2 x 2.
FINER = 2
_ROOM_OF_ALPHA = np.rint(255 * (1 - np.arange(256) / 255 / PERSON_FROM).clip(0, 1)).astype(np.uint8)


def finer_size(strength: float, width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture that ``blurred_room`` wants for a frame of ``width`` x ``height``."""
    reduced = reduced_size(room_sigma_px(strength, width, height), width, height)
    return min(reduced[0] * FINER, width), min(reduced[1] * FINER, height)


def blurred_room(picture_rgb: Picture, alpha: Alpha, strength: float) -> Plane:
    """The room, blurred: linear light, 0 to 1, reduced h x w x 3, to be enlarged.

    ``picture_rgb`` is the frame's area mean of ``finer_size``, uint8 or uint16; ``alpha`` HxW that of the whole frame.
    """
    height, width = alpha.shape
    sigma_px = room_sigma_px(strength, width, height)
    small = reduced_size(sigma_px, width, height)
    room = shrunk(np.asarray(cv2.LUT(alpha, _ROOM_OF_ALPHA), np.uint8), *picture_rgb.shape[1::-1])
    weight = room * np.float32(2 / 255) - np.float32(1)
    np.clip(weight, 0, 1, out=weight)  # a pixel that is half hers holds her colour
    weighted = np.dstack([linear(picture_rgb) * weight[:, :, None], weight])
    weighted = np.asarray(cv2.resize(weighted, small, interpolation=cv2.INTER_AREA), np.float32)
    weighted *= cv2.erode(weighted[:, :, 3], np.ones((3, 3), np.uint8))[:, :, None]
    far = far_away(weighted, far_size(width, height))
    deviations = [
        math.sqrt(max((sigma_px * side / whole) ** 2 - BOX_VARIANCE, 0.01))
        for side, whole in zip(small, (width, height))
    ]
    across, down = deviations
    total = np.asarray(
        cv2.GaussianBlur(weighted, (0, 0), across, sigmaY=down, borderType=cv2.BORDER_REPLICATE), np.float32
    )
    total += np.float32(FAR_SHARE) * np.clip(1 - total[:, :, 3:], 0, 1) * far
    return np.asarray(total[:, :, :3] / np.maximum(total[:, :, 3:], np.float32(1e-5)), np.float32)


def far_away(weighted: Plane, size: tuple[int, int]) -> Plane:
    """The colours of the whole room, the near ones more than the far: as large as ``weighted``, h x w x 4."""
    mean = np.asarray(cv2.resize(weighted, size, interpolation=cv2.INTER_AREA), np.float32)
    far = (nearness(*size) @ mean.reshape(-1, 4)).reshape(size[1], size[0], 4)
    return np.asarray(cv2.resize(far, weighted.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


@functools.cache
def nearness(width: int, height: int) -> Plane:
    """How much each pixel counts for each other in a picture of the whole room: rows that sum to 1."""
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    away = ((at[:, None] - at[None]) ** 2).sum(-1)
    weights = 1.0 / (1.0 + away) ** 2
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
