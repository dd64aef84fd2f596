# SPDX-License-Identifier: GPL-2.0-or-later
"""Lossless clips: written from numpy frames for OBS's media source, and read back from OBS's recordings."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def write_clip(path: Path, frames_bgr: Iterable[Picture], fps: float = 30.0, codec: str = "FFV1") -> Path:
    """Write frames (uint8 H x W x 3, BGR, 0..255, all of one size) losslessly in RGB; gives ``path`` back.

    ``codec`` FFV1 makes small files, HFYU is decoded in a third of the time. Raises ValueError when there is no frame,
    a frame has another size or type, or OpenCV can't write the file.
    """
    writer: Any = None
    shape: tuple[int, ...] = ()
    try:
        for frame_bgr in frames_bgr:
            if writer is None:
                shape = frame_bgr.shape
                writer = _open_writer(path, shape, fps, codec)
            if frame_bgr.shape != shape or frame_bgr.dtype != np.uint8:
                raise ValueError(f"frame is {frame_bgr.shape} {frame_bgr.dtype}, expected {shape} uint8")
            writer.write(frame_bgr)
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        raise ValueError("a clip needs at least one frame")
    return path


def _open_writer(path: Path, shape: tuple[int, ...], fps: float, codec: str) -> Any:
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"a frame must be H x W x 3, not {shape}")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, (shape[1], shape[0]))
    if not writer.isOpened():
        raise ValueError(f"OpenCV can't write {codec} into {path}")
    return writer


def iterate_frames(path: Path) -> Iterator[Picture]:
    """Yield the frames of a clip one by one: uint8 H x W x 3, BGR. ValueError when it can't be opened."""
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not reader.isOpened():
        raise ValueError(f"OpenCV can't read {path}")
    try:
        while True:
            found, frame_bgr = reader.read()
            if not found:
                return
            yield np.asarray(frame_bgr, dtype=np.uint8)
    finally:
        reader.release()


def read_frames(path: Path) -> Picture:
    """All frames of a clip: uint8 N x H x W x 3, BGR. ValueError when it is unreadable or empty."""
    frames_bgr = list(iterate_frames(path))
    if not frames_bgr:
        raise ValueError(f"no frames in {path}")
    return np.stack(frames_bgr)
