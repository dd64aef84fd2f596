# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``camera`` from one end to the other: FFmpeg and pyvirtualcam are real, only the devices are not."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.network import Network
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.person import PersonFinder
from background_filter.tests.offline.fake_cameras import FakeDevices, Picture, build, end, wait_for

BEHIND_RGB = (32, 64, 128)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes programs see the devices."""
    return build(tmp_path_factory.mktemp("fake"))


@pytest.fixture
def devices(library: Path, tmp_path: Path) -> FakeDevices:
    """A webcam and a virtual camera."""
    return FakeDevices(library, tmp_path)


def distance(first: Picture, second: object) -> float:
    """Mean difference, of 255."""
    return float(np.abs(first.astype(np.float32) - np.asarray(second)).mean())


def is_black(picture: Picture) -> bool:
    """Whether nothing is seen, as far as YUV can tell."""
    return int(picture.max()) < 4


class Expected:
    """Where the person of the webcam's picture is, found as ``image`` finds them."""

    def __init__(self, network: Network, camera_rgb: Picture) -> None:
        alpha = PersonFinder(network, DEFAULTS).alpha(camera_rgb, 0)
        self.camera_rgb = camera_rgb
        self.person = cv2.erode(alpha, np.ones((15, 15))) == 255
        self.room = cv2.dilate(alpha, np.ones((15, 15))) == 0
        assert self.person.mean() > 0.1 and self.room.mean() > 0.1
        assert distance(camera_rgb[self.room], BEHIND_RGB) > 30  # a room that shows would be seen

    def is_filtered(self, picture: Picture) -> bool:
        """The person, and behind them what was asked for."""
        person_differs = distance(picture[self.person], self.camera_rgb[self.person])
        return person_differs < 6 and distance(picture[self.room], BEHIND_RGB) < 6


@pytest.fixture
def expected(devices: FakeDevices, network: Network) -> Expected:
    """Of the webcam's picture."""
    return Expected(network, devices.camera_rgb)


def test_a_camera_unplugged_plugged_in_unread_and_read(devices: FakeDevices, expected: Expected) -> None:
    devices.set("readers", "1")
    words = ("-c", "fake", "-v", devices.loopback, "-f", "YUYV", "--pixel-format", "yuyv", "-b", "#204080", "-d")
    process = devices.start(*words, "--no-preview", "--device", "cpu")
    wait_for(lambda: devices.count() > 20, process)
    assert devices.format() == "YUYV 640x480"
    assert devices.is_on()

    devices.set("gone")
    wait_for(lambda: is_black(devices.last()), process)
    unplugged = devices.count()
    devices.set("gone", None)
    wait_for(lambda: devices.count() > unplugged + 20 and expected.is_filtered(devices.last()), process)

    devices.set("readers", "0")
    wait_for(lambda: not devices.is_on(), process)
    idle = devices.count()
    wait_for(lambda: devices.count() > idle + 1, process)  # it goes on being a camera that can be chosen
    assert is_black(devices.last())
    devices.set("readers", "2")
    wait_for(lambda: expected.is_filtered(devices.last()), process)

    said = end(process)
    assert not devices.is_on()
    assert is_black(devices.last())
    kinds = [is_black(picture) or expected.is_filtered(picture) for picture in devices.sent()]
    assert all(kinds), kinds.index(False)
    for told in ("“Fake Webcam” is gone", "“Fake Webcam” is back", "frames per second", "Nobody looks"):
        assert told in said
    assert said.count("Waiting for it") == 1


def test_sigterm_ends_it_cleanly_and_usual_formats_are_chosen(devices: FakeDevices) -> None:
    words = ("-v", devices.loopback, "--no-preview", "--no-on-demand", "--device", "cpu", "--mask")
    process = devices.start(*words)
    wait_for(lambda: devices.count() > 5 and not is_black(devices.last()), process)
    assert devices.format() == "YU12 1280x720"  # what only MJPG gives at 30 per second
    end(process, signal.SIGTERM)
    assert not devices.is_on()
    assert is_black(devices.last())


def test_what_can_not_be_done_is_said(devices: FakeDevices) -> None:
    out, errors = devices.run_all(
        "--list",
        "-f MJPG --size 640x480",
        "--fps 50",
        "-c other",
        "-c 3",
        f"-v {devices.loopback.parent}/video7",
        "-v none --no-preview",
        "-v /dev/null --no-preview",
    )
    assert [int(line.split()[-1]) for line in out if line.startswith("exit")] == [0, 1, 1, 1, 1, 1, 2, 1]
    assert out[0].startswith("Fake Webcam")
    assert "    MJPG  1280x720  30 frames per second" in out
    assert "    YUYV   640x480  30, 15 frames per second" in out
    reasons = (
        "does not give MJPG 640x480. It has:\n    YUYV   640x480  30, 15 frames per second\n",
        "does not give 50 frames per second. It has:",
        "There is no camera “other”. There are: “Fake Webcam”",
        "There is no camera “3”",
        "video7 does not exist",
        "nothing to show the picture on",
        "sudo modprobe v4l2loopback devices=1 video_nr=10",
    )
    for reason, said in zip(reasons, errors, strict=True):
        assert reason in said
        assert "Traceback" not in said


def test_a_busy_camera_is_named(devices: FakeDevices) -> None:
    devices.set("busy")
    _, (busy,) = devices.run_all(f"-v {devices.loopback} --no-preview")
    assert "is busy: it is used by another program" in busy
    devices.set("busy", None)
    devices.set("gone")
    _, (gone,) = devices.run_all("-v none")
    assert "There is no camera" in gone
