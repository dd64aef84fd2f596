# SPDX-License-Identifier: GPL-2.0-or-later
"""The segment's file: whose it is, what it must be, and that none is left behind."""

import contextlib
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from background_filter.filters.bridge import layout, mapping_posix
from background_filter.filters.bridge.problems import BridgeError
from background_filter.filters.bridge.segment import Segment, remove_stale_segments

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files on POSIX; see test_mapping_windows")

NAME = "obs-background-filter-1-0123456789abcdef"
ROOT = Path(__file__).resolve().parents[2]
CREATE_AND_WAIT = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
import obs_background_filter
from background_filter.filters.bridge.segment import Segment
segment = Segment.create()
print(segment.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mapping_posix, "folder", lambda: tmp_path)
    return tmp_path


def refusal_of(name: str) -> BridgeError:
    with pytest.raises(BridgeError) as refusal:
        Segment.open(name)
    return refusal.value


def test_a_new_segment_is_sparse_private_and_zero(folder: Path) -> None:
    with contextlib.closing(Segment.create()) as segment:
        found = (folder / segment.name).stat()
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert found.st_size == layout.TOTAL_SIZE
        assert found.st_blocks * 512 < layout.TOTAL_SIZE // 10
        assert not any(segment.bytes[layout.OBS_COUNTERS_OFFSET : layout.FRAMES_OFFSET])


def test_both_see_the_same_memory_even_without_the_name(folder: Path) -> None:
    with (
        contextlib.closing(Segment.create()) as of_obs,
        contextlib.closing(Segment.open(of_obs.name)) as of_engine,
    ):
        of_obs.unlink()
        of_obs.unlink()
        assert list(folder.iterdir()) == []
        of_obs.words[500] = 2**64 - 1
        assert of_engine.words[500] == 2**64 - 1


def test_closing_twice_and_only_the_creator_removes_the_name(folder: Path) -> None:
    of_obs = Segment.create()
    of_engine = Segment.open(of_obs.name)
    of_engine.unlink()
    of_engine.close()
    of_engine.close()
    assert (folder / of_obs.name).exists()
    of_obs.close()
    of_obs.close()
    assert list(folder.iterdir()) == []


def test_closing_while_somebody_holds_a_view_is_no_error() -> None:
    segment = Segment.create()
    view = segment.bytes[:8]
    segment.close()
    assert bytes(view) == layout.MAGIC


@pytest.mark.parametrize("name", ["", "..", "/etc/passwd", "../" + NAME, NAME + "x", NAME[:-1] + "G", NAME + "\n"])
def test_only_names_of_segments_are_opened(name: str) -> None:
    assert refusal_of(name).code == "bridge.segment"


def test_no_such_segment() -> None:
    assert refusal_of(NAME).code == "bridge.segment"


def test_things_that_are_no_files_are_refused_at_once(folder: Path) -> None:
    with contextlib.closing(Segment.create()) as segment:
        (folder / NAME).symlink_to(folder / segment.name)
        assert refusal_of(NAME).code == "bridge.segment"
    (folder / NAME).unlink()
    os.mkfifo(folder / NAME, 0o600)
    assert refusal_of(NAME).code == "bridge.segment"
    (folder / NAME).unlink()
    (folder / NAME).mkdir()
    assert refusal_of(NAME).code == "bridge.segment"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_foreign_segment_is_refused(folder: Path) -> None:
    with contextlib.closing(Segment.create()) as segment:
        os.chown(folder / segment.name, 65534, -1)
        refusal = refusal_of(segment.name)
    assert refusal.code == "bridge.owner"
    assert "65534" in str(refusal.params["found"])


def test_a_segment_that_others_may_open_is_refused(folder: Path) -> None:
    with contextlib.closing(Segment.create()) as segment:
        (folder / segment.name).chmod(0o644)
        refusal = refusal_of(segment.name)
    assert (refusal.code, refusal.params["found"]) == ("bridge.owner", "everybody (mode 0644)")


@pytest.mark.parametrize(
    ("offset", "raw", "code", "params"),
    [
        (0, b"OBSBGFLU", "bridge.magic", {"expected": b"OBSBGFLT".hex(), "found": b"OBSBGFLU".hex()}),
        (8, struct.pack("<Q", 2), "bridge.version", {"expected": 3, "found": 2}),
        (16, struct.pack("<Q", 4096), "bridge.size", {"field": "total_size", "found": "4096"}),
        (24, struct.pack("<Q", 4), "bridge.size", {"field": "frame_slots", "expected": "3", "found": "4"}),
        (32, struct.pack("<Q", 2**63), "bridge.size", {"field": "mask_slots", "found": str(2**63)}),
        (40, struct.pack("<Q", 0), "bridge.size", {"field": "frame_capacity", "found": "0"}),
        (48, struct.pack("<Q", 2**64 - 1), "bridge.size", {"field": "mask_capacity"}),
    ],
)
def test_another_header_is_refused_and_says_what_differs(
    offset: int, raw: bytes, code: str, params: dict[str, object]
) -> None:
    with contextlib.closing(Segment.create()) as segment:
        segment.bytes[offset : offset + len(raw)] = raw
        refusal = refusal_of(segment.name)
    assert refusal.code == code
    assert params.items() <= refusal.params.items()


@pytest.mark.parametrize("size", [0, 1, 55, 56, 4096, layout.TOTAL_SIZE - 1, layout.TOTAL_SIZE + 1])
def test_a_truncated_or_padded_file_is_refused(folder: Path, size: int) -> None:
    with contextlib.closing(Segment.create()) as segment:
        header = bytes(segment.bytes[:128])
    (folder / NAME).write_bytes(header[:size])
    (folder / NAME).chmod(0o600)
    os.truncate(folder / NAME, size)
    refusal = refusal_of(NAME)
    assert refusal.code == "bridge.size"
    assert refusal.params["found"] == str(size)


def test_too_little_room_is_an_error_and_not_a_bus_error_later(monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(f_blocks=1000, f_bavail=10, f_frsize=4096)
    monkeypatch.setattr("os.statvfs", lambda _: full)
    with pytest.raises(BridgeError) as refusal:
        Segment.create()
    assert refusal.value.code == "bridge.space"


def test_stale_segments_are_removed_and_nothing_else(folder: Path) -> None:
    stale = folder / NAME
    stale.touch(0o600)
    others = [folder / "obs-background-filter-notes", folder / "other", folder / (NAME[:-1] + "e")]
    others[0].touch()
    others[1].touch()
    others[2].mkdir()
    os.mkfifo(folder / (NAME[:-1] + "d"))
    (folder / (NAME[:-1] + "c")).symlink_to(others[1])
    with contextlib.closing(Segment.create()) as live:
        assert remove_stale_segments() == 1
        assert not stale.exists()
        assert len(list(folder.iterdir())) == 6
        Segment.open(live.name).close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_segments_of_other_users_are_left_alone(folder: Path) -> None:
    (folder / NAME).touch(0o600)
    os.chown(folder / NAME, 65534, -1)
    assert remove_stale_segments() == 0


def test_no_folder_to_clean(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(mapping_posix, "folder", lambda: folder / "none")
    assert remove_stale_segments() == 0


def test_cleaning_while_segments_are_made_takes_none_from_its_creator() -> None:
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            remove_stale_segments()

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(100):
            with contextlib.closing(Segment.create()) as segment:
                Segment.open(segment.name).close()
    finally:
        done.set()
        cleaner.join()


def test_what_a_killed_creator_leaves_is_cleaned_and_live_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real folder: the child knows no other
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(contextlib.closing(Segment.create()))
        child = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", CREATE_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert child.stdout is not None
        name = child.stdout.readline().decode().strip()
        of_engine = stack.enter_context(contextlib.closing(Segment.open(name)))  # must not keep it alive
        path = mapping_posix.folder() / name
        remove_stale_segments()
        assert path.exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert path.exists()
        assert remove_stale_segments() >= 1
        assert not path.exists()
        assert bytes(of_engine.bytes[:8]) == layout.MAGIC
        Segment.open(live.name).close()
