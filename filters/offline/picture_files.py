# SPDX-License-Identifier: GPL-2.0-or-later
"""Picture files: read upright, in 8 or 16 bits, and written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .compose import Alpha, Picture, in_depth
from .files import MediaError, written_beside

READABLE = frozenset((
    ".avif", ".bmp", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
))  # fmt: skip
WITH_ALPHA = frozenset((".png", ".tif", ".tiff", ".webp"))
WITHOUT_ALPHA = frozenset((".bmp", ".jpeg", ".jpg"))
OF_16_BITS = frozenset((".png", ".tif", ".tiff"))
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Read:
    """A picture, upright: RGB HxWx3, uint8 or uint16, and its own alpha (HxW uint8) if it has one."""

    rgb: Picture
    alpha: Alpha | None


def read_picture(path: Path) -> Read:
    """Read a picture of any kind OpenCV knows, turned as its EXIF data say. Raises MediaError."""
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MediaError(f"{path} can't be read: {error.strerror or error}.") from error
    if raw.size == 0:
        raise MediaError(f"{path} is empty (0 bytes).")
    try:
        bgr = cv2.imdecode(raw, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        as_stored = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise MediaError(f"{path} can't be read: {error.err or error}.") from error
    except MemoryError as error:
        raise MediaError(f"{path} is too large for this computer's memory.") from error
    if bgr is None or as_stored is None:
        raise MediaError(f"{path} is no picture that can be read, or it is damaged.")
    if bgr.dtype not in (np.uint8, np.uint16):
        raise MediaError(f"{path} holds colours as {bgr.dtype}; save it with 8 or 16 bits per colour.")
    alpha = own_alpha(path, np.asarray(bgr), np.asarray(as_stored))
    return Read(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)), alpha)


def own_alpha(path: Path, bgr: Picture, as_stored: Picture) -> Alpha | None:
    """The alpha that a file brings along, if any part of it is not opaque."""
    if as_stored.ndim != 3 or as_stored.shape[2] != 4 or as_stored.dtype != bgr.dtype:
        return None
    alpha = np.asarray(in_depth(as_stored[:, :, 3], np.dtype(np.uint8)))
    if alpha.min() == 255:
        return None
    if not np.array_equal(as_stored[:, :, :3], bgr):
        raise MediaError(f"{path} is transparent and also turned by its EXIF data. Save it upright first.")
    return alpha


def write_picture(path: Path, picture: Picture) -> None:
    """Write grey, RGB or RGBA, whole or not at all. Raises MediaError."""
    suffix = path.suffix.lower()
    if suffix not in OF_16_BITS:
        picture = in_depth(picture, np.dtype(np.uint8))
    if picture.ndim == 3:
        order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
        picture = np.asarray(cv2.cvtColor(picture, order))
    try:
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix in (".jpeg", ".jpg") else []
        encoded, raw = cv2.imencode(suffix, picture, options)
    except cv2.error as error:
        raise MediaError(f"{path} can't be written: {error.err or error}.") from error
    if not encoded:
        raise MediaError(f"{path} can't be written: OpenCV could not make a {suffix} of {picture.shape}.")
    with written_beside(path) as part:
        part.write_bytes(raw.tobytes())
