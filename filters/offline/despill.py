# SPDX-License-Identifier: GPL-2.0-or-later
"""The person without the room's colour in her edge, as ``filters/effects/despill.effect`` makes her on the GPU: fast
foreground estimation by blur fusion (Forte 2021, arXiv:2006.14970), in the colours as they are stored.

What a pixel becomes is a sum of colours whose shares sum to 1. So it is the same whether these are red, green and blue
or what a video makes of them.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..obs.despill import GRID_SIDE, RADIUS_CELLS, SIGMA_CELLS
from .compose import Alpha, Plane
from .planes import Planes, shrunk

LEAST_SHARE = 0.001  # of her, and of the room, in what is averaged: as in despill.effect
AT_A_TIME = 1 << 15  # pixels: what is in between stays in the processor's cache

Stored = NDArray[Any]  # colours, HxW or HxWxC, uint8 or uint16


def despill(picture: Stored, alpha: Alpha, own_alpha: Alpha | None = None) -> None:
    """Give her own colours to the pixels of ``picture`` that ``alpha`` HxW says are hers in part. Works in place.

    ``own_alpha`` HxW is that of a picture which is transparent itself: there only what is opaque changes.
    """
    is_edge = np.asarray(cv2.inRange(alpha, 1, 254)).view(np.bool_)
    if own_alpha is not None:
        is_edge &= own_alpha == 255
    edge = np.flatnonzero(is_edge)
    if not edge.size:
        return
    around = colours_around(picture, alpha, own_alpha)
    pixels, share, largest = picture.reshape(alpha.size, -1), alpha.reshape(-1), largest_of(picture)
    for first in range(0, edge.size, AT_A_TIME):
        part = edge[first : first + AT_A_TIME]
        colours = pixels[part] * (1 / largest)
        own = own_colours(colours, share[part, None] * np.float32(1 / 255), sampled(around, part, *alpha.shape))
        pixels[part] = np.rint(own.clip(0, 1) * largest)


def despill_planes(frame: Planes, alpha: Alpha) -> None:
    """The same for a video's frame. The colour that four pixels share is hers by the mean of their alpha."""
    despill(frame.y, alpha)
    colours = np.dstack(frame[1:])
    despill(colours, shrunk(alpha, *frame.u.shape[::-1]))
    frame.u[:], frame.v[:] = cv2.split(colours)


def own_colours(colours: Plane, share: Plane, around: Plane) -> Plane:
    """Her colours, n x C, where ``colours`` n x C are hers by ``share`` n x 1; ``around`` as ``colours_around``."""
    count = colours.shape[1]
    hers, both, hers_share = around[:, :count], around[:, count:-1], around[:, -1:]
    person = hers / np.maximum(hers_share, LEAST_SHARE)
    room = (both - hers) / np.maximum(1 - hers_share, LEAST_SHARE)
    own = person + share * (colours - share * person - (1 - share) * room)
    return np.where(hers_share < LEAST_SHARE, colours, own)


def colours_around(picture: Stored, alpha: Alpha, own_alpha: Alpha | None = None) -> Plane:
    """The means around each cell of a coarse grid, h x w x (2C + 1), 0 to 1: of the colours times alpha, of the
    colours, and of alpha."""
    height, width = alpha.shape
    longer = max(width, height)
    size = max(round(GRID_SIDE * width / longer), 1), max(round(GRID_SIDE * height / longer), 1)
    method = cv2.INTER_AREA if longer > GRID_SIDE else cv2.INTER_LINEAR
    hers, both = times(picture, alpha), (picture, largest_of(picture))
    if own_alpha is not None:
        seen = np.asarray(cv2.multiply(alpha, own_alpha, scale=1 / 255), np.uint8)
        hers, both = times(picture, seen), times(picture, own_alpha)
    means = (
        np.asarray(cv2.resize(values, size, interpolation=method), np.float32) / largest
        for values, largest in (hers, both, (alpha, largest_of(alpha)))
    )
    side = 2 * RADIUS_CELLS + 1
    around = cv2.GaussianBlur(np.dstack([*means]), (side, side), SIGMA_CELLS, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(around, np.float32)


def times(picture: Stored, alpha: Alpha) -> tuple[Stored, np.float32]:
    """The colours times alpha, uint16, and what stands for 1 there."""
    of_all = alpha if picture.ndim == 2 else np.asarray(cv2.merge([alpha] * picture.shape[2]))
    if picture.dtype == np.uint8:
        return np.multiply(picture, of_all, dtype=np.uint16), np.float32(255 * 255)
    return np.asarray(cv2.multiply(picture, of_all, scale=1 / 255, dtype=cv2.CV_16U)), largest_of(picture)


def largest_of(colours: Stored) -> np.float32:
    """What stands for 1."""
    return np.float32(np.iinfo(colours.dtype).max)


def sampled(cells: Plane, pixels: NDArray[np.intp], height: int, width: int) -> Plane:
    """What ``cells`` h x w x C are at some pixels of a picture of ``height`` x ``width``, given by their numbers:
    n x C, linear between the cells' centres."""
    rows, columns = cells.shape[:2]
    down, across = np.divmod(pixels, width)
    (top, bottom, below), (left, right, beside) = neighbours(down, height, rows), neighbours(across, width, columns)
    lines = cells.reshape(rows * columns, -1)
    upper, lower = (
        between(lines.take(row * columns + left, axis=0), lines.take(row * columns + right, axis=0), beside)
        for row in (top, bottom)
    )
    return between(upper, lower, below)


def between(first: Plane, second: Plane, share: Plane) -> Plane:
    """Both, the second by its ``share``. Works in place."""
    second -= first
    second *= share
    first += second
    return first


def neighbours(places: NDArray[np.intp], size: int, cells: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Plane]:
    """The cells to either side of places along an axis, and how much of the second counts, n x 1."""
    at = np.clip((places + 0.5) * (cells / size) - 0.5, 0, cells - 1)
    first = at.astype(np.intp)
    return first, np.minimum(first + 1, cells - 1), (at - first).astype(np.float32)[:, None]
