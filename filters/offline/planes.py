# SPDX-License-Identifier: GPL-2.0-or-later
"""A video's frames as they are stored, brightness and colour apart (YUV 4:2:0): what stays is not touched, and there is
half as much to work on as in RGB.

The arithmetic is that of ``compose.py``, with the colours' matrix taken into the guided filter's factors. Only at the
person's edge RGB is made, because light is mixed there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bridge.region import WHOLE, Region
from ..obs.settings import FilterSettings
from .compose import Alpha, Picture, Plane, linear, planes_of, row_weights, shaped, srgb, widened_to

FULL_RANGE = 2  # AVCOL_RANGE_JPEG
HD_ROWS = 720  # from here on a video that does not say its matrix is taken for BT.709, as players do
# Shares of red and blue in the brightness, by FFmpeg's number of the matrix (AVColorSpace).
SHARES = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
BT709, BT601 = 1, 5
SHARES_BT601 = (0.299, 0.114)
# The mask is enlarged in parts of so many of its rows; a gap of so many columns divides them.
PART_ROWS, PART_GAP = 4, 6

Byte = NDArray[np.uint8]


class Colours:
    """How a video stores colours: FFmpeg's numbers for the matrix and the range, as a pair of 3x4 matrices.

    ``to_rgb`` makes RGB of YUV and ``to_yuv`` the other way round, both 0 to 255; a pixel that nothing is seen of is
    ``black``.
    """

    def __init__(self, matrix: int, value_range: int, height: int) -> None:
        self.matrix = matrix if matrix in SHARES else BT709 if matrix not in (5, 6) and height >= HD_ROWS else BT601
        self.range = FULL_RANGE if value_range == FULL_RANGE else 1
        red, blue = SHARES.get(self.matrix, SHARES_BT601)
        green = 1 - red - blue
        yuv_of_rgb = np.array(
            [
                [red, green, blue],
                [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
                [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
            ]
        )
        is_full = self.range == FULL_RANGE
        spans, self.black = ((255, 255, 255), 0) if is_full else ((219, 224, 224), 16)
        yuv_of_rgb *= np.array(spans)[:, None] / 255
        zero = np.array([self.black, 128, 128])
        self.to_yuv = np.hstack([yuv_of_rgb, zero[:, None]]).astype(np.float32)
        rgb_of_yuv = np.linalg.inv(yuv_of_rgb)
        self.to_rgb = np.hstack([rgb_of_yuv, -(rgb_of_yuv @ zero)[:, None]]).astype(np.float32)
        self.grey = np.rint(np.arange(256) * spans[0] / 255 + self.black).astype(np.uint8)

    def is_like(self, other: Colours) -> bool:
        """Whether both store colours alike."""
        return (self.matrix, self.range) == (other.matrix, other.range)

    def rgb(self, yuv: NDArray[Any]) -> Byte:
        """Any shape x3 uint8, YUV to RGB."""
        return np.asarray(cv2.transform(yuv.reshape(-1, 1, 3), self.to_rgb), np.uint8).reshape(yuv.shape)

    def yuv(self, rgb: NDArray[Any]) -> Byte:
        """Any shape x3 uint8, RGB to YUV."""
        return np.asarray(cv2.transform(rgb.reshape(-1, 1, 3), self.to_yuv), np.uint8).reshape(rgb.shape)


class Planes(NamedTuple):
    """A picture of even width and height: brightness HxW, and the two colours H/2 x W/2, uint8."""

    y: Byte
    u: Byte
    v: Byte

    def copy(self) -> Planes:
        """The same in memory of its own."""
        return Planes(*(plane.copy() for plane in self))


def small_rgb(frame: Planes, colours: Colours, width: int, height: int) -> Byte:
    """The area mean of a frame in RGB, height x width x 3."""
    yuv = cv2.merge([shrunk(plane, width, height) for plane in frame])
    return colours.rgb(np.asarray(yuv, np.uint8))


def shrunk(plane: Byte, width: int, height: int) -> Byte:
    """The area mean of a plane. Halving first costs a quarter."""
    rows, columns = plane.shape
    while rows >= 2 * height and columns >= 2 * width and rows % 2 == columns % 2 == 0:
        rows, columns = rows // 2, columns // 2
        plane = np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def alpha_of_planes(
    mask: NDArray[Any], frame: Planes, colours: Colours, settings: FilterSettings, region: Region = WHOLE
) -> Alpha:
    """As ``compose.alpha_of``, for a frame in planes; beyond the region that the mask covers is nobody."""
    if region.is_whole:
        return shaped(drawn(planes_of(mask), frame, colours, settings.ramp()), settings)
    alpha = np.zeros_like(frame.y)
    alpha[pixels(region, frame.y.shape, 2)] = drawn(planes_of(mask), part_of(frame, region), colours, settings.ramp())
    return shaped(alpha, settings)


def pixels(region: Region, shape: Sequence[int], step: int = 1) -> tuple[slice, slice]:
    """The rows and columns of a picture (height, width) that a region spans, to the nearest multiple of ``step``."""
    height, width = shape
    ends = (region.top, region.top + region.side, height), (region.left, region.left + region.side, width)
    rows, columns = (slice(*(step * round(end * size / step) for end in (first, last))) for first, last, size in ends)
    return rows, columns


def part_of(frame: Planes, region: Region) -> Planes:
    """What a region shows, in the frame's own memory."""
    rows, columns = pixels(region, frame.y.shape, 2)
    half = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
    return Planes(frame.y[rows, columns], frame.u[half], frame.v[half])


def drawn(planes: list[Plane], frame: Planes, colours: Colours, ramp: tuple[float, float]) -> Alpha:
    """The mask's planes enlarged to the frame's size, with its colours, through the ramp (low, high): HxW uint8.

    Most of a mask is 0 or 1 far and wide; only the rest is computed.
    """
    height, width = frame.y.shape
    low, high = ramp
    scale = np.float32(255 / (high - low))
    by_yuv = None
    values = (planes[-1] - np.float32(low)) * scale
    if len(planes) > 1:
        by_rgb = np.stack(planes[:3], axis=2) * (scale / np.float32(255))
        values += by_rgb @ colours.to_rgb[:, 3]
        by_yuv = np.ascontiguousarray((by_rgb @ colours.to_rgb[:, :3]).transpose(2, 0, 1), np.float32)
    alpha = np.asarray(cv2.resize(np.asarray(values > 127, np.uint8) * 255, (width, height), interpolation=0), np.uint8)
    wide = [widened_to(width, plane) for plane in (values, *(by_yuv if by_yuv is not None else ()))]
    weights = row_weights(values.shape[0], height)
    for part in parts_of(is_open(values, by_yuv), width, height):
        alpha[part] = part_of_mask(wide, weights, frame, part)
    return alpha


def is_open(values: Plane, by_yuv: Plane | None) -> NDArray[np.bool_]:
    """Which pixels of a mask (0 to 255 and beyond) are not the same all over, 0 or 255, when they are enlarged."""
    around = np.ones((3, 3), np.uint8)
    bounded = np.clip(values, 0, 255)
    is_soft = (bounded > 0) & (bounded < 255)
    if by_yuv is not None:
        is_soft |= np.any(by_yuv, axis=0)
    is_edge = np.asarray(cv2.dilate(bounded, around)) != np.asarray(cv2.erode(bounded, around))
    return np.asarray(is_edge | np.asarray(cv2.dilate(is_soft.view(np.uint8), around)).view(np.bool_))


def parts_of(is_wanted: NDArray[np.bool_], width: int, height: int) -> Iterator[tuple[slice, slice]]:
    """Rectangles of even sides in ``width`` x ``height`` that cover the wanted pixels of a smaller picture."""
    rows, columns = is_wanted.shape
    for top in range(0, rows, PART_ROWS):
        bottom = min(top + PART_ROWS, rows)
        found = np.flatnonzero(is_wanted[top:bottom].any(axis=0))
        for run in np.split(found, np.flatnonzero(np.diff(found) > PART_GAP) + 1):
            if run.size:
                yield (
                    even_slice(top * height / rows, bottom * height / rows, height),
                    even_slice(int(run[0]) * width / columns, (int(run[-1]) + 1) * width / columns, width),
                )


def even_slice(first: float, last: float, size: int) -> slice:
    """From ``first`` to ``last``, widened to even numbers."""
    return slice(int(first) // 2 * 2, min(-(-math.ceil(last) // 2) * 2, size))


def part_of_mask(wide: list[Plane], weights: Plane, frame: Planes, part: tuple[slice, slice]) -> Alpha:
    """A part of the alpha: ``wide`` are the mask's planes in the frame's width, the last three to be multiplied with
    its planes; ``weights`` those of their rows in the frame's."""
    rows, columns = part
    used = np.flatnonzero(weights[rows].any(axis=0))
    source = slice(int(used[0]), int(used[-1]) + 1)
    down = weights[rows, source]
    values = down @ wide[0][source, columns]
    half = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
    for factor, stored in zip(wide[1:], (frame.y[part], frame.u[half], frame.v[half])):
        product = down @ factor[source, columns]
        product *= cv2.resize(stored, values.shape[::-1], interpolation=cv2.INTER_NEAREST)
        values += product
    return np.asarray(cv2.convertScaleAbs(np.clip(values, 0, 255, out=values)), np.uint8)  # rounds


def quads(alpha: Alpha) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each 2x2 pixels, which share a colour: whether all are 0, and whether they are neither all 0 nor all 255."""
    most = np.asarray(cv2.max(alpha[::2], alpha[1::2]), np.uint8).view(np.uint16)
    least = np.asarray(cv2.min(alpha[::2], alpha[1::2]), np.uint8).view(np.uint16)
    is_empty = most == 0
    return is_empty, ~(is_empty | (least == 0xFFFF))


def fill(frame: Planes, behind: Planes, is_empty_y: NDArray[np.bool_], is_empty: NDArray[np.bool_]) -> None:
    """Put ``behind`` into ``frame`` where it is empty."""
    cv2.copyTo(behind.y, is_empty_y.view(np.uint8), frame.y)
    cv2.copyTo(behind.u, is_empty.view(np.uint8), frame.u)
    cv2.copyTo(behind.v, is_empty.view(np.uint8), frame.v)


def over_planes(frame: Planes, alpha: Alpha, behind: Planes, colours: Colours) -> Planes:
    """The person before another background; light is mixed as in ``compose.over``. Works in place, in ``frame``."""
    is_empty, is_mixed = quads(alpha)
    at = np.flatnonzero(is_mixed)
    width = alpha.shape[1]
    first = at // (width // 2) * (2 * width) + at % (width // 2) * 2
    pixels = first + np.array([0, 1, width, width + 1])[:, None]
    y, u, v = mixed(frame, alpha, behind, colours, at, pixels)
    fill(frame, behind, alpha == 0, is_empty)
    frame.y.reshape(-1)[pixels] = y
    frame.u.reshape(-1)[at], frame.v.reshape(-1)[at] = u, v
    return frame


def mixed(
    frame: Planes, alpha: Alpha, behind: Planes, colours: Colours, at: NDArray[np.intp], pixels: NDArray[np.intp]
) -> tuple[Byte, Byte, Byte]:
    """The quads ``at``, mixed in linear light: y 4 x n of their ``pixels`` 4 x n, u n, v n."""
    alpha = alpha.reshape(-1).take(pixels)
    share = alpha * np.float32(1 / 255)
    rgb = []
    for person, room in zip(light_of(frame, colours, at, pixels), light_of(behind, colours, at, pixels)):
        person -= room
        person *= share
        person += room
        rgb.append(srgb(person, np.dtype(np.uint8)))
    y = summed(colours.to_yuv[0], rgb)
    np.copyto(y, frame.y.reshape(-1).take(pixels), where=alpha == 255)  # what is not mixed stays to the bit
    means = [plane.sum(axis=0, dtype=np.float32) * np.float32(0.25) for plane in rgb]
    return y, summed(colours.to_yuv[1], means), summed(colours.to_yuv[2], means)


def summed(row: Plane, planes: Sequence[NDArray[Any]]) -> Byte:
    """The planes, each times its number in a row of ``Colours``, and the row's last number: rounded."""
    total = planes[0] * row[0]
    for plane, factor in zip(planes[1:], row[1:]):
        total += plane * factor
    total += row[3] + np.float32(0.5)
    return np.asarray(np.clip(total, 0, 255, out=total), np.uint8)


def light_of(frame: Planes, colours: Colours, at: NDArray[np.intp], pixels: NDArray[np.intp]) -> Iterator[Plane]:
    """Red, green and blue of the quads ``at`` in linear light, each 4 x n float32."""
    y = frame.y.reshape(-1).take(pixels).astype(np.float32)
    u, v = (plane.reshape(-1).take(at).astype(np.float32) for plane in (frame.u, frame.v))
    for by_y, by_u, by_v, constant in colours.to_rgb:
        values = y * by_y
        values += u * by_u + v * by_v + (constant + np.float32(0.5))
        yield linear(np.clip(values, 0, 255, out=values).astype(np.uint8))


def blacked_out(frame: Planes, alpha: Alpha, colours: Colours) -> Planes:
    """The frame for a transparent video: black where nothing is seen, so that no room is in it. Works in place."""
    is_empty, _ = quads(alpha)
    frame.y[alpha == 0] = colours.black
    frame.u[is_empty] = frame.v[is_empty] = 128
    return frame


def grey(alpha: Alpha, colours: Colours) -> Planes:
    """The alpha as a picture."""
    height, width = alpha.shape
    neutral = np.full((height // 2, width // 2), 128, np.uint8)
    return Planes(np.asarray(cv2.LUT(alpha, colours.grey), np.uint8), neutral, neutral)


def planes_of_rgb(picture_rgb: Picture, colours: Colours) -> Planes:
    """A picture of even width and height, HxWx3 uint8, in planes."""
    height, width = picture_rgb.shape[:2]
    y, u, v = cv2.split(np.asarray(cv2.transform(picture_rgb, colours.to_yuv), np.uint8))
    halves = (cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for plane in (u, v))
    return Planes(np.asarray(y, np.uint8), *(np.asarray(plane, np.uint8) for plane in halves))


def rgb_of_planes(frame: Planes, colours: Colours) -> Picture:
    """A frame in RGB, HxWx3 uint8."""
    size = frame.y.shape[1], frame.y.shape[0]
    wide = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (frame.u, frame.v)]
    return colours.rgb(np.asarray(cv2.merge([frame.y, *wide]), np.uint8))
