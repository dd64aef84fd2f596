# SPDX-License-Identifier: GPL-2.0-or-later
"""Sharp edges at the source's size from a small mask: the guided filter on colour.

Within a small window the mask is taken for a linear function of the picture's colours, alpha = a · RGB + b (He, Sun and
Tang 2013, doi:10.1109/TPAMI.2012.213). The factors are computed at half the mask's size (the fast guided filter, He and
Sun 2015, arXiv:1505.00996); the shader applies them to the colours of the full-size frame, so that the mask's edge
falls onto the picture's. Away from the mask's edge the mask is kept as it is: there the colours say nothing, and the
windows of the edge would reach into the person.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Window to either side, in pixels of half the mask's size, and the variance below which colours count as one.
# Measured on people composed over offices at 1920x1080: the best of radius 1 to 6 and variance 1e-5 to 3e-3.
RADIUS_PX = 2
VARIANCE = 1e-3
# Where the mask changes less than the first within 2 pixels it is kept, from the second on it is guided.
FLAT, STEEP = 0.3, 0.8

Plane = NDArray[np.float32]
# Rows of the planes: three colours, the mask, colour times mask, and the six products of two colours.
_COLOURS, _MASK, _CROSS, _SQUARES = slice(0, 3), 3, slice(4, 7), slice(7, 10)
_RG, _RB, _GB = 10, 11, 12
_AROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


class EdgeGuide:
    """Makes the factors for one stream of masks; keeps its buffers, so it is for one thread."""

    def __init__(self) -> None:
        self._planes = np.empty((0, 0, 0), np.float32)
        self._factors = np.empty((0, 0, 0), np.float32)

    def factors(self, alpha: NDArray[np.uint8], frame_rgba: NDArray[np.uint8]) -> Plane:
        """Factors float32 H/2 x W/2 x 4 (for red, green, blue, and the constant) of an HxW uint8 mask.

        ``frame_rgba`` is the HxWx4 uint8 frame that the mask belongs to. For colours of 0 to 1, a · RGB + b is alpha in
        0 to 1, or a little outside.
        """
        self._fill(alpha, frame_rgba)
        planes, factors = self._planes, self._factors
        mask = planes[_MASK].copy()
        for plane in planes:
            box(plane)
        solve(planes, factors)
        for plane in factors:
            box(plane)
        guided = steepness(mask)
        factors *= guided
        factors[3] += mask * (1 - guided)
        return np.asarray(cv2.merge(list(factors)), np.float32)

    def _fill(self, alpha: NDArray[np.uint8], frame_rgba: NDArray[np.uint8]) -> None:
        """Put colours, mask and their products into the 13 planes."""
        height, width = (max(side // 2, 1) for side in alpha.shape)
        if self._planes.shape != (13, height, width):
            self._planes = np.empty((13, height, width), np.float32)
            self._factors = np.empty((4, height, width), np.float32)
        planes = self._planes
        scale = np.float32(1 / 255)
        small_rgba = cv2.resize(frame_rgba, (width, height), interpolation=cv2.INTER_AREA)
        np.multiply(small_rgba[:, :, :3].transpose(2, 0, 1), scale, out=planes[_COLOURS])
        np.multiply(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA), scale, out=planes[_MASK])
        np.multiply(planes[_COLOURS], planes[_MASK], out=planes[_CROSS])
        np.multiply(planes[_COLOURS], planes[_COLOURS], out=planes[_SQUARES])
        for product, first, second in ((_RG, 0, 1), (_RB, 0, 2), (_GB, 1, 2)):
            np.multiply(planes[first], planes[second], out=planes[product])


def steepness(mask: Plane) -> Plane:
    """How much a mask of 0 to 1 changes around each pixel: 0 up to `FLAT`, 1 from `STEEP` on, smoothed."""
    change = np.subtract(cv2.dilate(mask, _AROUND), cv2.erode(mask, _AROUND), dtype=np.float32)
    change -= np.float32(FLAT)
    change *= np.float32(1 / (STEEP - FLAT))
    return np.asarray(cv2.blur(np.clip(change, 0, 1, out=change), (3, 3)))


def box(plane: Plane) -> None:
    """Replace each pixel by the mean of its window, in place."""
    side = 2 * RADIUS_PX + 1
    cv2.blur(plane, (side, side), dst=plane)


def to_half(values: Plane) -> NDArray[np.float16]:
    """The values as half floats, ten times as fast as NumPy does it."""
    if hasattr(cv2, "convertFp16"):  # OpenCV 4, where the sum below can't be of half floats
        return np.asarray(cv2.convertFp16(values)).view(np.float16)
    return np.asarray(cv2.add(values, np.zeros_like(values), dtype=cv2.CV_16F))


def solve(means: Plane, factors: Plane) -> None:
    """The linear function of the colours that fits the mask best in each window; fills 4 planes of ``factors``.

    ``means`` are the planes of ``EdgeGuide``, averaged. The 3x3 covariance of the colours is inverted by its cofactors.
    """
    red, green, blue = colours = means[_COLOURS]
    cross = means[_CROSS] - colours * means[_MASK]
    rr, gg, bb = means[_SQUARES] - colours * colours + np.float32(VARIANCE)
    rg, rb, gb = means[_RG] - red * green, means[_RB] - red * blue, means[_GB] - green * blue
    c_rr, c_rg, c_rb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    inverse = 1 / (rr * c_rr + rg * c_rg + rb * c_rb)
    factors[0] = (c_rr * cross[0] + c_rg * cross[1] + c_rb * cross[2]) * inverse
    factors[1] = (c_rg * cross[0] + c_gg * cross[1] + c_gb * cross[2]) * inverse
    factors[2] = (c_rb * cross[0] + c_gb * cross[1] + c_bb * cross[2]) * inverse
    factors[3] = means[_MASK] - (factors[:3] * colours).sum(0)
