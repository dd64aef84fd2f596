# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a video: its frames upright, in planes, and its sound as it is stored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, cast

import av
import av.container
import av.error
import av.stream
import av.video.frame
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from .files import MediaError
from .planes import FULL_RANGE, Colours, Planes

# A video may end this much before it says so.
END_TOLERANCE_S = 0.5


class Frame(NamedTuple):
    """A frame, upright, in planes of even sides that hold a picture of ``width`` x ``height``.

    It is the ``number``-th, from 0 on, and shown from ``pts`` on, in units of the video's ``time_base``.
    """

    planes: Planes
    width: int
    height: int
    pts: int
    number: int


class Mark(NamedTuple):
    """A frame to begin at: its number and time, and how many were damaged before. ``is_plain``: its time is as stored,
    so it can be sought."""

    number: int
    pts: int
    is_plain: bool
    damaged: int


class Sound(NamedTuple):
    """A packet of the sound track with this number."""

    packet: av.Packet[Any]
    track: int


class VideoReader:
    """A video file; context manager. Raises MediaError if it can't be opened or has no picture.

    After the last item ``problem`` tells what could not be read, in words; it is empty if all was well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()
        self.start_s = float((self._video.start_time or 0) * self.time_base)
        self.duration_s = self._told_duration_s()
        self.colours = colours_of(self.context)
        self.problem = ""
        self._size: tuple[int, int] | None = None
        self._last_pts: int | None = None
        self._is_plain = True
        self._damaged = 0

    def _open(self) -> None:
        path = self.path
        try:
            self._container = av.open(str(path))
        except (av.error.FFmpegError, OSError) as error:
            words = "is empty (0 bytes)" if is_empty(path) else f"can't be read as a video: {said(error)}"
            raise MediaError(f"{path} {words}.") from error
        video = self._container.streams.best("video")
        if not isinstance(video, VideoStream) or not video.codec_context:
            self._container.close()
            raise MediaError(f"{path} holds no picture.")
        self._video = video
        self._video.codec_context.thread_type = "AUTO"
        self.context = video.codec_context
        self.time_base = Fraction(video.time_base or Fraction(1, 90000))
        self.rate = Fraction(video.average_rate or video.guessed_rate or 30)
        self.tracks: list[AudioStream] = list(self._container.streams.audio)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, start: Mark | None = None) -> Iterator[Frame]:
        """The frames, from a mark on; after an error what was read so far is all there is.

        Raises MediaError if nothing is.
        """
        wait_for, number, first = None, 0, start.number if start else 0
        if start and first and self._seek(start):
            wait_for, number, self._damaged = start.pts, first, start.damaged
        try:
            for frame in self._decoded():
                if wait_for is not None and frame.pts != wait_for:
                    continue
                wait_for = None
                pts = self._time_of(frame)
                if number >= first:
                    yield self._upright(frame, pts, number)
                number += 1
        except (av.error.FFmpegError, OSError) as error:
            self.problem = f"reading broke off at {clock(self.seconds)}: {said(error)}"
        if self._last_pts is None:
            raise MediaError(f"{self.path} has no frame that can be read.")
        self.problem = self.problem or self._what_is_missing()

    def sounds(self) -> Iterator[Sound]:
        """The sound, as it is stored; where the file is damaged it ends."""
        if not self.tracks:
            return
        numbers = {stream.index: number for number, stream in enumerate(self.tracks)}
        with contextlib.suppress(av.error.FFmpegError, OSError):
            for packet in self._container.demux(*self.tracks):
                if packet.dts is not None:
                    yield Sound(packet, numbers[packet.stream.index])

    def mark(self, frame: Frame) -> Mark:
        """A mark for the frame that was read last."""
        return Mark(frame.number, frame.pts, self._is_plain, self._damaged)

    @property
    def seconds(self) -> float:
        """The time of the last frame that was read, in seconds."""
        return float((self._last_pts or 0) * self.time_base)

    def _seek(self, start: Mark) -> bool:
        """Go to the frame of a mark; False, and to the beginning, where that frame would not be met."""
        if start.is_plain:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(start.pts, stream=self._video)
                first = next((frame.pts for frame in self._decoded() if frame.pts is not None), None)
                if first is not None and first <= start.pts:
                    self._container.seek(start.pts, stream=self._video)
                    return True
        self._container.close()
        self._open()
        self._damaged = 0
        return False

    def _decoded(self) -> Iterator[av.video.frame.VideoFrame]:
        for packet in self._container.demux(self._video):
            try:
                frames = self._video.decode(packet)
            except av.error.InvalidDataError:
                self._damaged += 1
                continue
            for frame in frames:
                self._damaged += frame.is_corrupt
                yield frame

    def _time_of(self, frame: av.video.frame.VideoFrame) -> int:
        step = max(round(1 / (self.rate * self.time_base)), 1)
        before = self._last_pts
        pts = frame.pts if frame.pts is not None else 0 if before is None else before + step
        self._last_pts = pts if before is None else max(pts, before + 1)  # encoders refuse to go back in time
        self._is_plain = frame.pts == self._last_pts
        return self._last_pts

    def _upright(self, frame: av.video.frame.VideoFrame, pts: int, number: int) -> Frame:
        width, height = self._size = self._size or (frame.width, frame.height)
        quarters = round(frame.rotation / 90) % 4
        planes = planes_of(frame, width, height, self.colours)
        if quarters:
            planes = Planes(*(np.ascontiguousarray(np.rot90(plane, quarters)) for plane in planes))
        if quarters % 2:
            width, height = height, width
        return Frame(planes, width, height, pts, number)

    def _told_duration_s(self) -> float | None:
        """How long the picture lasts, as the file says."""
        if self._video.duration:
            return float(self._video.duration * self.time_base)
        told = self._video.metadata.get("DURATION", "")  # Matroska's
        try:
            hours, minutes, seconds = told.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return self._container.duration / 1e6 if self._container.duration else None

    def _what_is_missing(self) -> str:
        end_s = self.seconds - self.start_s + float(1 / self.rate)
        if self.duration_s and end_s < self.duration_s - END_TOLERANCE_S:
            return f"it ends at {clock(end_s)} although it says that it lasts {clock(self.duration_s)}"
        return f"{self._damaged} of its frames are damaged" if self._damaged else ""


def colours_of(context: VideoCodecContext) -> Colours:
    """How the planes are to be read that ``planes_of`` makes."""
    name = context.pix_fmt or ""
    if not is_yuv(name):
        return Colours(0, 0, context.height)
    value_range = FULL_RANGE if name.startswith("yuvj") else context.color_range
    return Colours(int(context.colorspace), int(value_range), context.height)


def is_yuv(pixel_format: str) -> bool:
    """Whether pixels of this format of FFmpeg's are stored as YUV."""
    return pixel_format.startswith(("yuv", "nv", "p0", "p2", "p4", "uyvy", "yvyu"))


def planes_of(frame: av.video.frame.VideoFrame, width: int, height: int, colours: Colours) -> Planes:
    """A frame's picture, ``width`` x ``height``, in planes of even sides: in its own memory where that can be."""
    if frame.format.name not in ("yuv420p", "yuvj420p") or (frame.width, frame.height) != (width, height):
        source = (
            {"src_colorspace": colours.matrix, "src_color_range": colours.range} if is_yuv(frame.format.name) else {}
        )
        frame = frame.reformat(
            width, height, "yuv420p", dst_colorspace=colours.matrix, dst_color_range=colours.range, **source
        )
    y, u, v = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in cast("tuple[Any, ...]", frame.planes)
    )
    if width % 2 or height % 2:
        y = np.asarray(cv2.copyMakeBorder(y, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
    return Planes(y, u, v)


def is_empty(path: Path) -> bool:
    """Whether the file is there and has no bytes."""
    return path.is_file() and path.stat().st_size == 0


def said(error: Exception) -> str:
    """An error of FFmpeg in its own words."""
    return str(getattr(error, "strerror", "") or error)


def clock(seconds: float) -> str:
    """0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
