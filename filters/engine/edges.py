# SPDX-License-Identifier: GPL-2.0-or-later
"""Sharp edges at the source's size from a small mask: the guided filter on colour.

Within a small window the mask is taken for a linear function of the picture's colours, alpha = a · RGB + b (He, Sun and
Tang 2013, doi:10.1109/TPAMI.2012.213). The factors are computed at half the mask's size (the fast guided filter, He and
Sun 2015, arXiv:1505.00996); the shader applies them to the colours of the full-size frame, so that the mask's edge
falls onto the picture's. Away from the mask's edge the mask is kept as it is: there the colours say nothing, and the
windows of the edge would reach into the person.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Window to either side, in pixels of half the mask's size, and the variance below which colours count as one.
# Measured on people composed over offices at 1920x1080: the best of radius 1 to 6 and variance 1e-5 to 3e-3.
RADIUS_PX = 2
VARIANCE = 1e-3
# Where the mask changes less than the first within 2 pixels it is kept, from the second on it is guided.
FLAT, STEEP = 0.3, 0.8

Byte = NDArray[np.uint8]
Plane = NDArray[np.float32]
# What is averaged: the colours in a circle, so that "the next" and "the one after that" are slices, too; the mask; and
# products: colour times mask, the colours' squares, and for each colour that of the two others.
_COLOURS, _NEXT, _AFTER_NEXT, _MASK = slice(0, 3), slice(1, 4), slice(2, 5), 5
_CROSS, _SQUARES, _OTHERS = slice(6, 9), slice(9, 12), slice(12, 15)
_PLANES = 15
_WINDOW = (2 * RADIUS_PX + 1, 2 * RADIUS_PX + 1)
_REACH_PX = 2 * RADIUS_PX  # of a mean of means
_AROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
_ONE = np.float32(255)
GUIDED = 65535.0  # the weight of what is guided entirely; whole numbers, as they are averaged faster
_RAMP = np.rint(((np.arange(256) / 255 - FLAT) / (STEEP - FLAT)).clip(0, 1) * GUIDED).astype(np.uint16)


class EdgeGuide:
    """Makes the factors for one stream of masks; keeps its buffers, so it is for one thread."""

    def __init__(self) -> None:
        self._planes = np.empty((0, _PLANES, 0), np.uint16)
        self._means = np.empty((0, _PLANES, 0), np.float32)

    def factors(self, mask_r8: NDArray[np.uint8], small_rgba: NDArray[np.uint8]) -> Plane:
        """Factors float32 HxWx4 (for red, green, blue, and the constant) of an HxW uint8 mask.

        ``small_rgba`` is the picture that the mask belongs to, HxWx4 uint8; both are ``halved``. For colours of 0 to 1,
        a · RGB + b is alpha in 0 to 1, or a little outside.
        """
        factors = np.zeros((*mask_r8.shape, 4), np.float32)
        np.multiply(mask_r8, 1 / _ONE, out=factors[:, :, 3])
        guided, (left, top, wide, high) = steepness(mask_r8)
        if not wide:
            return factors
        # Only the part that holds the mask's edge is computed, with all around it that its means need.
        around = np.s_[top : top + high + 2 * _REACH_PX, left : left + wide + 2 * _REACH_PX]
        fitted = cv2.merge(list(solve(self._averaged(padded(small_rgba)[around], padded(mask_r8)[around]))))
        fitted = cv2.blur(fitted, _WINDOW)[RADIUS_PX : RADIUS_PX + high, RADIUS_PX : RADIUS_PX + wide]
        part = np.s_[top : top + high, left : left + wide]
        factors[part] = cv2.blendLinear(fitted, factors[part], guided[part], GUIDED - guided[part])
        return factors

    def _averaged(self, small_rgba: Byte, mask_r8: Byte) -> Plane:
        """The planes, each pixel the mean of its window: in steps of 255, products in those of 255 squared.

        Without the outermost pixels, whose windows are not whole: the planes lie side by side, and one call averages
        them all.
        """
        height, width = mask_r8.shape
        if self._means.shape != (height, _PLANES, width):
            self._planes = np.empty((height, _PLANES, width), np.uint16)
            self._means = np.empty((height, _PLANES, width), np.float32)
        planes = self._planes
        planes[:, _COLOURS] = small_rgba[:, :, :3].transpose(0, 2, 1)
        planes[:, 3:5] = planes[:, 0:2]
        planes[:, _MASK] = mask_r8
        np.multiply(planes[:, _COLOURS], planes[:, _MASK, None], out=planes[:, _CROSS])
        np.multiply(planes[:, _COLOURS], planes[:, _COLOURS], out=planes[:, _SQUARES])
        np.multiply(planes[:, _NEXT], planes[:, _AFTER_NEXT], out=planes[:, _OTHERS])
        cv2.boxFilter(planes.reshape(height, -1), cv2.CV_32F, _WINDOW, dst=self._means.reshape(height, -1))
        whole = slice(RADIUS_PX, -RADIUS_PX)
        return np.ascontiguousarray(self._means[whole, :, whole].transpose(1, 0, 2))


def padded(picture: Byte) -> Byte:
    """The picture, continued at its borders as far as means of means reach, and as they would."""
    return np.asarray(cv2.copyMakeBorder(picture, *(_REACH_PX,) * 4, cv2.BORDER_REFLECT_101), np.uint8)


def steepness(mask_r8: Byte) -> tuple[Plane, Sequence[int]]:
    """How much a uint8 mask changes around each pixel: 0 up to `FLAT`, `GUIDED` from `STEEP` on, smoothed; and the
    rectangle (left, top, width, height) that holds all that is above 0."""
    change = cv2.subtract(cv2.dilate(mask_r8, _AROUND), cv2.erode(mask_r8, _AROUND))
    guided = np.asarray(cv2.boxFilter(cv2.LUT(change, _RAMP), cv2.CV_32F, (3, 3)), np.float32)
    return guided, cv2.boundingRect((guided > 0).view(np.uint8))


def to_half(values: Plane) -> NDArray[np.float16]:
    """The values as half floats, ten times as fast as NumPy does it."""
    if hasattr(cv2, "convertFp16"):  # OpenCV 4, where the sum below can't be of half floats
        return np.asarray(cv2.convertFp16(values)).view(np.float16)
    return np.asarray(cv2.add(values, np.zeros_like(values), dtype=cv2.CV_16F))


def solve(means: Plane) -> Plane:
    """The linear function of the colours that fits the mask best in each window: 4 planes of factors.

    ``means`` are the planes of ``EdgeGuide``, averaged. The 3x3 covariance of the colours is inverted by its cofactors.
    """
    colours, mask = means[_COLOURS], means[_MASK]
    _, height, width = means.shape
    # In a circle again: the mask's covariance with each colour, the colours' variances, and those of the two others.
    towards, squares, others = circles = np.empty((3, 5, height, width), np.float32)
    np.subtract(means[_CROSS], colours * mask, out=towards[:3])
    np.subtract(means[_SQUARES], colours * colours, out=squares[:3])
    squares[:3] += np.float32(VARIANCE * 255 * 255)
    np.subtract(means[_OTHERS], means[_NEXT] * means[_AFTER_NEXT], out=others[:3])
    circles[:, 3:] = circles[:, :2]
    # Cofactors: those on the diagonal, and for each colour that of the two others.
    on_diagonal = squares[1:4] * squares[2:5]
    on_diagonal -= others[:3] * others[:3]
    beside = np.empty((5, height, width), np.float32)
    np.multiply(others[1:4], others[2:5], out=beside[:3])
    beside[:3] -= others[:3] * squares[:3]
    beside[3:] = beside[:2]
    determinant = squares[0] * on_diagonal[0]
    determinant += others[2] * beside[2]
    determinant += others[1] * beside[1]
    factors = np.empty((4, height, width), np.float32)
    slopes = np.multiply(on_diagonal, towards[:3], out=factors[:3])
    slopes += beside[2:5] * towards[1:4]
    slopes += beside[1:4] * towards[2:5]
    slopes /= determinant
    np.subtract(mask, np.add.reduce(slopes * colours), out=factors[3])
    factors[3] *= 1 / _ONE
    return factors
