# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``video`` goes on where it was broken off, and what comes out is what would have come out anyway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from background_filter.filters.cli.bench_attention import standing, walking
from background_filter.filters.cli.bench_picture_clip import drawn_room, portrait
from background_filter.filters.cli.bench_picture_metrics import intersection_over_union
from background_filter.filters.offline import stretches
from background_filter.filters.offline.person import STRETCH
from background_filter.filters.offline.reading import Mark, VideoReader
from background_filter.tests.offline.clips import portrait_frames, read_clip, write_clip
from background_filter.tests.offline.conftest import Command

SCRIPT = Path(__file__).resolve().parents[2] / "obs_background_filter.py"
FRAMES = 2 * STRETCH + 40


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person, moving to and fro, in a bit more than two stretches; times are uneven and there is a tone."""
    there = portrait_frames(20, 128, 72)
    frames = [(there + there[::-1])[number % 40] for number in range(FRAMES)]
    times = [number * 512 + 37 * (number % 3) for number in range(FRAMES)]
    return write_clip(tmp_path_factory.mktemp("long") / "in.mp4", frames, times, sound="aac")


@pytest.fixture(scope="module")
def whole(source: Path) -> Path:
    """What comes of it in one go, as a mask."""
    target = source.with_name("whole.mp4")
    with start(source, target, "--mask") as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    return target


def start(*words: str | Path) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    arguments = [sys.executable, str(SCRIPT), "video", *map(str, words)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def frames_done(target: Path) -> int:
    """How many frames are in finished stretches."""
    try:
        return int(json.loads((stretches.folder_of(target) / stretches.STATE).read_bytes())["frames"])
    except FileNotFoundError:
        return 0


def broken_off(target: Path, number: int, *words: str | Path) -> str:
    """Send a signal to the command as soon as it has finished two stretches; what it said."""
    process = start(*words)
    end = time.monotonic() + 100
    while frames_done(target) < 2 * STRETCH and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(number)
    said = process.communicate()[1]
    assert frames_done(target) >= 2 * STRETCH and not target.exists(), said
    return said


def assert_same(first: Path, second: Path) -> None:
    """The same frames at the same times, and the same sound."""
    one, other = read_clip(first), read_clip(second)
    assert len(one.frames) == FRAMES
    assert one.times_s == other.times_s
    assert one.packets == other.packets
    for number, (frame, as_well) in enumerate(zip(one.frames, other.frames)):
        assert (frame == as_well).all(), number


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_run_that_was_broken_off_goes_on(source: Path, whole: Path, tmp_path: Path, number: int) -> None:
    target = tmp_path / "out.mp4"
    said = broken_off(target, number, source, target, "--mask")
    done = frames_done(target)
    if number == signal.SIGINT:
        assert f"{done} frames are kept in {target}.part; the same command goes on from there" in said
    with start(source, target, "--mask") as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert f"going on after {done}" in said or done == FRAMES
    assert_same(whole, target)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit for the size of files")
def test_after_a_full_disk_it_goes_on(command: Command, source: Path, whole: Path, tmp_path: Path) -> None:
    import resource

    target = tmp_path / "out.mp4"
    limit = whole.stat().st_size * 7 // 10  # there is room for the stretches, each by itself
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "video", str(source), str(target), "--mask"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    ) as process:
        said = process.communicate()[1]
    assert process.returncode == 1
    assert f"{FRAMES} frames are kept in {target}.part; the same command goes on from there" in said
    assert not target.exists()
    assert command("video", source, target, "--mask") == 0
    assert_same(whole, target)


def test_other_wishes_begin_anew(command: Command, source: Path, whole: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    broken_off(target, signal.SIGKILL, source, target, "--mask", "--grow-px", "5")
    assert command("video", source, target, "--mask") == 0
    assert_same(whole, target)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.write_text("{"),
        lambda state: state.write_text('{"version": 1, "fingerprint": "x", "frames": "many"}'),
        lambda state: state.with_name("000000.nut").write_bytes(b""),
        lambda state: state.with_name("000000.nut").unlink(),
        lambda state: state.write_text(state.read_text().replace('"version": 1', '"version": 0')),
    ],
    ids=["torn", "odd", "empty", "lost", "other"],
)
def test_a_spoilt_folder_is_not_trusted(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    from background_filter.filters.offline.writing import OPAQUE

    target = tmp_path / "out.mp4"
    made = stretches.open_stretches(target, OPAQUE[".mp4"], "print", go_on=True)
    part = made.folder / "unfinished.nut"
    part.write_bytes(b"some")
    made.add(part, STRETCH, 0, Mark(0, 0, True, 0))
    assert stretches.open_stretches(target, OPAQUE[".mp4"], "print", go_on=True).done == 1
    assert stretches.open_stretches(target, OPAQUE[".mp4"], "print", go_on=True).frames == STRETCH
    spoil(made.folder / stretches.STATE)
    assert stretches.open_stretches(target, OPAQUE[".mp4"], "print", go_on=True).done == 0
    assert list(made.folder.iterdir()) == []


@pytest.mark.parametrize("number", [1, 13, 47])
def test_reading_begins_at_any_frame(tmp_path: Path, number: int) -> None:
    """Also in a file that can't be sought, where all before is read."""
    frames = portrait_frames(50, 160, 90)
    path = write_clip(tmp_path / "in.mp4", frames, [512 * each + 11 * (each % 4) for each in range(50)])
    raw = tmp_path / "raw.y4m"
    import av

    with av.open(str(raw), "w") as container:
        stream = container.add_stream("wrapped_avframe", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"  # type: ignore[attr-defined]
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")))  # type: ignore[attr-defined]
    for each in (path, raw):
        with VideoReader(each) as reader:
            marks, planes = {}, {}
            for frame in reader.frames():
                marks[frame.number] = reader.mark(frame)
                planes[frame.number] = frame.planes.copy()
        for is_plain in (True, False):
            with VideoReader(each) as reader:
                again = list(reader.frames(marks[number]._replace(is_plain=is_plain)))
            assert [frame.number for frame in again] == list(range(number, 50))
            for frame in again:
                assert frame.pts == marks[frame.number].pts
                assert (frame.planes.y == planes[frame.number].y).all()


@pytest.fixture
def one_processor() -> Iterator[None]:
    """x264, which has a thread for each at this size, codes the same frames alike to the bit only with one thread."""
    if not hasattr(os, "sched_setaffinity"):  # Linux has it
        yield
        return
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    yield
    os.sched_setaffinity(0, usual)


@pytest.mark.usefixtures("one_processor")
def test_a_small_person_is_looked_at_closer_and_it_goes_on_all_the_same(command: Command, tmp_path: Path) -> None:
    walk = list(walking(standing(*portrait(), drawn_room((480, 270))), FRAMES))
    source = write_clip(tmp_path / "walk.mp4", [np.asarray(bgr[:, :, ::-1], np.uint8) for bgr, _ in walk])
    masks = {}
    for attention in ("--no-attention", "--attention"):
        target = tmp_path / f"{attention}.mp4"
        assert command("video", source, target, "--mask", attention) == 0
        masks[attention] = read_clip(target).frames
    fits = {
        attention: np.array([
            intersection_over_union(np.divide(shown[:, :, 0], 255, dtype=np.float32), truth)
            for shown, (_, truth) in zip(frames, walk, strict=True)
        ])
        for attention, frames in masks.items()
    }  # fmt: skip
    far_away = slice(FRAMES * 2 // 5, FRAMES * 3 // 5)  # the first look at somebody so small finds only a part
    assert fits["--attention"][far_away].min() > 0.85 > fits["--no-attention"][far_away].mean() + 0.1
    assert fits["--attention"][: FRAMES // 8].min() > 0.9
    target = tmp_path / "again.mp4"
    broken_off(target, signal.SIGKILL, source, target, "--mask", "--attention")
    assert command("video", source, target, "--mask", "--attention") == 0
    assert_same(tmp_path / "--attention.mp4", target)
