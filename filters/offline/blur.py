# SPDX-License-Identifier: GPL-2.0-or-later
"""The blurred room behind a person, as ``filters/effects/blur.effect`` and ``filters/obs/blur.py`` make it on the GPU:
a Gaussian mean of the room's pixels alone, in linear light, in a reduced picture; sizes and strengths are theirs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np

from ..obs.blur import LEAST_AT_FALLOFF, OTHER_VARIANCE, far_size, reduced_size, room_sigma_px
from .compose import Alpha, Picture, Plane, linear
from .planes import shrunk

# As in blur.effect.
PERSON_FROM, FAR_SHARE, FAR_DOWN_TO, LEAST_DEVIATION = 0.25, 0.02, 0.35, 0.1
# Reducing is a box; enlarging adds nothing here, because it is no B-spline. On the GPU it does, whatever the falloff.
BOX_VARIANCE = 1 / 12
SPLINE_VARIANCE = OTHER_VARIANCE - BOX_VARIANCE
REACH_SIGMAS = 4  # a Gaussian is cut off there, as OpenCV's are
# One pixel of the reduced picture is made of at least 2 x 2.
FINER = 2
_ROOM_OF_ALPHA = np.rint(255 * (1 - np.arange(256) / 255 / PERSON_FROM).clip(0, 1)).astype(np.uint8)


def finer_size(strength: float, width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture that ``blurred_room`` wants for a frame of ``width`` x ``height``."""
    reduced = reduced_size(room_sigma_px(strength, width, height), width, height)
    return min(reduced[0] * FINER, width), min(reduced[1] * FINER, height)


def blurred_room(picture_rgb: Picture, alpha: Alpha, strength: float, falloff: float) -> Plane:
    """The room, blurred: linear light, 0 to 1, reduced h x w x 3, to be enlarged.

    ``picture_rgb`` is the frame's area mean of ``finer_size``, uint8 or uint16; ``alpha`` HxW that of the whole frame.
    ``strength`` is 0 to 1, and so is ``falloff``: how much weaker the blur is at the lower edge.
    """
    height, width = alpha.shape
    sigma_px = room_sigma_px(strength, width, height)
    small = reduced_size(sigma_px, width, height)
    room = shrunk(np.asarray(cv2.LUT(alpha, _ROOM_OF_ALPHA), np.uint8), *picture_rgb.shape[1::-1])
    weight = room * np.float32(2 / 255) - np.float32(1)
    np.clip(weight, 0, 1, out=weight)  # a pixel that is half hers holds her colour
    finer = cv2.merge([*(linear(np.asarray(colour)) * weight for colour in cv2.split(picture_rgb)), weight])
    weighted = np.asarray(cv2.resize(finer, small, interpolation=cv2.INTER_AREA), np.float32)
    weighted *= cv2.erode(weighted[:, :, 3], np.ones((3, 3), np.uint8))[:, :, None]
    far = far_away(weighted, far_size(width, height))
    deviations = [
        math.sqrt(max((sigma_px * side / whole) ** 2 - BOX_VARIANCE, 0.01))
        for side, whole in zip(small, (width, height))
    ]
    total = falling_mean(weighted, deviations, falloff) if falloff else even_mean(weighted, deviations)
    total += np.float32(FAR_SHARE) * np.clip(1 - total[:, :, 3:], 0, 1) * far
    return np.asarray(total[:, :, :3] / np.maximum(total[:, :, 3:], np.float32(1e-5)), np.float32)


def even_mean(weighted: Plane, deviations: Sequence[float]) -> Plane:
    """The Gaussian mean of ``weighted``, h x w x 4; its deviations across and down are in pixels."""
    across, down = deviations
    mean = cv2.GaussianBlur(weighted, (0, 0), across, sigmaY=down, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mean, np.float32)


def falling_mean(weighted: Plane, deviations: Sequence[float], falloff: float) -> Plane:
    """As ``even_mean``, with deviations that fall toward the lower edge: each row of the result has its own."""
    height, width = weighted.shape[:2]
    across, down = (gaussians(falling(deviation, falloff, height)) for deviation in deviations)
    reach = down.shape[1] // 2
    mean = np.empty_like(weighted)
    padded = np.empty((height + 2 * reach, width, 4), np.float32)
    one = np.ones(1, np.float32)
    for row, weights in enumerate(across):
        line = weighted[row : row + 1]
        padded[reach + row] = cv2.sepFilter2D(line, -1, weights, one, borderType=cv2.BORDER_REPLICATE)
    padded[:reach], padded[reach + height :] = padded[reach], padded[reach + height - 1]
    lines = padded.reshape(len(padded), -1)
    for row, weights in enumerate(down):
        np.dot(weights, lines[row : row + len(weights)], out=mean[row].reshape(-1))
    return mean


def falling(deviation: float, falloff: float, rows: int) -> Plane:
    """The deviation of each row, ``rows`` float32: as FallingGaussian in blur.effect has it, with the part that
    enlarging adds there, so that none is missing here."""
    down = (np.arange(rows) + 0.5) / rows
    part = ((down - FAR_DOWN_TO) / (1 - FAR_DOWN_TO)).clip(0, 1)
    nearness = part * part * (3 - 2 * part)
    own = math.sqrt(max(deviation**2 - SPLINE_VARIANCE, LEAST_DEVIATION**2))
    own_of_rows = np.maximum(own * (1 - LEAST_AT_FALLOFF * falloff * nearness), LEAST_DEVIATION)
    return np.asarray(np.sqrt(own_of_rows**2 + SPLINE_VARIANCE), np.float32)


def gaussians(deviations: Plane) -> Plane:
    """A Gaussian for each deviation, in rows that sum to 1, as wide as the widest wants it."""
    reach = math.ceil(REACH_SIGMAS * float(deviations.max()))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviations[:, None]) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


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
