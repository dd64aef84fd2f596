# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the person: a colour, a picture, or the room itself, blurred."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .compose import Alpha, Picture, widened
from .files import MediaError

COLOURS = {
    "black": "000000", "white": "ffffff", "grey": "808080", "gray": "808080",
    "green": "00b140", "blue": "0047bb", "red": "ff0000",
}  # fmt: skip
BLUR = "blur"
# Standard deviation of the blur, as a share of the picture's height, and the height at which it is made.
BLUR_SHARE, BLUR_ROWS = 0.03, 180
LEAST_ROOM = 1e-3


class Background(Protocol):
    """Gives what stands behind the person of a picture: same size, same type."""

    def behind(self, picture_rgb: Picture, alpha: Alpha) -> Picture:
        """The background for ``picture_rgb`` HxWx3 with the person's ``alpha`` HxW uint8."""
        ...


def make_background(wanted: str) -> Background:
    """The background that a name, ``#rrggbb``, ``blur`` or the path of a picture means. Raises MediaError."""
    from .pictures import read_picture

    if wanted == BLUR:
        return Blurred()
    digits = COLOURS.get(wanted.lower(), wanted.removeprefix("#").lower())
    if re.fullmatch("[0-9a-f]{6}", digits) and not Path(wanted).exists():
        return Still(np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(1, 1, 3))
    if not Path(wanted).exists():
        names = ", ".join(COLOURS)
        raise MediaError(
            f"“{wanted}” is neither a colour (#rrggbb, {names}), nor a picture that is there, nor “{BLUR}”."
        )
    return Still(read_picture(Path(wanted)).rgb)


class Still:
    """One picture for all; it fills the frame, and what is too much is cut off on both sides alike."""

    def __init__(self, picture_rgb: Picture) -> None:
        self._picture_rgb = picture_rgb
        self._made: Picture | None = None

    def behind(self, picture_rgb: Picture, alpha: Alpha) -> Picture:
        """As in ``Background``."""
        made = self._made
        if made is None or made.shape != picture_rgb.shape or made.dtype != picture_rgb.dtype:
            made = in_depth(cover(self._picture_rgb, picture_rgb.shape[1], picture_rgb.shape[0]), picture_rgb.dtype)
            self._made = made
        return made


class Blurred:
    """The room, blurred. The person is left out, so that no glow of them stands around them."""

    def behind(self, picture_rgb: Picture, alpha: Alpha) -> Picture:
        """As in ``Background``."""
        height, width = picture_rgb.shape[:2]
        rows = min(BLUR_ROWS, height)
        size = max(round(width * rows / height), 1), rows
        room = 1 - cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[:, :, None] * np.float32(1 / 255)
        small = cv2.resize(picture_rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        sigma_px = max(BLUR_SHARE * rows, 0.5)
        light = blurred(small * room, sigma_px) + np.float32(LEAST_ROOM) * blurred(small, sigma_px)
        weight = blurred(room, sigma_px).reshape(rows, size[0], 1) + np.float32(LEAST_ROOM)
        soft = np.rint(light / weight).clip(0, np.iinfo(picture_rgb.dtype).max).astype(picture_rgb.dtype)
        return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC))


def blurred(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """A Gaussian blur; the picture goes on beyond its border as at the border."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), np.float32)


def cover(picture_rgb: Picture, width: int, height: int) -> Picture:
    """The middle of a picture, scaled so that it fills ``width`` x ``height``."""
    scale = max(width / picture_rgb.shape[1], height / picture_rgb.shape[0])
    part_width = min(max(round(width / scale), 1), picture_rgb.shape[1])
    part_height = min(max(round(height / scale), 1), picture_rgb.shape[0])
    left, top = (picture_rgb.shape[1] - part_width) // 2, (picture_rgb.shape[0] - part_height) // 2
    part = picture_rgb[top : top + part_height, left : left + part_width]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, height), interpolation=method))


def in_depth(picture_rgb: Picture, dtype: np.dtype[Any]) -> Picture:
    """The same colours in 8 or 16 bits."""
    if picture_rgb.dtype == dtype:
        return picture_rgb
    if dtype == np.uint8:
        return np.rint(picture_rgb / 257).astype(np.uint8)
    return widened(picture_rgb, dtype)
