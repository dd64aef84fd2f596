# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a video: its frames as upright RGB, and its sound as it is stored, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import av.container
import av.error
import av.stream
import av.video.frame
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from .compose import Picture
from .files import MediaError

# A video may end this much before it says so.
END_TOLERANCE_S = 0.5
FULL_RANGE = 2  # AVCOL_RANGE_JPEG


class Frame(NamedTuple):
    """A frame, upright: RGB HxWx3 uint8, shown from ``pts`` on, in units of the video's ``time_base``."""

    rgb: Picture
    pts: int


class Sound(NamedTuple):
    """A packet of the sound track with this number."""

    packet: av.Packet[Any]
    track: int


Item = Frame | Sound


class VideoReader:
    """A video file; context manager. Raises MediaError if it can't be opened or has no picture.

    After the last item ``problem`` tells what could not be read, in words; it is empty if all was well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        self.start_s = float((video.start_time or 0) * self.time_base)
        self.duration_s = self._told_duration_s()
        self.problem = ""
        self._size: tuple[int, int] | None = None
        self._last_pts: int | None = None
        self._damaged = 0

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def items(self) -> Iterator[Item]:
        """Frames and sound; after an error what was read so far is all there is. Raises MediaError if nothing is."""
        numbers = {stream.index: number for number, stream in enumerate(self.tracks)}
        try:
            for packet in self._container.demux(self._video, *self.tracks):
                if packet.stream is self._video:
                    yield from self._frames(packet)
                elif packet.dts is not None:
                    yield Sound(packet, numbers[packet.stream.index])
        except (av.error.FFmpegError, OSError) as error:
            self.problem = f"reading broke off at {clock(self.seconds)}: {said(error)}"
        if self._last_pts is None:
            raise MediaError(f"{self.path} has no frame that can be read.")
        self.problem = self.problem or self._what_is_missing()

    @property
    def seconds(self) -> float:
        """The time of the last frame that was read, in seconds."""
        return float((self._last_pts or 0) * self.time_base)

    def _frames(self, packet: av.Packet[Any]) -> Iterator[Frame]:
        try:
            frames = self._video.decode(packet)
        except av.error.InvalidDataError:
            self._damaged += 1
            return
        for frame in frames:
            self._damaged += frame.is_corrupt
            yield self._upright(frame)

    def _upright(self, frame: av.video.frame.VideoFrame) -> Frame:
        width, height = self._size = self._size or (frame.width, frame.height)
        rgb = pixels_of(frame.reformat(width, height, "rgb24", dst_color_range=FULL_RANGE))
        quarters = round(frame.rotation / 90) % 4
        if quarters:
            rgb = np.ascontiguousarray(np.rot90(rgb, quarters))
        step = max(round(1 / (self.rate * self.time_base)), 1)
        before = self._last_pts
        pts = frame.pts if frame.pts is not None else 0 if before is None else before + step
        self._last_pts = pts if before is None else max(pts, before + 1)  # encoders refuse to go back in time
        return Frame(rgb, self._last_pts)

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


def pixels_of(frame: av.video.frame.VideoFrame) -> Picture:
    """The pixels of an RGB frame, HxWx3 uint8, in its own memory if they lie there without gaps."""
    plane: Any = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : frame.width * 3]).reshape(frame.height, frame.width, 3)


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
