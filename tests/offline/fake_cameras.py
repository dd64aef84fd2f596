# SPDX-License-Identifier: GPL-2.0-or-later
"""A webcam and a v4l2loopback device that only a program sees which ``fake_v4l2.c`` is loaded into."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.tests.offline.clips import portrait_frames

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("fake_v4l2.c")
YUYV_SIZE, MJPG_SIZE = (640, 480), (1280, 720)
BEGIN = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import obs_background_filter
from background_filter.filters.cli import main
from background_filter.filters.offline import camera_v4l2
camera_v4l2.DEVICES = Path({devices!r})
"""
RUN = BEGIN + "sys.exit(main(['camera', *sys.argv[1:]]))"
# Several commands, one after the other, in one process.
RUN_ALL = (
    BEGIN
    + """
for line in sys.argv[1:]:
    code = main(['camera', *line.split()])
    print(f'exit code {{code}}', flush=True)
    print(file=sys.stderr, flush=True)
"""
)

Picture = NDArray[np.uint8]


def build(folder: Path) -> Path:
    """The library; skips where it can't be made."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or not compiler or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("needs Linux, a C compiler and the kernel's headers")
    library = folder / "fake_v4l2.so"
    subprocess.run([compiler, "-Wall", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class FakeDevices:
    """The devices' folder, what they are told, and what was shown."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.camera, self.loopback = folder / "dev" / "video0", folder / "dev" / "video10"
        self.state, self._library, self._folder = folder / "state", library, folder
        (folder / "dev").mkdir()
        self.state.mkdir()
        self.camera.touch()
        self.loopback.touch()
        self.camera_rgb = portrait_frames(1, *YUYV_SIZE)[0]
        frame = av.VideoFrame.from_ndarray(self.camera_rgb, "rgb24").reformat(format="yuyv422")
        (self.state / "camera.yuyv").write_bytes(frame.to_ndarray().tobytes())
        cv2.imwrite(str(self.state / "camera.jpg"), portrait_frames(1, *MJPG_SIZE)[0][:, :, ::-1])

    def start(self, *words: object, program: str = RUN) -> subprocess.Popen[str]:
        """The command ``camera`` with these arguments, which sees the devices."""
        environment = os.environ | {
            "LD_PRELOAD": str(self._library),
            "FAKE_CAMERA": str(self.camera),
            "FAKE_LOOPBACK": str(self.loopback),
            "FAKE_STATE": str(self.state),
            "OBS_BACKGROUND_FILTER_CONFIG": str(self._folder / "config"),
        }
        code = program.format(root=str(ROOT), devices=str(self.camera.parent))
        command = [sys.executable, "-c", code, *map(str, words)]
        return subprocess.Popen(
            command, env=environment, cwd=self._folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run_all(self, *lines: str) -> tuple[list[str], list[str]]:
        """What each of these command lines wrote: with its exit code, and as errors."""
        with self.start(*lines, program=RUN_ALL) as process:
            out, error = process.communicate(timeout=60)
        return out.split("\n"), error.strip().split("\n\n")

    def set(self, name: str, value: str | None = "") -> None:
        """A file that the devices look at, as ``fake_v4l2.c`` says; None removes it."""
        path = self.state / name
        if value is None:
            path.unlink(missing_ok=True)
        else:
            (self.state / "new").write_text(value)
            os.replace(self.state / "new", path)

    def is_on(self) -> bool:
        """Whether somebody uses the camera."""
        return (self.state / "on").exists()

    def format(self) -> str:
        """What was set for the virtual camera: ``YUYV 640x480``."""
        return (self.state / "format").read_text()

    def sent(self, first: int = 0) -> Iterator[Picture]:
        """The pictures that the virtual camera was given, from this one on, as RGB."""
        pixels, size = self.format().split()
        width, height = map(int, size.split("x"))
        kind, shape = ("yuyv422", (height, width, 2)) if pixels == "YUYV" else ("yuv420p", (height * 3 // 2, width))
        with open(self.state / "sent", "rb") as file:
            file.seek(first * int(np.prod(shape)))
            while len(raw := file.read(int(np.prod(shape)))) == np.prod(shape):
                frame = av.VideoFrame.from_ndarray(np.frombuffer(raw, np.uint8).reshape(shape), kind)
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)

    def last(self) -> Picture:
        """The last of them."""
        return next(self.sent(self.count() - 1))

    def count(self) -> int:
        """How many pictures the virtual camera was given."""
        try:
            pixels, size = self.format().split()
            width, height = map(int, size.split("x"))
            return (self.state / "sent").stat().st_size // (width * height * (4 if pixels == "YUYV" else 3) // 2)
        except FileNotFoundError:
            return 0


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], within_s: float = 60.0) -> None:
    """Until it is so."""
    end_s = time.monotonic() + within_s
    while not what():
        if process.poll() is not None or time.monotonic() > end_s:
            process.kill()
            pytest.fail(f"it did not come to that: {process.communicate()}")
        time.sleep(0.05)


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    """Interrupt it, as Ctrl-C does; gives what it had said."""
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 0, out + error
    return out + error
