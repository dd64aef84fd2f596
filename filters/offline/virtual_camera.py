# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual camera that other programs see: v4l2loopback on Linux, OBS's own on Windows and macOS."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from . import camera_v4l2
from .compose import Picture, placed
from .files import MediaError

NO_VIRTUAL_CAMERA = "none"
MODPROBE = 'sudo modprobe v4l2loopback devices=1 video_nr=10 card_label="Background Filter" exclusive_caps=1'
SET_UP = {
    "linux": f"Type\n    {MODPROBE}\nand try again. “Module not found”: sudo apt install v4l2loopback-dkms (Debian, "
    "Ubuntu), or your distribution's package of that name. “Key was rejected”: Secure Boot is on, and the module's key "
    "must be enrolled first: sudo mokutil --import /var/lib/dkms/mok.pub (Ubuntu: "
    "/var/lib/shim-signed/mok/MOK.der), restart, choose Enroll MOK.",
    "win32": "Install OBS Studio 26 or newer from obsproject.com: its installer brings the virtual camera. Start OBS "
    "once.",
    "darwin": "Install OBS Studio 30 or newer from obsproject.com, press “Start Virtual Camera” in it once, allow the "
    "extension in System Settings, end OBS, and try again.",
}
# Pixel formats by the name that is given here: pyvirtualcam's name, and FFmpeg's where we convert ourselves.
PIXEL_FORMATS = {
    "i420": ("RGB", ""),
    "yuyv": ("YUYV", "yuyv422"),
    "uyvy": ("UYVY", "uyvy422"),
    "nv12": ("NV12", "nv12"),
}


class VirtualCamera:
    """A virtual camera that is open; context manager. Raises MediaError with what is to be set up.

    ``device`` is a path on Linux, a name elsewhere, empty for the first. What was sent last is black when it is closed:
    some programs keep showing it.
    """

    def __init__(self, device: str, width: int, height: int, rate_hz: float, pixel_format: str = "i420") -> None:
        import pyvirtualcam

        self.width, self.height = width - width % 2, height - height % 2  # colour at half the size
        name, self._ffmpeg_pixels = PIXEL_FORMATS[pixel_format]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._camera: Any = pyvirtualcam.Camera(
                    self.width,
                    self.height,
                    rate_hz,
                    fmt=pyvirtualcam.PixelFormat[name],
                    device=device_path(device) or None,
                )
        except (RuntimeError, ValueError, OSError) as error:
            raise MediaError(why_not(device, str(error))) from error
        self.device: str = self._camera.device

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, picture_rgb: Picture) -> None:
        """Show a picture, HxWx3 uint8; one of another size fills the frame."""
        if picture_rgb.shape[:2] != (self.height, self.width):
            picture_rgb = placed(picture_rgb, self.width, self.height, "fill")
        picture_rgb = np.ascontiguousarray(picture_rgb)
        self._camera.send(self._converted(picture_rgb) if self._ffmpeg_pixels else picture_rgb)

    def close(self) -> None:
        """Leave a black picture, and let go of the device. May be called twice."""
        if self._camera is None:
            return
        with contextlib.suppress(RuntimeError, OSError):
            self.send(np.zeros((self.height, self.width, 3), np.uint8))
        self._camera.close()
        self._camera = None

    def _converted(self, picture_rgb: Picture) -> NDArray[np.uint8]:
        frame = VideoFrame.from_numpy_buffer(picture_rgb, "rgb24").reformat(format=self._ffmpeg_pixels)
        return np.asarray(frame.to_ndarray(), np.uint8).reshape(-1)


def device_path(device: str) -> str:
    """A device as pyvirtualcam wants it: on Linux ``10`` and ``video10`` mean /dev/video10."""
    if sys.platform == "linux" and device and not os.path.isabs(device):
        return f"/dev/video{device.removeprefix('video')}"
    return device


def why_not(device: str, reason: str) -> str:
    """Why there is no virtual camera, and the line that makes one."""
    named = f"The virtual camera {device_path(device)} can't be used" if device else "There is no virtual camera"
    if "permission" in reason.lower():
        return f"{named}: sudo usermod -a -G video $USER, log in again, and try again."
    others = loopbacks() if device else []
    there = f" There is: {', '.join(others)}." if others else ""
    plain = " ".join(part.split("backend: ")[-1] for part in reason.splitlines())
    return f"{named} ({plain}).{there} {SET_UP.get(sys.platform, '')}"


def loopbacks() -> list[str]:
    """The virtual cameras of v4l2loopback."""
    if sys.platform != "linux":
        return []
    return [f"{node.path} (“{node.card}”)" for node in camera_v4l2.nodes() if node.is_loopback]


def can_tell_readers(device: str) -> bool:
    """Whether it can be found out if somebody looks: on Linux, for a device that is a file."""
    return sys.platform == "linux" and Path(device).exists()
