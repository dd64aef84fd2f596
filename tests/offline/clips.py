# SPDX-License-Identifier: GPL-2.0-or-later
"""Short clips for the tests, and what is in a clip."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

PORTRAIT = Path(__file__).resolve().parents[1] / "pictures" / "astronaut.png"
TIME_BASE = Fraction(1, 12800)
RATE = 25

Picture = NDArray[np.uint8]


def portrait_rgb() -> Picture:
    """The portrait of the tests."""
    picture = cv2.imread(str(PORTRAIT))
    assert picture is not None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def portrait_frames(count: int, width: int = 320, height: int = 180) -> list[Picture]:
    """The portrait, moving to the right."""
    source = portrait_rgb()
    scale = height / source.shape[0]
    moves = (np.array([[scale, 0, 20 + 4 * i], [0, scale, 0]], np.float32) for i in range(count))
    return [cv2.warpAffine(source, m, (width, height), borderMode=cv2.BORDER_REPLICATE) for m in moves]  # type: ignore[misc]


def real_frames(path: Path, count: int, width: int = 320, height: int = 180) -> list[Picture]:
    """The first frames of a clip, smaller."""
    with av.open(str(path)) as container:
        frames = (frame.to_ndarray(format="rgb24", width=width, height=height) for frame in container.decode(video=0))
        return [np.asarray(frame, np.uint8) for _, frame in zip(range(count), frames)]


def write_clip(
    path: Path,
    frames: Iterable[Picture],
    pts: Iterable[int] | None = None,
    sound: str = "",
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of H.264 (VP9 in WebM), with a tone in the codec ``sound``; ``pts`` in `TIME_BASE`."""
    frames = list(frames)
    times = list(pts) if pts is not None else [round(i / RATE / TIME_BASE) for i in range(len(frames))]
    options_of = {"libx264": {"crf": "10", "preset": "ultrafast"}, "libvpx-vp9": {"crf": "10"}}
    with av.open(str(path), "w", options=options or {}) as container:
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        video: Any = container.add_stream(codec, rate=RATE, options=options_of[codec])
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p" if frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0 else "yuv444p"
        video.codec_context.time_base = TIME_BASE
        tone: Any = container.add_stream(sound, rate=48000, layout="stereo") if sound else None
        for rgb, time in zip(frames, times):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time, TIME_BASE
            container.mux(video.encode(frame))
        if tone:
            wave = np.sin(np.arange(48000 * len(frames) // RATE) * 440 * 2 * np.pi / 48000)
            samples = np.repeat((wave * 8000).astype(np.int16), 2)[None]
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            heard.sample_rate, heard.pts = 48000, 0
            container.mux(tone.encode(heard))
            container.mux(tone.encode(None))
        container.mux(video.encode(None))
    return path


class Clip(NamedTuple):
    """What a file holds: frames as RGB, or RGBA if it is transparent; their times in s; sound as codec and packets."""

    frames: list[Picture]
    times_s: list[float]
    sound: str
    packets: list[bytes]


def read_clip(path: Path) -> Clip:
    """All of a clip. The alpha of VP9 needs another decoder than FFmpeg's own."""
    frames, times_s, packets = [], [], []
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        sounds = container.streams.audio
        decoder: Any = video.codec_context
        if video.codec_context.name == "vp9":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(video, *sounds):
            if packet.stream is not video:
                packets += [bytes(packet)] if packet.size else []
                continue
            for frame in decoder.decode(packet if packet.size else None):
                kind = "rgba" if frame.format.name.startswith("yuva") else "rgb24"
                frames.append(np.asarray(frame.to_ndarray(format=kind), np.uint8))
                times_s.append(float(frame.pts * video.time_base))
        return Clip(frames, times_s, sounds[0].codec_context.name if sounds else "", packets)
