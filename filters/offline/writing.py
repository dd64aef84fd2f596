# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a video: stretches of pictures, encoded one by one, and then all of them in one file with the sound.

Nothing is encoded twice: joining copies. So a video that was broken off goes on at its last whole stretch.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, cast

import av
import av.container
import av.error
import av.video.frame
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from .compose import Alpha
from .files import MediaError
from .planes import Planes
from .reading import Frame, VideoReader, is_yuv, said


class Encoding(NamedTuple):
    """A codec, its pixel format and options, as FFmpeg calls them; what a stretch is kept in; and how many frames may
    be stored before one that is shown before them."""

    codec: str
    pixels: str
    options: dict[str, str]
    stretch: str
    reordered: int = 0


_H264 = Encoding("libx264", "yuv420p", {"crf": "18", "preset": "veryfast"}, ".nut", 2)
_VP9_OPTIONS = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
_VP9 = Encoding("libvpx-vp9", "yuv420p", _VP9_OPTIONS, ".webm")
OPAQUE = {".mp4": _H264, ".mov": _H264, ".webm": _VP9}
WITH_ALPHA = {
    ".mov": Encoding("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"}, ".mov"),
    ".webm": Encoding("libvpx-vp9", "yuva420p", {**_VP9_OPTIONS, "auto-alt-ref": "0"}, ".webm"),
}
# Sound that is copied as it is, and what other sound becomes.
COPIED_SOUND = {
    ".mp4": frozenset(("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus")),
    ".mov": frozenset(("aac", "ac3", "alac", "mp3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be")),
    ".webm": frozenset(("opus", "vorbis")),
}
NEW_SOUND = {".mp4": "aac", ".mov": "aac", ".webm": "libopus"}
OPUS_RATE = 48000


class Made(NamedTuple):
    """A frame as it is to be written: ``source`` tells its size and time, ``alpha`` HxW that of a transparent one."""

    planes: Planes
    alpha: Alpha | None
    source: Frame


@contextlib.contextmanager
def said_to_people(path: Path) -> Iterator[None]:
    """MediaError for what FFmpeg or the system says while ``path`` is written."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path} can't be written: {said(error)}.") from error


class StretchWriter:
    """Some frames of a video in a file of their own; context manager. ``close`` makes it whole. Raises MediaError.

    Times, colour tags and the shape of pixels are those of ``source``.
    """

    def __init__(self, path: Path, encoding: Encoding, source: VideoReader) -> None:
        self._path, self._encoding, self._source = path, encoding, source
        self._video: VideoStream | None = None
        with said_to_people(path):
            self._container = av.open(str(path), "w")

    def __enter__(self) -> StretchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError):  # what went wrong before is what counts
                self._container.close()

    def write(self, made: Made) -> None:
        """Write the next frame."""
        with said_to_people(self._path):
            frame = self._frame(made)
            if self._video is None:
                self._video = self._add_video(frame, made.source)
            frame.pts, frame.time_base = made.source.pts, self._source.time_base
            self._container.mux(self._video.encode(frame))

    def close(self) -> None:
        """Write what the encoder holds back, and the file's end."""
        with said_to_people(self._path):
            if self._video:
                self._container.mux(self._video.encode(None))
            self._container.close()

    def _frame(self, made: Made) -> av.video.frame.VideoFrame:
        height, width = made.planes.y.shape
        has_alpha = made.alpha is not None
        frame = av.video.frame.VideoFrame(width, height, "yuva420p" if has_alpha else "yuv420p")
        for number, values in enumerate([*made.planes, made.alpha] if has_alpha else made.planes):
            plane_of(frame, number, np.uint8)[:] = values
        if self._encoding.pixels != "yuva444p10le":
            return frame
        return cropped(frame.reformat(format="yuva444p10le"), made.source.width, made.source.height)

    def _add_video(self, frame: av.video.frame.VideoFrame, first: Frame) -> VideoStream:
        """The video stream, once the first frame tells its size."""
        encoding, tags, colours = self._encoding, self._source.context, self._source.colours
        stream = self._container.add_stream(encoding.codec, rate=self._source.rate, options=encoding.options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, encoding.pixels
        context.time_base = self._source.time_base
        if is_yuv(tags.pix_fmt or ""):
            context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
            context.colorspace, context.color_range = tags.colorspace, tags.color_range
        else:
            context.colorspace, context.color_range = cast("Any", colours.matrix), cast("Any", colours.range)
        if tags.sample_aspect_ratio:
            turned = (tags.width > tags.height) != (first.width > first.height)
            context.sample_aspect_ratio = 1 / tags.sample_aspect_ratio if turned else tags.sample_aspect_ratio
        if encoding.pixels == "yuva420p":
            stream.metadata["alpha_mode"] = "1"
        return stream


def plane_of(frame: av.video.frame.VideoFrame, number: int, dtype: type[np.generic]) -> Any:
    """The pixels of a frame's plane, to be written to: height x width."""
    plane: Any = frame.planes[number]
    row = plane.line_size // np.dtype(dtype).itemsize
    return np.frombuffer(plane, dtype).reshape(-1, row)[: plane.height, : plane.width]


def cropped(frame: av.video.frame.VideoFrame, width: int, height: int) -> av.video.frame.VideoFrame:
    """The upper left ``width`` x ``height`` of a frame of 16-bit planes, all as large as it is."""
    if (frame.width, frame.height) == (width, height):
        return frame
    smaller = av.video.frame.VideoFrame(width, height, frame.format.name)
    for number in range(len(frame.planes)):
        plane_of(smaller, number, np.uint16)[:] = plane_of(frame, number, np.uint16)[:height, :width]
    return smaller


def join(path: Path, stretches: Sequence[tuple[Path, int]], encoding: Encoding, source: VideoReader) -> None:
    """Make one file of the stretches, each given with the time of its first frame, and of the sound of ``source``.

    Raises MediaError.
    """
    with said_to_people(path), av.open(str(path), "w") as container:
        with av.open(str(stretches[0][0])) as first:
            video = container.add_stream_from_template(first.streams.video[0])
        video.time_base = source.time_base
        if encoding.pixels == "yuva420p":
            video.metadata["alpha_mode"] = "1"
        tracks = [Track(container, track, path.suffix.lower()) for track in source.tracks]
        pictures = ((seconds(packet), -1, packet) for packet in stored(stretches, encoding, source))
        sounds = ((seconds(sound.packet), sound.track, sound.packet) for sound in source.sounds())
        for _, track, packet in heapq.merge(pictures, sounds, key=lambda timed: timed[0]):
            if track < 0:
                packet.stream = video
                container.mux(packet)
            else:
                tracks[track].write(packet)
        for each in tracks:
            each.close()


def seconds(packet: av.Packet[Any]) -> float:
    """When a packet is decoded, in seconds."""
    return float((packet.dts or 0) * packet.time_base)


def stored(stretches: Sequence[tuple[Path, int]], encoding: Encoding, source: VideoReader) -> Iterator[av.Packet[Any]]:
    """The packets of all stretches, with times in ``source.time_base``.

    Some containers let a stretch begin elsewhere than it did; where they do not, times of theirs are best, which may be
    rounded. The times of decoding are made anew, because they must rise over the stretches' borders too: each is the
    time of the frame that is shown so many places before, as many as the encoder puts out of order.
    """
    shown: list[int] = []
    step = max(round(1 / (source.rate * source.time_base)), 1)
    for path, first_pts in stretches:
        with av.open(str(path)) as container:
            moved: int | None = 0 if encoding.stretch == ".webm" else None
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is None:
                    continue
                pts = round(packet.pts * packet.time_base / source.time_base)
                moved = first_pts - pts if moved is None else moved
                pts += moved
                if not shown:
                    shown = [pts - step * before for before in range(encoding.reordered, 0, -1)]
                heapq.heappush(shown, pts)
                packet.time_base, packet.pts, packet.dts = source.time_base, pts, heapq.heappop(shown)
                yield packet


class Track:
    """A track of sound of the file that is written: copied where the file may hold it, else encoded anew."""

    def __init__(self, container: av.container.OutputContainer, source: AudioStream, suffix: str) -> None:
        self._container, self._source = container, source
        self._is_copy = source.codec_context.name in COPIED_SOUND[suffix]
        if self._is_copy:
            self._stream = container.add_stream_from_template(source)
            return
        codec = NEW_SOUND[suffix]
        rate = OPUS_RATE if codec == "libopus" else source.codec_context.sample_rate
        self._stream = cast(AudioStream, container.add_stream(codec, rate=rate, layout=source.codec_context.layout))

    def write(self, packet: av.Packet[Any]) -> None:
        """Write a packet of the source."""
        if self._is_copy:
            packet.stream = self._stream
            self._container.mux(packet)
            return
        try:
            frames = self._source.decode(packet)
        except av.error.InvalidDataError:
            return  # a damaged piece of sound is left out
        for frame in frames:
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder holds back."""
        if not self._is_copy:
            self._container.mux(self._stream.encode(None))
