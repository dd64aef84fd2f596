# SPDX-License-Identifier: GPL-2.0-or-later
"""Which format is asked for, what FFmpeg tells of cameras elsewhere, and that the kernel's structures are its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from background_filter.filters.offline import camera_v4l2, capture, virtual_camera
from background_filter.filters.offline.camera_v4l2 import Mode
from background_filter.filters.offline.cameras import (
    Camera,
    CameraError,
    Wish,
    choose,
    ffmpeg_options,
    find_camera,
    parse_modes,
)
from background_filter.filters.offline.capture import Capture
from background_filter.filters.offline.files import MediaError
from background_filter.tests.offline.clips import portrait_frames, write_clip

WEBCAM = Camera("/dev/video0", "Webcam", "v4l2")
# What a usual webcam tells: raw pixels slowly, compressed ones fast.
MODES = [
    Mode("YUYV", 640, 480, (30.0, 15.0)),
    Mode("YUYV", 1280, 720, (10.0,)),
    Mode("YUYV", 1920, 1080, (5.0,)),
    Mode("MJPG", 640, 480, (60.0, 30.0)),
    Mode("MJPG", 1280, 720, (30.0,)),
    Mode("MJPG", 1920, 1080, (29.97,)),
]
CONSTANTS = """
#include <linux/videodev2.h>
#include <stddef.h>
#include <stdio.h>
#define IS(what) printf("%lu\\n", (unsigned long)(what))
int main(void)
{
    IS(VIDIOC_QUERYCAP); IS(VIDIOC_ENUM_FMT); IS(VIDIOC_ENUM_FRAMESIZES); IS(VIDIOC_ENUM_FRAMEINTERVALS);
    IS(VIDIOC_SUBSCRIBE_EVENT); IS(VIDIOC_DQEVENT);
    IS(V4L2_CAP_VIDEO_CAPTURE); IS(V4L2_CAP_VIDEO_OUTPUT); IS(V4L2_CAP_DEVICE_CAPS);
    IS(V4L2_BUF_TYPE_VIDEO_CAPTURE); IS(V4L2_FRMSIZE_TYPE_DISCRETE); IS(V4L2_FRMIVAL_TYPE_DISCRETE);
    IS(V4L2_EVENT_PRIVATE_START + 0x08E00001); IS(V4L2_EVENT_SUB_FL_SEND_INITIAL);
    IS(sizeof(struct v4l2_capability)); IS(sizeof(struct v4l2_fmtdesc)); IS(sizeof(struct v4l2_frmsizeenum));
    IS(sizeof(struct v4l2_frmivalenum)); IS(sizeof(struct v4l2_event_subscription)); IS(sizeof(struct v4l2_event));
    IS(offsetof(struct v4l2_event, u));
}
"""


@pytest.mark.parametrize(
    "wish, chosen",
    [
        (Wish(), Wish("MJPG", (1280, 720), 30.0)),
        (Wish("YUYV"), Wish("YUYV", (640, 480), 30.0)),
        (Wish("yuyv422", (1280, 720)), Wish("YUYV", (1280, 720), 10.0)),
        (Wish("", (640, 480)), Wish("YUYV", (640, 480), 30.0)),
        (Wish("", (640, 480), 60.0), Wish("MJPG", (640, 480), 60.0)),
        (Wish("mjpg", (1920, 1080), 30.0), Wish("MJPG", (1920, 1080), 29.97)),
        (Wish("", None, 15.0), Wish("YUYV", (640, 480), 15.0)),
    ],
)
def test_the_format_that_suits_best_is_taken(wish: Wish, chosen: Wish) -> None:
    assert choose(WEBCAM, MODES, wish) == chosen


def test_a_format_that_is_not_there_is_refused_with_all_that_are() -> None:
    with pytest.raises(CameraError, match="does not give NV12 800x600 at 25 frames per second") as refusal:
        choose(WEBCAM, MODES, Wish("NV12", (800, 600), 25.0))
    assert "YUYV   640x480  30, 15 frames per second\n" in str(refusal.value)
    assert str(refusal.value).count("\n") == len(MODES)
    assert choose(WEBCAM, [], Wish("NV12", (800, 600), 25.0)) == Wish("NV12", (800, 600), 25.0)  # it tells nothing


def test_what_ffmpeg_tells_on_windows_and_macos_is_understood() -> None:
    of_windows = (
        '[in#0] DirectShow video device options (from video devices)\n Pin "Capture" (alternative pin name "0")\n'
        "  pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30\n"
        "  vcodec=mjpeg  min s=1280x720 fps=15 max s=1280x720 fps=30.0003\n"
        "  vcodec=mjpeg  min s=1280x720 fps=15 max s=1280x720 fps=30.0003 (pc, bt470bg/bt709/unknown, center)\n"
    )
    assert parse_modes(of_windows) == [Mode("YUYV", 640, 480, (30.0,)), Mode("MJPG", 1280, 720, (30.0003,))]
    of_macos = (
        "[avfoundation] Supported modes:\n[avfoundation]   640x480@[1.000000 30.000030]fps\n"
        "[avfoundation]   1280x720@[15.000000 15.000000]fps\n[avfoundation]   1280x720@[1.000000 30.000030]fps\n"
    )
    assert parse_modes(of_macos) == [Mode("", 640, 480, (30.0,)), Mode("", 1280, 720, (30.0, 15.0))]


def test_each_system_is_asked_in_its_own_words() -> None:
    wish = Wish("MJPG", (1280, 720), 30.0)
    common = {"video_size": "1280x720", "framerate": "30"}
    assert ffmpeg_options(WEBCAM, wish) == {**common, "input_format": "mjpeg"}
    on_windows = Camera("video=Webcam", "Webcam", "dshow")
    assert ffmpeg_options(on_windows, wish) == {**common, "vcodec": "mjpeg"}
    assert ffmpeg_options(on_windows, Wish("YUYV")) == {"pixel_format": "yuyv422"}
    assert ffmpeg_options(Camera("0", "Webcam", "avfoundation"), Wish()) == {"framerate": "30"}


@pytest.mark.skipif(not shutil.which("cc") or not Path("/usr/include/linux/videodev2.h").exists(), reason="needs C")
def test_the_kernels_numbers_and_structures(tmp_path: Path) -> None:
    (tmp_path / "constants.c").write_text(CONSTANTS)
    subprocess.run(["cc", "-o", tmp_path / "constants", tmp_path / "constants.c"], check=True)
    said = subprocess.run([tmp_path / "constants"], capture_output=True, text=True, check=True).stdout
    v4l2 = camera_v4l2
    assert [int(line) for line in said.split()] == [
        *(v4l2.QUERYCAP, v4l2.ENUM_FMT, v4l2.ENUM_FRAMESIZES, v4l2.ENUM_FRAMEINTERVALS),
        *(v4l2.SUBSCRIBE_EVENT, v4l2.DQEVENT, v4l2.CAN_CAPTURE, v4l2.CAN_OUTPUT, v4l2.TELLS_OF_NODE),
        *(v4l2.TYPE_CAPTURE, v4l2.DISCRETE, v4l2.DISCRETE, v4l2.CLIENT_USAGE, v4l2.SEND_INITIAL),
        *(v4l2.CAPABILITY.size, v4l2.FORMAT.size, v4l2.SIZE.size, v4l2.INTERVAL.size),
        *(v4l2.SUBSCRIPTION.size, v4l2.EVENT.size, 8),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_who_has_a_file_open_is_found(tmp_path: Path) -> None:
    device = tmp_path / "video10"
    device.touch()
    readers = camera_v4l2.Readers(str(device))  # no device: it can't tell by itself
    assert not readers.is_told
    with open(device):
        assert not readers.are_there()  # ourselves don't count
    with subprocess.Popen(["sleep", "60"], stdin=open(device)) as process:
        try:
            assert [(each.pid, each.name) for each in camera_v4l2.holders(str(device))] == [(process.pid, "sleep")]
            assert readers.are_there()
        finally:
            process.kill()
    assert not readers.are_there()


def test_a_virtual_camera_that_is_missing_is_answered_with_what_sets_it_up(tmp_path: Path) -> None:
    if sys.platform == "linux" and any(node.is_loopback for node in camera_v4l2.nodes()):
        pytest.skip("there is one here")
    with pytest.raises(MediaError) as refusal:
        virtual_camera.VirtualCamera("", 640, 480, 30.0)
    assert virtual_camera.SET_UP[sys.platform] in str(refusal.value)
    with pytest.raises(MediaError, match="can't be used"):
        virtual_camera.VirtualCamera(os.devnull, 640, 480, 30.0)


def test_a_file_plays_as_a_camera_and_says_when_it_ends(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", portrait_frames(5))
    with Capture(find_camera(str(clip)), Wish()) as camera:
        assert (camera.width, camera.height, camera.rate_hz) == (320, 180, 25.0)
        frames = camera.frames()
        times_ns = [next(frames).capture_ns for _ in range(5)]
        assert times_ns[-1] - times_ns[0] > 0.15e9  # at its own speed
        with pytest.raises(CameraError, match="has ended"):
            next(frames)


def test_why_a_camera_can_not_be_opened(tmp_path: Path) -> None:
    camera = Camera("/dev/video0", "Webcam", "v4l2")
    assert "usermod" in capture.why_not(camera, Wish(), PermissionError(13, "Permission denied"))
    assert "plugged in" in capture.why_not(camera, Wish(), FileNotFoundError(2, "No such file or directory"))
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(CameraError, match="can't be opened"):
        Capture(find_camera(str(tmp_path / "text.mp4")), Wish())
