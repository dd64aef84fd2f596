# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``video`` on real clips: masks, times, sound, alpha, and what is broken."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from background_filter.filters.engine.network import Network
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline import videos
from background_filter.filters.offline.person import PersonFinder
from background_filter.filters.offline.pictures import Wanted
from background_filter.filters.offline.videos import through
from background_filter.tests.offline.clips import (
    PORTRAIT,
    RATE,
    TIME_BASE,
    Clip,
    Picture,
    portrait_frames,
    read_clip,
    real_frames,
    write_clip,
)
from background_filter.tests.offline.conftest import Command

SCRIPT = Path(__file__).resolve().parents[2] / "obs_background_filter.py"


def alphas_of(network: Network, clip: Clip) -> list[Picture]:
    """The masks of a clip, one frame after the other."""
    finder = PersonFinder(network, DEFAULTS)
    return [finder.alpha(rgb, int(time_s * 1e9)) for rgb, time_s in zip(clip.frames, clip.times_s)]


def distance(first: Picture, second: Picture) -> float:
    """Mean difference of two pictures, of 255."""
    return float(np.abs(first.astype(np.float32) - second).mean())


@pytest.fixture(scope="module")
def real_clip(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a real person with a tone in AAC."""
    frames = real_frames(shared_folder / "video" / "liveportrait_s18.mp4", 25)
    return write_clip(tmp_path_factory.mktemp("clip") / "real.mp4", frames, sound="aac")


def test_every_frame_has_its_own_mask_and_the_sound_is_copied(
    command: Command, network: Network, real_clip: Path, tmp_path: Path
) -> None:
    assert command("video", real_clip, tmp_path / "mask.mp4", "--mask") == 0
    before, after = read_clip(real_clip), read_clip(tmp_path / "mask.mp4")
    alphas = alphas_of(network, before)
    assert len(after.frames) == 25
    assert after.times_s == pytest.approx(before.times_s, abs=1e-4)
    assert (after.sound, after.packets) == ("aac", before.packets)
    for number, (shown, alpha) in enumerate(zip(after.frames, alphas)):
        assert distance(shown[:, :, 0], alpha) < 2.5, number
    assert distance(alphas[0], alphas[-1]) > 2 * distance(after.frames[-1][:, :, 0], alphas[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["mask.mp4"]


@pytest.mark.parametrize("suffix, sound", [(".webm", "opus"), (".mov", "aac")])
def test_transparency_is_read_back(
    command: Command, network: Network, real_clip: Path, tmp_path: Path, suffix: str, sound: str
) -> None:
    assert command("video", real_clip, tmp_path / f"out{suffix}") == 0
    before, after = read_clip(real_clip), read_clip(tmp_path / f"out{suffix}")
    assert len(after.frames) == len(before.frames)
    assert after.times_s == pytest.approx(before.times_s, abs=2e-3)
    assert after.sound == sound and len(after.packets) > 20
    for rgb, rgba, alpha in zip(before.frames, after.frames, alphas_of(network, before)):
        assert rgba.shape[2] == 4
        assert distance(rgba[:, :, 3], alpha) < 3
        assert distance(rgba[alpha == 255][:, :3], rgb[alpha == 255]) < 5
        far = cv2.dilate(alpha, np.ones((33, 33))) == 0
        assert rgba[far][:, :3].mean() < 20  # the room is not hidden in it


def test_a_clip_before_another_background_keeps_its_colours(command: Command, network: Network, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", portrait_frames(6))
    assert command("video", source, tmp_path / "out.mp4", "--background", "#204080") == 0
    before, after = read_clip(source), read_clip(tmp_path / "out.mp4")
    assert after.sound == ""
    for rgb, shown, alpha in zip(before.frames, after.frames, alphas_of(network, before)):
        person, room = cv2.erode(alpha, np.ones((9, 9))) == 255, cv2.dilate(alpha, np.ones((9, 9))) == 0
        assert distance(shown[person], rgb[person]) < 4
        assert distance(shown[room], np.array([0x20, 0x40, 0x80], np.uint8)) < 4


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
def test_variable_frame_rate_stays(command: Command, tmp_path: Path, suffix: str) -> None:
    steps = [0, 512, 1024, 3000, 3100, 9000, 12800, 25600]
    source = write_clip(tmp_path / "in.mp4", portrait_frames(len(steps)), steps)
    assert command("video", source, tmp_path / f"out{suffix}", "--background", "blur") == 0
    expected = [float(step * TIME_BASE) for step in steps]
    assert read_clip(tmp_path / f"out{suffix}").times_s == pytest.approx(expected, abs=1e-3)


def test_a_turned_video_is_turned_before_the_person_is_looked_for(
    command: Command, network: Network, tmp_path: Path
) -> None:
    """As a phone films: stored lying, with a matrix in the track's header that says how to show it."""
    upright = portrait_frames(4, 180, 320)
    source = write_clip(tmp_path / "in.mp4", [np.ascontiguousarray(np.rot90(rgb)) for rgb in upright])
    raw = bytearray(source.read_bytes())
    place = raw.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags, times and ids, reserved and volume
    one = 1 << 16
    matrix = (0, one, 0, -one & 0xFFFFFFFF, 0, 0, 180 << 16, 0, 1 << 30)
    raw[place : place + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    source.write_bytes(raw)
    assert command("video", source, tmp_path / "out.mp4", "--background", "green") == 0
    after = read_clip(tmp_path / "out.mp4")
    assert after.frames[0].shape == (320, 180, 3)
    alpha = PersonFinder(network, DEFAULTS).alpha(upright[0], 0)
    person = cv2.erode(alpha, np.ones((9, 9))) == 255
    assert person.mean() > 0.1
    assert distance(after.frames[0][person], upright[0][person]) < 8


def test_odd_sizes(command: Command, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", portrait_frames(3, 171, 97))
    for name, shape in (("out.mp4", (98, 172, 3)), ("out.webm", (98, 172, 4)), ("out.mov", (97, 171, 4))):
        words = ["--background", "blur"] if name.endswith("mp4") else []
        assert command("video", source, tmp_path / name, *words) == 0
        assert [frame.shape for frame in read_clip(tmp_path / name).frames] == [shape] * 3


def test_colour_tags_stay_and_are_true(command: Command, network: Network, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"  # type: ignore[attr-defined]
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # type: ignore[attr-defined]
        context.color_range = 1  # type: ignore[attr-defined]
        for rgb in portrait_frames(3):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    assert command("video", source, tmp_path / "out.mp4", "--background", "black") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert [context.colorspace, context.color_primaries, context.color_trc, context.color_range] == [1, 1, 1, 1]
    before, after = read_clip(source), read_clip(tmp_path / "out.mp4")
    person = cv2.erode(alphas_of(network, before)[0], np.ones((9, 9))) == 255
    assert person.mean() > 0.1
    shift = (after.frames[0][person].astype(float) - before.frames[0][person]).mean(0)
    assert np.abs(shift).max() < 1.5


def test_what_a_truncated_video_holds_is_kept(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_clip(tmp_path / "in.mp4", portrait_frames(50), sound="aac", options={"movflags": "faststart"})
    raw = source.read_bytes()
    source.write_bytes(raw[: len(raw) * 8 // 10])
    assert command("video", source, tmp_path / "out.mp4", "--background", "black") == 1
    said = capsys.readouterr().err
    assert f"What could be read is in {tmp_path / 'out.mp4'}" in said
    assert "Traceback" not in said
    assert 5 < len(read_clip(tmp_path / "out.mp4").frames) < 50


def test_a_gif_of_shared(command: Command, shared_folder: Path, tmp_path: Path) -> None:
    source = shared_folder / "video" / "intel_head-pose-face-detection-female.gif"
    with av.open(str(source)) as container:
        count = sum(1 for _ in container.decode(video=0))
    assert command("video", source, tmp_path / "out.mp4", "--background", PORTRAIT) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == count


@pytest.mark.parametrize(
    "words, reason",
    [
        (("none.mp4", "out.mp4"), "is not there"),
        (("clip.mp4", "out.mp4"), "can't be transparent"),
        (("clip.mp4", "out.avi"), "must end in one of"),
        (("clip.mp4", "clip.mp4", "--mask", "--overwrite"), "is read and would be written"),
        (("clip.mp4", "text.mp4", "--mask"), "is there already"),
        (("empty.mp4", "out.webm"), "is empty (0 bytes)"),
        (("text.mp4", "out.webm"), "can't be read as a video"),
        (("sound.mp4", "out.webm"), "holds no picture"),
        (("clip.mp4", "text.mp4/out.webm"), "can't be written"),
        (("clip.mp4", "out.mp4", "--mask", "--background", "blur"), "exclude each other"),
    ],
)
def test_what_can_not_be_done_is_said(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path("clip.mp4"), portrait_frames(2))
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("hello")
    with av.open("sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        silence.sample_rate = 48000
        container.mux([*stream.encode(silence), *stream.encode(None)])  # type: ignore[attr-defined]
    there = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert command("video", *words) in (1, 2)
    assert reason in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == there


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit for the size of files")
def test_where_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    import resource

    source = write_clip(tmp_path / "in.mp4", portrait_frames(40))
    for words in (["video", str(source), "out.mov"], ["image", str(PORTRAIT), "out.png"]):
        with subprocess.Popen(
            [sys.executable, str(SCRIPT), *words],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        ) as process:
            assert process.stderr
            said = process.stderr.read()
        assert process.returncode == 1, said
        assert "can't be written" in said
        assert "Traceback" not in said
        assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_an_error_on_the_way_leaves_nothing(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_clip(tmp_path / "in.mp4", portrait_frames(9))

    def finish(*_: object) -> None:
        raise MemoryError("too much")

    monkeypatch.setattr(videos, "finish", finish)
    wanted = Wanted(DEFAULTS, None)
    with pytest.raises(MemoryError, match="too much"):
        videos.convert(source, tmp_path / "out.mov", network, wanted, threading.Event(), lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_stages_wait_for_each_other() -> None:
    """However slow the last stage is, only a few items wait: memory stays flat."""
    made = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    taken = []
    for number in through(through(numbers(), stop := threading.Event()), stop):
        taken.append(number)
        if number == 0:
            time.sleep(0.3)  # long enough for all that may be made to be made
            assert len(made) <= 2 * (videos.WAITING + 2)
    assert taken == made == list(range(100))
