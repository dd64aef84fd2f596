# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``filters/effects/compose.effect`` and ``filters/obs/compose.py`` do on the GPU, on the processor.

The numbers are those of the shader: bilinear sampling at pixel centres, the guided filter's factors applied to the
colours of the whole picture, ramp, feather; blending in linear light, as OBS blends.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..obs.edge import FEATHER_SIGMAS
from ..obs.other_source import Backdrop
from ..obs.settings import FilterSettings

# Rows that are worked on at a time: what is in between stays in the processor's cache, and memory small.
BAND_ROWS = 64
LINEAR_STEPS = 65535  # of the table that makes 8-bit sRGB of linear light

Alpha = NDArray[np.uint8]
Picture = NDArray[Any]  # HxWx3 RGB, uint8 or uint16
Plane = NDArray[np.float32]


def alpha_of(mask: NDArray[Any], picture_rgb: Picture, settings: FilterSettings) -> Alpha:
    """The alpha, HxW uint8, that the filter draws ``picture_rgb`` with.

    ``mask`` is what ``Segmenter.segment`` gave: alpha h x w uint8, or factors float16 h x w x 4.
    """
    return shaped(draw_alpha(planes_of(mask), picture_rgb, settings.ramp()), settings)


def shaped(alpha: Alpha, settings: FilterSettings) -> Alpha:
    """Alpha at the picture's size, grown, feathered and turned round as the settings want it."""
    alpha = grow(alpha, settings.grow_px)
    if settings.feather_px > 0:
        alpha = feather(alpha, settings.feather_px)
    return np.asarray(cv2.bitwise_not(alpha), np.uint8) if settings.invert else alpha


def planes_of(mask: NDArray[Any]) -> list[Plane]:
    """A mask's numbers as float32 planes of h x w: the alpha in 0 to 1, or the four factors."""
    if mask.ndim == 2:
        return [np.multiply(mask, np.float32(1 / 255), dtype=np.float32)]
    return [np.ascontiguousarray(mask[:, :, channel], np.float32) for channel in range(4)]


def draw_alpha(planes: list[Plane], picture_rgb: Picture, ramp: tuple[float, float]) -> Alpha:
    """The planes enlarged to the picture's size, with its colours, through the ramp (low, high): HxW uint8."""
    height, width = picture_rgb.shape[:2]
    source_rows = planes[0].shape[0]
    wide = [widened_to(width, plane) for plane in planes]
    weights = row_weights(source_rows, height)
    low, high = ramp
    scale = np.float32(255 / (high - low))
    of_colour = np.float32(1 / np.iinfo(picture_rgb.dtype).max)
    alpha = np.empty((height, width), np.uint8)
    for top in range(0, height, BAND_ROWS):
        band = slice(top, min(top + BAND_ROWS, height))
        used = np.flatnonzero(weights[band].any(axis=0))
        rows = slice(int(used[0]), int(used[-1]) + 1)
        values = weights[band, rows] @ wide[-1][rows]
        if len(wide) > 1:
            add_colours(values, weights[band, rows], [plane[rows] for plane in wide[:3]], picture_rgb[band], of_colour)
        values -= np.float32(low)
        values *= scale
        np.clip(values, 0, 255, out=values)
        cv2.convertScaleAbs(values, dst=alpha[band])  # rounds
    return alpha


def widened_to(width: int, plane: Plane) -> Plane:
    """The plane with its rows resized to ``width``, linearly."""
    return np.asarray(cv2.resize(plane, (width, plane.shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def add_colours(
    values: Plane, weights: Plane, factors: list[Plane], picture_rgb: Picture, of_colour: np.float32
) -> None:
    """values += factor * colour, for the columns where a factor is not 0: elsewhere the colours don't matter."""
    columns = np.flatnonzero(np.any([factor.any(axis=0) for factor in factors], axis=0))
    if not columns.size:
        return
    part = slice(int(columns[0]), int(columns[-1]) + 1)
    colours = cv2.split(np.ascontiguousarray(picture_rgb[:, part]))
    for factor, colour in zip(factors, colours):
        product = weights @ (factor[:, part] * of_colour)
        product *= colour
        values[:, part] += product


@functools.lru_cache(8)
def row_weights(source_rows: int, rows: int) -> Plane:
    """How much of each source row is in each row after linear resizing: rows x source_rows float32."""
    at = np.clip((np.arange(rows) + 0.5) * source_rows / rows - 0.5, 0, source_rows - 1)
    first = np.floor(at).astype(np.intp)
    part = (at - first).astype(np.float32)
    weights = np.zeros((rows, source_rows), np.float32)
    weights[np.arange(rows), first] = 1 - part
    weights[np.arange(rows), np.minimum(first + 1, source_rows - 1)] += part
    return weights


def grow(alpha: Alpha, grow_px: float) -> Alpha:
    """Grow alpha by ``grow_px`` pixels in all directions, or shrink it by a negative number.

    Grey dilation or erosion with a disc; a fraction blends the two nearest whole radii. The picture's border neither
    adds nor takes away.
    """
    radius_px = abs(grow_px)
    whole_px = math.floor(radius_px)
    fraction = radius_px - whole_px
    if radius_px == 0.0:
        return alpha
    operate = cv2.dilate if grow_px > 0 else cv2.erode
    inner = operate(alpha, disc(whole_px)) if whole_px else alpha
    if fraction == 0.0:
        return np.asarray(inner, np.uint8)
    outer = operate(alpha, disc(whole_px + 1))
    return np.asarray(cv2.addWeighted(inner, 1.0 - fraction, outer, fraction, 0.0), np.uint8)


@functools.cache
def disc(radius_px: int) -> Alpha:
    """A filled circle of ``2 * radius_px + 1`` pixels across, as a kernel of zeros and ones."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1,) * 2), np.uint8)


def feather(alpha: Alpha, feather_px: float) -> Alpha:
    """Alpha blurred by a Gaussian that ends after ``feather_px``, at `FEATHER_SIGMAS` standard deviations."""
    side = 2 * math.ceil(feather_px) + 1
    sigma_px = feather_px / FEATHER_SIGMAS
    return np.asarray(cv2.GaussianBlur(alpha, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE), np.uint8)


def with_alpha(picture_rgb: Picture, alpha: Alpha) -> Picture:
    """Picture and alpha as HxWx4 RGBA, not premultiplied; black where nothing is seen, so that no room is in it."""
    rgba = cv2.cvtColor(picture_rgb, cv2.COLOR_RGB2RGBA)
    rgba[:, :, 3] = widened(alpha, picture_rgb.dtype)
    return np.asarray(cv2.copyTo(rgba, alpha))


def widened(alpha: Alpha, dtype: np.dtype[Any]) -> Picture:
    """8-bit alpha in the range of another type: 255 is the largest number."""
    if dtype == np.uint8:
        return alpha
    return np.asarray(alpha.astype(dtype) * dtype.type(np.iinfo(dtype).max // 255))


def in_depth(picture_rgb: Picture, dtype: np.dtype[Any]) -> Picture:
    """The same colours in 8 or 16 bits."""
    if picture_rgb.dtype == dtype:
        return picture_rgb
    if dtype == np.uint8:
        return np.rint(picture_rgb / 257).astype(np.uint8)
    return widened(picture_rgb, dtype)


def over(picture_rgb: Picture, alpha: Alpha, background_rgb: Picture) -> Picture:
    """The person before another background of the same size and type; works in place, in ``picture_rgb``."""
    # As bool it takes a seventh of the time.
    edge = np.flatnonzero(np.asarray(cv2.inRange(alpha, 1, 254)).view(np.bool_))
    if edge.size:
        share = alpha.reshape(-1)[edge, None] * np.float32(1 / 255)
        person, room = (linear(each.reshape(-1, 3).take(edge, axis=0)) for each in (picture_rgb, background_rgb))
        picture_rgb.reshape(-1, 3)[edge] = srgb(room + (person - room) * share, picture_rgb.dtype)
    cv2.copyTo(background_rgb, np.asarray(alpha == 0, np.uint8), picture_rgb)
    return picture_rgb


def linear(colours: NDArray[Any]) -> Plane:
    """Linear light, 0 to 1, of sRGB colours (uint8 or uint16) of any shape but a single row of numbers."""
    if colours.dtype == np.uint8 and colours.size:  # OpenCV finds nothing where there is nothing
        return np.asarray(cv2.LUT(colours, _LINEAR_OF_8_BIT), np.float32)
    return decoded(np.divide(colours, np.iinfo(colours.dtype).max, dtype=np.float32))


def srgb(light: Plane, dtype: np.dtype[Any]) -> NDArray[Any]:
    """sRGB colours of linear light, 0 to 1."""
    if dtype == np.uint8:
        steps = light * np.float32(LINEAR_STEPS)
        steps += np.float32(0.5)
        return np.asarray(_8_BIT_OF_LINEAR.take(np.clip(steps, 0, LINEAR_STEPS, out=steps).astype(np.uint16)))
    largest = np.iinfo(dtype).max
    return np.asarray(np.rint(encoded(light) * np.float32(largest)).clip(0, largest).astype(dtype))


def decoded(u: Plane) -> Plane:
    """IEC 61966-2-1: linear light of encoded values."""
    return np.where(u <= 0.04045, u / 12.92, ((u + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encoded(u: Plane) -> Plane:
    """The inverse of ``decoded``, as in the shader."""
    power = np.power(np.maximum(u, 0), np.float32(1 / 2.4), dtype=np.float32)
    return np.where(u <= 0.0031308, 12.92 * u, 1.055 * power - 0.055).astype(np.float32)


_LINEAR_OF_8_BIT = decoded(np.linspace(0, 1, 256, dtype=np.float32))
_8_BIT_OF_LINEAR = np.rint(encoded(np.linspace(0, 1, LINEAR_STEPS + 1, dtype=np.float32)) * 255).astype(np.uint8)


def placed(picture: Picture, width: int, height: int, fit: str, margin: int = 0) -> Picture:
    """A picture HxWx3, or a plane HxW, in ``width`` x ``height``: cut (fill), with a margin of that value (fit) or
    stretched, as OBS shows it. One that fits as it is stays itself: not to be written to."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    part_x, part_y = Backdrop(0, columns, rows).part(fit, width, height)
    cut_width, cut_height = (max(round(whole * min(part, 1)), 1) for whole, part in ((columns, part_x), (rows, part_y)))
    left, top = (columns - cut_width) // 2, (rows - cut_height) // 2
    cut = picture[top : top + cut_height, left : left + cut_width]
    new_width, new_height = (max(round(side / max(part, 1)), 1) for side, part in ((width, part_x), (height, part_y)))
    method = cv2.INTER_AREA if new_width < cut_width else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(cut, (new_width, new_height), interpolation=method))
    if scaled.shape[:2] == (height, width):
        return scaled
    canvas = np.full((height, width, *picture.shape[2:]), margin, picture.dtype)
    x, y = (width - new_width) // 2, (height - new_height) // 2
    canvas[y : y + new_height, x : x + new_width] = scaled
    return canvas
