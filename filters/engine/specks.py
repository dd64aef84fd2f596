# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes away what is too small to be anybody, and closes what is too small to be a gap.

Sizes are relative to the subject, so that a person far from the camera counts like one close by. What was shown stays
until it is half as large as what appears anew has to be: a hand at the limit does not flicker.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

# Pixels from this mask value on hang together. Lower than the usual threshold: hair connects.
TOUCHING = 64
# Smallest part and smallest gap, as shares of the largest part's area. A raised hand that the frame or a sleeve cuts
# off has 2 to 5 % of the body seen from the chest up; a second person at four times the distance has 6 %.
LEAST_PART, LEAST_GAP = 0.015, 0.004
RIM_PX = 3  # drawn along a closed hole
KEPT_FACTOR = 0.5  # for a part or gap that was there in the mask before

Byte = NDArray[np.uint8]


class SpeckRemover:
    """The memory of one stream."""

    def __init__(self) -> None:
        self._before: Byte | None = None

    def remove(self, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The HxW uint8 mask without small islands (set to 0) and small holes (set to what is around them)."""
        before = self._before if self._before is not None and self._before.shape == alpha.shape else None
        solid = touching(alpha)
        parts = find_parts(solid)
        largest_px = max((part.area_px for part in parts), default=0.0)
        small = [part for part in parts if is_small(part, largest_px, before)]
        if small:
            alpha = alpha.copy()
            for part in small:
                if part.is_hole:
                    close(alpha, part)
                else:
                    draw(alpha, part, 0, 1)
            solid = touching(alpha)
        self._before = solid
        return alpha


class Part(NamedTuple):
    """A connected part of the mask, or a hole in one. The contour runs along the part's own outermost pixels, that of
    a hole along the pixels around it; ``area_px`` counts what lies within, the contour's pixels only for a part."""

    contour: NDArray[np.int32]
    area_px: float
    is_hole: bool


def close(alpha: Byte, hole: Part) -> None:
    """Fill a hole and its soft rim with what is around: in her that is 255, in a haze as much as the haze."""
    left, top, width, height = cv2.boundingRect(hole.contour)
    margin = 2 * RIM_PX
    rows, columns = (
        slice(max(top - margin, 0), top + height + margin),
        slice(max(left - margin, 0), left + width + margin),
    )
    filled, around = (np.zeros_like(alpha) for _ in range(2))
    draw(filled, hole, 1, RIM_PX)
    draw(around, hole, 1, margin)
    part = alpha[rows, columns]
    inside = filled[rows, columns] > 0
    part[inside] = np.median(part[(around[rows, columns] > 0) & ~inside])


def draw(picture: Byte, part: Part, value: int, thickness_px: int) -> None:
    """Draw all of a part, its contour included, which is so thick."""
    for thickness in (cv2.FILLED, thickness_px):
        cv2.drawContours(picture, [part.contour], 0, value, thickness)


def touching(alpha: Byte) -> Byte:
    """255 where the mask is `TOUCHING` or more, else 0."""
    return cast(Byte, cv2.threshold(alpha, TOUCHING - 1, 255, cv2.THRESH_BINARY)[1])


def find_parts(solid: Byte) -> list[Part]:
    """All parts and holes of a picture of 0 and 255."""
    contours, tree = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts = []
    for number, contour in enumerate(contours):
        is_hole = bool(tree[0, number, 3] >= 0)
        # Pick's theorem: a polygon through pixel centres has area + points / 2 + 1 pixels, or without its own
        # area - points / 2 + 1.
        points_px = len(contour) / 2 * (-1 if is_hole else 1)
        parts.append(Part(cast("NDArray[np.int32]", contour), cv2.contourArea(contour) + points_px + 1, is_hole))
    return parts


def is_small(part: Part, largest_px: float, before: Byte | None) -> bool:
    """Whether a part is too small beside the largest; less easily so if it was there in the mask before."""
    limit_px = largest_px * (LEAST_GAP if part.is_hole else LEAST_PART)
    if part.area_px >= limit_px or before is None or part.area_px < KEPT_FACTOR * limit_px:
        return part.area_px < limit_px
    inside = np.zeros_like(before)
    cv2.drawContours(inside, [part.contour], 0, 255.0, cv2.FILLED)
    if part.is_hole:
        cv2.drawContours(inside, [part.contour], 0, 0.0, 1)
        before = 255 - before
    return not (inside & before).any()
