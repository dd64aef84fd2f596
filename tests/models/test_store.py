# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's folder of models: what goes in, what comes out, what state it is in."""

import os
import stat
from pathlib import Path

import pytest

from background_filter.models import store, trust
from background_filter.models.places import originals_folder, user_models_folder
from background_filter.models.store import StoreError, keep, name_for, own_files, remove, state_of
from background_filter.tests.models.product import GOOD, OTHER, entry_of, posix_only, sha256, shipped


def test_states(root: Path, config: Path) -> None:
    assert state_of(entry_of(), root)[1:] == (len(GOOD), sha256(GOOD), "project", None)
    missing = state_of(entry_of("more.onnx"), root)
    assert missing.path is None and missing.vouched_by is None and missing.sha256 is None
    path = keep(OTHER, "more.onnx")
    state = state_of(entry_of("more.onnx"), root)
    assert state[:4] == (path, len(OTHER), sha256(OTHER), None)
    assert state.refusal is not None and state.refusal.code == "model.untrusted"
    trust.trust_file(path)
    assert state_of(entry_of("more.onnx"), root).vouched_by == "user"
    shipped(root).write_bytes(OTHER)
    changed = state_of(entry_of(), root)
    assert changed.refusal is not None and changed.refusal.code == "model.digest_mismatch"


def test_a_file_is_kept_once_and_never_replaced() -> None:
    path = keep(GOOD, "own.onnx")
    assert path == user_models_folder() / "own.onnx"
    assert keep(GOOD, "own.onnx") == path
    with pytest.raises(StoreError, match=r"models remove own\.onnx"):
        keep(OTHER, "own.onnx")
    assert path.read_bytes() == GOOD
    assert [each.name for each in path.parent.iterdir()] == ["own.onnx"]
    if os.name == "posix":
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_disk_that_is_full_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StoreError, match="No space left"):
        keep(GOOD, "own.onnx")
    assert list(user_models_folder().iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["../up.onnx", "a b.onnx", "own.bin", ".hidden.onnx", "-rf.onnx", "con.onnx", "größe.onnx", "a\n.onnx", "x" * 99],
)
def test_names_that_are_no_good_everywhere(name: str) -> None:
    path = Path("folder") / name
    if path.name == "up.onnx":
        assert name_for(path, None, set()) == "up.onnx"  # the folder is never part of the name
        return
    with pytest.raises(StoreError):
        name_for(path, None, set())


def test_names_of_the_catalogue_must_be_asked_for() -> None:
    with pytest.raises(StoreError, match="--as"):
        name_for(Path("u2net.onnx"), None, {"u2net.onnx"})
    assert name_for(Path("whatever.bin"), entry_of("u2net.onnx"), {"u2net.onnx"}) == "u2net.onnx"


def test_own_files_are_those_that_the_catalogue_does_not_know() -> None:
    assert own_files(set()) == []
    keep(GOOD, "a.onnx")
    keep(GOOD, "b.onnx")
    (user_models_folder() / "notes.txt").write_text("x")
    assert [path.name for path in own_files({"a.onnx"})] == ["b.onnx"]


def test_removing_takes_the_trust_back(root: Path, tmp_path: Path) -> None:
    path, other = keep(OTHER, "own.onnx"), tmp_path / "other.onnx"
    other.write_bytes(GOOD)
    for each in (path, other):
        trust.trust_file(each)
    assert remove("own.onnx") == [path]
    assert [record.name for record in trust.trust_records()] == ["other.onnx"]
    assert remove("own.onnx") == []


def test_removing_finds_what_must_be_converted() -> None:
    originals_folder().mkdir(parents=True)
    original = originals_folder() / "net--file.tflite"
    original.write_bytes(b"x")
    assert remove("net.onnx", ("net--file.tflite",)) == [original]


def test_removing_sweeps_up_what_an_interrupted_fetch_left() -> None:
    path = keep(GOOD, "own.onnx")
    for name in (".own.onnx.part", ".own.onnx.part.of", ".other.onnx.part"):
        (path.parent / name).write_bytes(b"x")
    assert remove("own.onnx") == [path]
    assert [each.name for each in path.parent.iterdir()] == [".other.onnx.part"]


@posix_only
def test_removing_a_link_leaves_what_it_points_to(root: Path) -> None:
    user_models_folder().mkdir(parents=True)
    (user_models_folder() / "own.onnx").symlink_to(shipped(root))
    assert len(remove("own.onnx")) == 1
    assert shipped(root).read_bytes() == GOOD


def test_a_file_that_was_exchanged_while_it_was_shown_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(OTHER)
    shown = trust.look_at(path)
    path.write_bytes(GOOD)
    with pytest.raises(trust.ModelRefused) as refusal:
        trust.trust_file(path, shown.sha256)
    assert refusal.value.code == "model.digest_mismatch"
    assert trust.trust_records() == []
    assert store.keep(shown.data, "own.onnx").read_bytes() == OTHER  # what was shown is what is kept
