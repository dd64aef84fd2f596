# SPDX-License-Identifier: GPL-2.0-or-later
"""A video behind the person: at its own rate, and from its beginning again when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import av.error

from .compose import Alpha, Picture, placed
from .files import MediaError
from .planes import Colours, Planes, planes_of_rgb, rgb_of_planes
from .reading import Frame, VideoReader, said


class Moving:
    """A video as a background, for one thread. Raises MediaError if it can't be read.

    ``fit``: fill (cut), fit (with a black margin), stretch.
    """

    def __init__(self, path: Path, fit: str) -> None:
        self._path, self._fit = path, fit
        self._reader = VideoReader(path)
        self._duration_s = duration_of(path, self._reader)
        self._frames: Iterator[Frame] = iter(())
        self._now: Frame | None = None
        self._next: Frame | None = None
        self._at_s = 0.0
        self._made: tuple[Frame, Planes] | None = None
        self._begin()

    def behind(self, picture_rgb: Picture, alpha: Alpha, time_s: float = 0.0) -> Picture:
        """As in ``Background``."""
        height, width = picture_rgb.shape[:2]
        return placed(rgb_of_planes(self._at(time_s).planes, self._reader.colours), width, height, self._fit)

    def behind_planes(self, frame: Planes, alpha: Alpha, colours: Colours, time_s: float) -> Planes:
        """As in ``Background``."""
        now = self._at(time_s)
        if self._made is None or self._made[0] is not now or self._made[1].y.shape != frame.y.shape:
            self._made = now, self._placed(now.planes, colours, frame.y.shape[1], frame.y.shape[0])
        return self._made[1]

    def close(self) -> None:
        """As in ``Background``."""
        self._now = self._next = self._made = None
        self._frames = iter(())
        self._reader.close()

    def _placed(self, own: Planes, colours: Colours, width: int, height: int) -> Planes:
        if not colours.is_like(self._reader.colours):
            own = planes_of_rgb(rgb_of_planes(own, self._reader.colours), colours)
        margins = colours.black, 128, 128
        sizes = (width, height), (width // 2, height // 2), (width // 2, height // 2)
        return Planes(*(placed(plane, *size, self._fit, margin) for plane, size, margin in zip(own, sizes, margins)))

    def _at(self, time_s: float) -> Frame:
        """The frame that is shown at a time, counted from the first of the video before it."""
        at_s = max(time_s, 0.0) % self._duration_s
        if at_s < self._at_s:
            self._begin()
        self._at_s = at_s
        while self._next and self._seconds(self._next) <= at_s:
            self._now, self._next = self._next, next(self._frames, None)
        assert self._now
        return self._now

    def _seconds(self, frame: Frame) -> float:
        return float(frame.pts * self._reader.time_base) - self._reader.start_s

    def _begin(self) -> None:
        self._reader.close()
        self._reader = VideoReader(self._path)
        self._frames = self._reader.frames()
        self._now = next(self._frames)  # raises MediaError if there is none
        self._next = next(self._frames, None)


def duration_of(path: Path, reader: VideoReader) -> float:
    """How long the frames of a video are shown, in seconds, by its packets: what it says itself is often not so."""
    end_s = 0.0
    try:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.best("video")):
                if packet.pts is not None:
                    own_s = float((packet.duration or 0) * packet.time_base) or 1 / float(reader.rate)
                    end_s = max(end_s, float(packet.pts * packet.time_base) + own_s)
    except (av.error.FFmpegError, OSError) as error:
        if not end_s:
            raise MediaError(f"{path} can't be read as a video: {said(error)}.") from error
    return max(end_s - reader.start_s, 1 / float(reader.rate))
