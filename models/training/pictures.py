# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading, writing and resizing pictures and masks, for all steps that prepare training data.

Pictures are uint8 BGR, HxWx3, turned upright as their EXIF says. Masks are uint8 HxW, 0 (no person) to 255 (person).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
JPEG_QUALITY = 95
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = {5, 6, 7, 8}


class PictureError(Exception):
    """A file is no picture, or not the picture that it should be; the message names it."""


def list_pictures(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of their names; hidden files (`._a.jpg`) are none."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def read_picture(path: Path) -> Picture:
    """Decode a picture: uint8 BGR HxWx3, upright. PictureError for what can't be read as a whole."""
    return _decode(path, cv2.IMREAD_COLOR)


def read_mask(path: Path) -> Picture:
    """Decode a mask: uint8 HxW, 0..255, from grey pictures, 0/1 pictures, or the alpha of RGBA cut-outs."""
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.dtype == np.uint16:
        pixels = np.asarray(pixels // 257, np.uint8)
    if pixels.ndim == 3:
        pixels = _single_channel(pixels)
    return np.asarray(pixels * 255, np.uint8) if pixels.max() == 1 else pixels


def _decode(path: Path, flags: int) -> Picture:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}") from error
    # A JPEG file that ends early would be decoded, its rest grey: the end must follow the last scan.
    if data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise PictureError(f"{path}: the file is cut off")
    # Not cv2.imread: on Windows it can't open every name.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if pixels is None:
        raise PictureError(f"{path}: this is no picture that can be read")
    return np.asarray(pixels)


def _single_channel(pixels: Picture) -> Picture:
    """The mask in a colour picture: its alpha if that says anything, otherwise its brightness."""
    colour = pixels[:, :, :3]
    is_grey = bool((colour == colour[:, :, :1]).all())
    if pixels.shape[2] == 4 and not (is_grey and pixels[:, :, 3].min() == 255):
        return np.ascontiguousarray(pixels[:, :, 3])
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_BGR2GRAY), np.uint8)


def read_pair(picture: Path, mask: Path) -> tuple[Picture, Picture]:
    """A picture and its mask; PictureError when their sizes differ."""
    pixels, alpha = read_picture(picture), read_mask(mask)
    if pixels.shape[:2] != alpha.shape:
        sizes = "{1}x{0}, the picture is {3}x{2}".format(*alpha.shape, *pixels.shape[:2])
        raise PictureError(f"{mask}: the mask is {sizes}")
    return pixels, alpha


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height as `read_picture` would find them, from the file's head alone."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            sideways = picture.getexif().get(_EXIF_ORIENTATION) in _SIDEWAYS
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise PictureError(f"{path}: this is no picture that can be read") from error
    return (height, width) if sideways else (width, height)


def is_upright(path: Path) -> bool:
    """Whether the pixels lie in the file as they are seen, with no EXIF turn or flip."""
    with Image.open(path) as picture:
        return bool(picture.getexif().get(_EXIF_ORIENTATION, 1) == 1)


def write_picture(path: Path, pixels: Picture) -> None:
    """Write a picture or mask in the format of the suffix; the file is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix.lower() in {".jpg", ".jpeg"} else []
    done, data = cv2.imencode(path.suffix, pixels, options)
    if not done:
        raise PictureError(f"{path}: can't be written as {path.suffix}")
    write_whole(path, data.tobytes())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name and move it, so that a kill at any moment leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def fitted_size(width: int, height: int, long_side: int, aspect: float | None = None) -> tuple[int, int]:
    """Width and height at the true aspect with at most `long_side` pixels at the long side; never enlarged."""
    true_width = height * aspect if aspect else width
    scale = min(1.0, long_side / max(true_width, height))
    return max(1, round(true_width * scale)), max(1, round(height * scale))


def resize(pixels: Picture, size: tuple[int, int]) -> Picture:
    """A picture or mask at another size (width, height), by the area filter."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, title: str
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with `function` of it, in order, with a progress bar; at most a few results wait.

    Threads: decoding, filters and networks all run outside of Python's lock.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, ThreadPoolExecutor(workers) as pool:
        task = progress.add_task(title, total=len(items))
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > 2 * workers:
                    yield _first(waiting)
                    progress.advance(task)
            while waiting:
                yield _first(waiting)
                progress.advance(task)
        finally:
            for _, future in waiting:
                future.cancel()


def _first(waiting: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, future = waiting.popleft()
    return item, future.result()


TILE_PX = 224
SHEET_COLUMNS = 6
_CAPTION_PX = 18
_GREEN_BGR = (64, 177, 0)


def contact_sheet(tiles: Sequence[tuple[str, Picture, Picture]]) -> Picture:
    """One picture (uint8 BGR) of captioned pairs: each picture beside its person on green."""
    drawn = [_tile(*tile) for tile in tiles]
    drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % (SHEET_COLUMNS // 2))
    rows = [np.hstack(drawn[i : i + SHEET_COLUMNS // 2]) for i in range(0, len(drawn), SHEET_COLUMNS // 2)]
    return np.vstack(rows)


def _tile(caption: str, picture: Picture, mask: Picture) -> Picture:
    cover = mask[:, :, None].astype(np.float32) / 255
    cut_out = np.asarray(np.round(picture * cover + np.array(_GREEN_BGR, np.float32) * (1 - cover)), np.uint8)
    tile = np.hstack([_inside(picture), _inside(cut_out)])
    ascii_caption = caption.encode("ascii", "replace").decode()
    tile[:_CAPTION_PX] = 0
    cv2.putText(
        tile, ascii_caption, (4, _CAPTION_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA
    )
    return tile


def _inside(picture: Picture) -> Picture:
    """The picture made to fit into a square of `TILE_PX`, on black."""
    scale = TILE_PX / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    square = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    top, left = (TILE_PX - height) // 2, (TILE_PX - width) // 2
    square[top : top + height, left : left + width] = resize(picture, (width, height))
    return square
