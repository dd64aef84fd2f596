# SPDX-License-Identifier: GPL-2.0-or-later
"""Which cameras there are, what formats they have, and which of these is taken."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

import av
import av.error
import av.logging

from . import camera_v4l2
from .camera_v4l2 import Mode
from .files import MediaError

# FFmpeg's name for cameras, by system.
INPUT_FORMATS = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}
# Pixel formats by the four characters that cameras call them, and FFmpeg's names: raw ones first, as they cost nothing
# to decode, then those that cost much.
PIXELS = {
    "YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p", "GREY": "gray", "RGB3": "rgb24",
    "BGR3": "bgr24", "MJPG": "mjpeg", "JPEG": "mjpeg", "H264": "h264",
}  # fmt: skip
ENCODED = frozenset(("mjpeg", "h264"))
USUAL_SIZE, USUAL_RATE_HZ = (1280, 720), 30.0
LEAST_SHARE = 0.75  # of the wanted rate: rather a smaller picture than a slower one
RATE_TOLERANCE = 0.02  # cameras call 29.97 a 30

DSHOW_MODE = re.compile(
    r"(?:vcodec|pixel_format)=(\S+)\s+min s=\d+x\d+ fps=\S+ max s=(\d+)x(\d+) fps=([\d.]+)"
)  # fmt: skip
AVFOUNDATION_MODE = re.compile(r"(\d+)x(\d+)@\[[\d.]+ ([\d.]+)\]fps")


class CameraError(MediaError):
    """A camera can't be used: why, and what to do, for people."""


class Camera(NamedTuple):
    """A camera: what FFmpeg opens, its name, and FFmpeg's name for its kind (empty: a file, played as a camera)."""

    url: str
    name: str
    kind: str


class Wish(NamedTuple):
    """What is wanted of a camera; empty, None and 0: whatever suits."""

    pixels: str = ""
    size: tuple[int, int] | None = None
    rate_hz: float = 0.0


def list_cameras(with_loopbacks: bool = True) -> list[Camera]:
    """All cameras; those of v4l2loopback come last, or not at all."""
    kind = INPUT_FORMATS.get(sys.platform)
    if kind == "v4l2":
        able = [node for node in camera_v4l2.nodes() if node.can_capture and with_loopbacks >= node.is_loopback]
        return [Camera(node.path, node.card, kind) for node in sorted(able, key=lambda node: node.is_loopback)]
    if kind is None:
        return []
    try:
        devices = av.enumerate_input_devices(kind)
    except (av.error.FFmpegError, ValueError):
        return []
    prefix = "video=" if kind == "dshow" else ""
    return [
        Camera(prefix + device.name, device.description or device.name, kind)
        for device in devices
        if "video" in device.media_types and not device.description.startswith("Capture screen")
    ]


def find_camera(word: str) -> Camera:
    """The camera that a number, a path or a (part of a) name means; the first for an empty word. Raises CameraError."""
    path = f"/dev/{word}" if re.fullmatch(r"video\d+", word) else word
    if path and os.path.exists(path) and not word.isdigit():
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            return Camera(path, os.path.basename(path), "")
        return Camera(path, name_of(path), "v4l2")
    cameras = list_cameras(with_loopbacks=bool(word))
    if word.isdigit() and sys.platform == "linux":
        chosen = [camera for camera in cameras if camera.url == f"/dev/video{word}"]
    elif word.isdigit():
        chosen = cameras[int(word) : int(word) + 1]
    else:
        named = [camera for camera in cameras if word.lower() in camera.name.lower()]
        chosen = [camera for camera in named if camera.name.lower() == word.lower()] or named
    if chosen:
        return chosen[0]
    if not cameras:
        wanted = f"There is no camera “{word}”, nor any other" if word else "There is no camera"
        raise CameraError(f"{wanted}. Plug one in; a virtual machine or a container must be given its host's.")
    names = ", ".join(f"“{camera.name}” ({camera.url})" for camera in cameras)
    raise CameraError(f"There is no camera “{word}”. There are: {names}.")


def name_of(path: str) -> str:
    """What the device at a path calls itself; its path if it does not say."""
    try:
        return camera_v4l2.node(path).card or path
    except OSError:
        return path


def modes_of(camera: Camera) -> list[Mode]:
    """The formats that a camera says it has; none where it does not say."""
    if camera.kind == "v4l2":
        try:
            return camera_v4l2.modes(camera.url)
        except OSError:
            return []
    if camera.kind == "dshow":
        return told_modes(camera, {"list_options": "true"})
    if camera.kind == "avfoundation":
        return told_modes(camera, {"framerate": "30", "video_size": "1x1"})  # refused, and told what there is
    return []


def told_modes(camera: Camera, options: dict[str, str]) -> list[Mode]:
    """The formats that FFmpeg lists in its log when a camera is opened so."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as said, contextlib.suppress(av.error.FFmpegError, OSError):  # so it ends
            av.open(camera.url, format=camera.kind, options=options).close()
    finally:
        av.logging.set_level(before)
    return parse_modes("".join(message for _, _, message in said))


def parse_modes(said: str) -> list[Mode]:
    """The formats in what FFmpeg says of a camera on Windows or macOS."""
    names = {ffmpeg: pixels for pixels, ffmpeg in reversed(PIXELS.items())}
    rates: dict[tuple[str, int, int], set[float]] = {}
    for pixels, width, height, rate in DSHOW_MODE.findall(said):
        rates.setdefault((names.get(pixels, pixels), int(width), int(height)), set()).add(float(rate))
    for width, height, rate in AVFOUNDATION_MODE.findall(said):
        rates.setdefault(("", int(width), int(height)), set()).add(round(float(rate), 2))
    return [Mode(*key, tuple(sorted(values, reverse=True))) for key, values in rates.items()]


def choose(camera: Camera, modes: Sequence[Mode], wish: Wish) -> Wish:
    """The format to ask for: one that the camera has, closest to the wish. CameraError with all that it has."""
    if not modes:
        return wish
    wanted = wish.pixels.upper()
    width, height = wish.size or USUAL_SIZE
    rate_hz = wish.rate_hz or USUAL_RATE_HZ
    fitting = [
        (mode, rate)
        for mode in modes
        for rate in mode.rates_hz or (rate_hz,)
        if (not wanted or same_pixels(mode.pixels, wanted) or not mode.pixels)
        and (wish.size is None or wish.size == (mode.width, mode.height))
        and (not wish.rate_hz or abs(rate - wish.rate_hz) <= RATE_TOLERANCE * wish.rate_hz)
    ]
    if not fitting:
        raise CameraError(f"“{camera.name}” does not give {in_words(wish)}. It has:\n{listing(modes)}")

    def unlike(choice: tuple[Mode, float]) -> tuple[float, ...]:
        mode, rate = choice
        order = list(PIXELS).index(mode.pixels) if mode.pixels in PIXELS else len(PIXELS)
        is_slow = rate < LEAST_SHARE * rate_hz
        return is_slow, abs(mode.width * mode.height - width * height), abs(rate - rate_hz), order

    mode, rate = min(fitting, key=unlike)
    return Wish(mode.pixels or wanted, (mode.width, mode.height), rate if mode.rates_hz else 0.0)


def same_pixels(first: str, second: str) -> bool:
    """Whether two names mean the same pixels: ``MJPG`` and ``mjpeg``."""
    return PIXELS.get(first, first.lower()) == PIXELS.get(second, second.lower())


def in_words(wish: Wish) -> str:
    """``MJPG 1280x720 at 30 per second``."""
    size = "x".join(map(str, wish.size)) if wish.size else ""
    picture = " ".join(part for part in (wish.pixels, size) if part)
    rate = f"{wish.rate_hz:g} frames per second" if wish.rate_hz else ""
    return " at ".join(part for part in (picture, rate) if part)


def listing(modes: Sequence[Mode]) -> str:
    """A line for each pixel format and size, with the rates."""
    return "\n".join(
        f"    {mode.pixels:4} {f'{mode.width}x{mode.height}':>9}  "
        f"{', '.join(f'{rate:g}' for rate in mode.rates_hz) or 'any number of'} frames per second"
        for mode in modes
    )


def ffmpeg_options(camera: Camera, wish: Wish) -> dict[str, str]:
    """What FFmpeg is told to open a camera so."""
    options: dict[str, str] = {}
    if not camera.kind:
        return options
    if wish.size:
        options["video_size"] = "x".join(map(str, wish.size))
    if wish.rate_hz:
        options["framerate"] = f"{wish.rate_hz:g}"
    elif camera.kind == "avfoundation":
        options["framerate"] = f"{USUAL_RATE_HZ:g}"  # FFmpeg's own 29.97 is what few cameras have
    if wish.pixels:
        pixels = PIXELS.get(wish.pixels.upper(), wish.pixels.lower())
        if camera.kind == "v4l2":
            options["input_format"] = pixels
        elif camera.kind == "dshow" and pixels in ENCODED:
            options["vcodec"] = pixels
        else:
            options["pixel_format"] = pixels
    return options
