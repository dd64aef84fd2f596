# SPDX-License-Identifier: GPL-2.0-or-later
"""A video's frames as they are stored, brightness and colour apart (YUV 4:2:0): what stays is not touched, and there is
half as much to work on as in RGB.

The arithmetic is that of ``compose.py``, with the colours' matrix taken into the guided filter's factors. Only at the
person's edge RGB is made, because light is mixed there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..obs.settings import FilterSettings
from .compose import Alpha, Picture, Plane, feathered, linear, planes_of, srgb

FULL_RANGE = 2  # AVCOL_RANGE_JPEG
HD_ROWS = 720  # from here on a video that does not say its matrix is taken for BT.709, as players do
# Shares of red and blue in the brightness, by FFmpeg's number of the matrix (AVColorSpace).
SHARES = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
BT709, BT601 = 1, 5
SHARES_BT601 = (0.299, 0.114)

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


def alpha_of_planes(mask: NDArray[Any], frame: Planes, colours: Colours, settings: FilterSettings) -> Alpha:
    """As ``compose.alpha_of``, for a frame in planes."""
    if settings.feather_px > 0:
        size = frame.y.shape[1], frame.y.shape[0]
        mask = feathered(mask, lambda width, height: small_rgb(frame, colours, width, height), size, settings)
        alpha = drawn(planes_of(mask), frame, colours, (0.0, 1.0))
    else:
        alpha = drawn(planes_of(mask), frame, colours, settings.ramp())
    return np.asarray(cv2.bitwise_not(alpha), np.uint8) if settings.invert else alpha


def drawn(planes: list[Plane], frame: Planes, colours: Colours, ramp: tuple[float, float]) -> Alpha:
    """The mask's planes enlarged to the frame's size, with its colours, through the ramp (low, high): HxW uint8."""
    height, width = frame.y.shape
    low, high = ramp
    scale = 255 / (high - low)
    if len(planes) == 1:
        return clipped(enlarged((planes[0] - np.float32(low)) * np.float32(scale), width, height))
    factors = np.stack(planes[:3], axis=2) * np.float32(scale / 255)
    of_yuv = np.asarray(cv2.transform(factors, np.ascontiguousarray(colours.to_rgb[:, :3].T)), np.float32)
    constant = planes[3] * np.float32(scale) + factors @ colours.to_rgb[:, 3] - np.float32(low * scale)
    values = enlarged(constant, width, height)
    top, bottom, left, right = box_of(np.any(factors, axis=2), width, height)
    if top < bottom:
        half = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        tint = product(of_yuv[:, :, 1], frame.u, half)
        tint += product(of_yuv[:, :, 2], frame.v, half)
        part = slice(top, bottom), slice(left, right)
        values[part] += product(of_yuv[:, :, 0], frame.y, part)
        values[part] += enlarged(tint, right - left, bottom - top)
    return clipped(values)


def product(factor: Plane, plane: Byte, part: tuple[slice, slice]) -> Plane:
    """A factor, enlarged, times a plane, of the part only."""
    result = enlarged(np.ascontiguousarray(factor), plane.shape[1], plane.shape[0])[part]
    result *= plane[part]
    return result


def box_of(where: NDArray[np.bool_], width: int, height: int) -> tuple[int, int, int, int]:
    """The part (top, bottom, left, right; even) of ``width`` x ``height`` that ``where``, enlarged, reaches."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    down, across = height / where.shape[0], width / where.shape[1]
    top, bottom = int((rows[0] - 1) * down), int(np.ceil((rows[-1] + 2) * down))
    left, right = int((columns[0] - 1) * across), int(np.ceil((columns[-1] + 2) * across))
    return max(top // 2 * 2, 0), min(bottom + bottom % 2, height), max(left // 2 * 2, 0), min(right + right % 2, width)


def enlarged(plane: NDArray[Any], width: int, height: int) -> Plane:
    """A plane, bilinearly, at another size."""
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def clipped(values: Plane) -> Alpha:
    """Rounded to 0 to 255; spoils ``values``."""
    np.maximum(values, 0, out=values)
    return np.asarray(cv2.convertScaleAbs(values), np.uint8)


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
    if at.size:
        mixed = mix(frame, alpha, behind, colours, at)
    fill(frame, behind, alpha == 0, is_empty)
    if at.size:
        width = frame.y.shape[1]
        frame.y.reshape(-1)[pixels_at(at, width)] = mixed[:, :, 0]
        tint = np.rint(mixed[:, :, 1:].mean(axis=1, dtype=np.float32)).astype(np.uint8)
        frame.u.reshape(-1)[at], frame.v.reshape(-1)[at] = tint[:, 0], tint[:, 1]
    return frame


def mix(frame: Planes, alpha: Alpha, behind: Planes, colours: Colours, at: NDArray[np.intp]) -> Byte:
    """The four pixels of each quad ``at``, mixed in linear light: YUV, n x 4 x 3."""
    pixels = pixels_at(at, frame.y.shape[1])
    share = alpha.reshape(-1)[pixels]
    person_yuv, room_yuv = (gathered(each, at, pixels) for each in (frame, behind))
    person, room = (linear(colours.rgb(each)) for each in (person_yuv, room_yuv))
    light = room + (person - room) * (share * np.float32(1 / 255))[:, :, None]
    mixed = colours.yuv(srgb(light, np.dtype(np.uint8)))
    return np.where((share == 255)[:, :, None], person_yuv, mixed)  # what is not mixed stays to the bit


def pixels_at(at: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Where the four pixels of each quad lie in a flat picture: n x 4."""
    first = at // (width // 2) * (2 * width) + at % (width // 2) * 2
    return np.asarray(first[:, None] + np.array([0, 1, width, width + 1]), np.intp)


def gathered(frame: Planes, at: NDArray[np.intp], pixels: NDArray[np.intp]) -> Byte:
    """The four pixels of each quad, YUV, n x 4 x 3."""
    values = np.empty((*pixels.shape, 3), np.uint8)
    values[:, :, 0] = frame.y.reshape(-1)[pixels]
    values[:, :, 1] = frame.u.reshape(-1)[at][:, None]
    values[:, :, 2] = frame.v.reshape(-1)[at][:, None]
    return values


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
