# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a video: MP4, MOV or WebM, with alpha where the format has one, and the sound of the one that was read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import av
import av.error
import av.video.frame
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from .compose import Picture
from .files import MediaError
from .reading import Frame, Sound, VideoReader, said


class Encoding(NamedTuple):
    """A codec, its pixel format and options, as FFmpeg calls them."""

    codec: str
    pixels: str
    options: dict[str, str]


_H264 = Encoding("libx264", "yuv420p", {"crf": "18", "preset": "veryfast"})
_VP9_OPTIONS = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
_VP9 = Encoding("libvpx-vp9", "yuv420p", _VP9_OPTIONS)
OPAQUE = {".mp4": _H264, ".mov": _H264, ".webm": _VP9}
WITH_ALPHA = {
    ".mov": Encoding("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"}),
    ".webm": Encoding("libvpx-vp9", "yuva420p", {**_VP9_OPTIONS, "auto-alt-ref": "0"}),
}
# Sound that is copied as it is, and what other sound becomes.
COPIED_SOUND = {
    ".mp4": frozenset(("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus")),
    ".mov": frozenset(("aac", "ac3", "alac", "mp3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be")),
    ".webm": frozenset(("opus", "vorbis")),
}
NEW_SOUND = {".mp4": "aac", ".mov": "aac", ".webm": "libopus"}
OPUS_RATE = 48000


class VideoWriter:
    """A video file being written; context manager. ``close`` makes it whole. Raises MediaError.

    ``path`` ends in a key of `OPAQUE`, or with ``has_alpha`` of `WITH_ALPHA`; times, colour tags and sound are those of
    ``source``.
    """

    def __init__(self, path: Path, source: VideoReader, has_alpha: bool) -> None:
        self._path, self._source = path, source
        suffix = path.suffix.lower()
        self._encoding = (WITH_ALPHA if has_alpha else OPAQUE)[suffix]
        self._pixels = "rgba" if has_alpha else "rgb24"
        self._video: VideoStream | None = None
        self._held: list[Sound] = []  # until the first frame: nothing may be written before all streams are known
        try:
            self._container = av.open(str(path), "w")
            self._tracks = [self._add_track(track, suffix) for track in source.tracks]
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"{path} can't be written: {said(error)}.") from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError):  # what went wrong before is what counts
                self._container.close()

    def write(self, item: Frame | Sound) -> None:
        """Write the next frame (RGB or, with alpha, RGBA) or piece of sound."""
        try:
            if isinstance(item, Frame):
                self._write_frame(item)
            elif self._video is None:
                self._held.append(item)
            else:
                self._write_sound(item)
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path} can't be written: {said(error)}.") from error

    def close(self) -> None:
        """Write what the encoders hold back, and the file's end."""
        try:
            for stream in [self._video, *(track for track, is_copy in self._tracks if not is_copy)]:
                if stream:
                    self._container.mux(stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path} can't be written: {said(error)}.") from error

    def _write_frame(self, item: Frame) -> None:
        picture = item.rgb if "444" in self._encoding.pixels else evened(item.rgb)
        video = self._video = self._video or self._add_video(picture)
        tags = self._source.context
        frame = av.video.frame.VideoFrame.from_numpy_buffer(np.ascontiguousarray(picture), self._pixels)
        # The matrix and range that the source has, so that the tags, which are the source's too, tell the truth.
        frame = frame.reformat(
            format=self._encoding.pixels, dst_colorspace=tags.colorspace, dst_color_range=tags.color_range
        )
        frame.pts, frame.time_base = item.pts, self._source.time_base
        self._container.mux(video.encode(frame))
        held, self._held = self._held, []
        for sound in held:
            self._write_sound(sound)

    def _write_sound(self, item: Sound) -> None:
        track, is_copy = self._tracks[item.track]
        if is_copy:
            item.packet.stream = track
            self._container.mux(item.packet)
            return
        try:
            frames = self._source.tracks[item.track].decode(item.packet)
        except av.error.InvalidDataError:
            return  # a damaged piece of sound is left out
        for frame in frames:
            self._container.mux(track.encode(frame))

    def _add_video(self, picture: Picture) -> VideoStream:
        """The video stream, once the first frame tells its size: before anything else is written."""
        encoding, tags = self._encoding, self._source.context
        stream = self._container.add_stream(encoding.codec, rate=self._source.rate, options=encoding.options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = encoding.pixels
        context.time_base = self._source.time_base
        context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
        context.colorspace, context.color_range = tags.colorspace, tags.color_range
        if tags.sample_aspect_ratio:
            turned = (tags.width > tags.height) != (picture.shape[1] > picture.shape[0])
            context.sample_aspect_ratio = 1 / tags.sample_aspect_ratio if turned else tags.sample_aspect_ratio
        if encoding.pixels == "yuva420p":
            stream.metadata["alpha_mode"] = "1"
        return stream

    def _add_track(self, track: AudioStream, suffix: str) -> tuple[AudioStream, bool]:
        """The stream for a sound track, and whether its packets are copied."""
        if track.codec_context.name in COPIED_SOUND[suffix]:
            return self._container.add_stream_from_template(track), True
        codec = NEW_SOUND[suffix]
        rate = OPUS_RATE if codec == "libopus" else track.codec_context.sample_rate
        stream = self._container.add_stream(codec, rate=rate, layout=track.codec_context.layout)
        assert isinstance(stream, AudioStream)
        return stream, False


def evened(picture: Picture) -> Picture:
    """With even sides, as formats want that keep colour at half the size: the last column or row is repeated."""
    height, width = picture.shape[:2]
    if height % 2 == width % 2 == 0:
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
