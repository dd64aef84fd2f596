# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that vouch for models: what can't be read for certain vouches for nothing."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from background_filter.models import digests, trust
from background_filter.models.places import ROOT
from background_filter.models.trust import ModelRefused, read_model, trust_file
from background_filter.tests.models.product import (
    GOOD,
    OTHER,
    entry_of,
    own_file,
    posix_only,
    refusal_of,
    sha256,
)

BAD_CHECKSUMS = {
    "empty": "",
    "no JSON": "{",
    "no object": "[]",
    "no format": '{"models": {}}',
    "another format": '{"format": 2, "models": {}}',
    "format of another kind": '{"format": true, "models": {}}',
    "no models": '{"format": 1}',
    "models of another kind": '{"format": 1, "models": []}',
    "no digest": '{"format": 1, "models": {"small.onnx": {}}}',
    "short digest": '{"format": 1, "models": {"small.onnx": {"sha256": "abc"}}}',
    "digest of another kind": '{"format": 1, "models": {"small.onnx": {"sha256": null}}}',
    "facts of another kind": '{"format": 1, "models": {"small.onnx": "abc"}}',
    "a name twice": '{"format": 1, "models": {}, "models": {}}',
    "a nesting bomb": "[" * 100_000,
}


@pytest.mark.parametrize("text", BAD_CHECKSUMS.values(), ids=BAD_CHECKSUMS)
def test_checksums_that_can_not_be_read_vouch_for_nothing(root: Path, tmp_path: Path, text: str) -> None:
    trust_file(own_file(tmp_path))
    (root / "checksums.json").write_text(text)
    refusal = refusal_of(entry_of(), root)
    assert refusal.code == "model.checksums"
    assert refusal.params["detail"]
    assert refusal_of(tmp_path / "own.onnx", root).code == "model.checksums"


def test_missing_checksums_vouch_for_nothing(root: Path) -> None:
    (root / "checksums.json").unlink()
    assert refusal_of(entry_of(), root).code == "model.checksums"


BAD_STORES: dict[str, Callable[[str], str]] = {
    "cut off": lambda text: text[:-4],
    "no JSON": lambda text: "trust me",
    "empty": lambda text: "",
    "another format": lambda text: text.replace('"format": 1', '"format": 9'),
    "records of another kind": lambda text: '{"format": 1, "trusted": {}}',
    "record of another kind": lambda text: '{"format": 1, "trusted": ["x"]}',
    "no digest": lambda text: text.replace("sha256", "sha1"),
    "digest with capitals": lambda text: text.replace(sha256(OTHER), sha256(OTHER).upper()),
    "no size": lambda text: text.replace('"size"', '"length"'),
    "no name": lambda text: text.replace('"name"', '"title"'),
    "too large": lambda text: text + " " * (digests.MAX_STORE_BYTES + 1),
    "a nesting bomb": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("spoil", BAD_STORES.values(), ids=BAD_STORES)
def test_a_store_that_can_not_be_read_vouches_for_nothing_and_stays(
    root: Path, tmp_path: Path, config: Path, spoil: Callable[[str], str]
) -> None:
    path = own_file(tmp_path)
    trust_file(path)
    store = config / "trusted.json"
    spoilt = spoil(store.read_text())
    store.write_text(spoilt)
    refusal = refusal_of(path, root)
    assert refusal.code == "model.trust_store"
    assert refusal.params["detail"]
    with pytest.raises(ModelRefused):
        trust_file(path)  # must not overwrite what it can't read
    assert store.read_text() == spoilt
    assert read_model(entry_of(), root).vouched_by == "project"  # the shipped model does not need the store


@posix_only
def test_a_store_that_others_may_write_vouches_for_nothing(root: Path, tmp_path: Path, config: Path) -> None:
    path = own_file(tmp_path)
    trust_file(path)
    (config / "trusted.json").chmod(0o622)
    assert refusal_of(path, root).code == "model.trust_store"


@posix_only
def test_a_store_that_is_a_link_or_a_folder_vouches_for_nothing(root: Path, tmp_path: Path, config: Path) -> None:
    path = own_file(tmp_path)
    trust_file(path)
    store = config / "trusted.json"
    store.rename(tmp_path / "elsewhere.json")
    store.symlink_to(tmp_path / "elsewhere.json")
    assert refusal_of(path, root).code == "model.trust_store"
    store.unlink()
    store.mkdir()
    assert refusal_of(path, root).code == "model.trust_store"


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".trusted.json.lock")


def test_the_store_before_stays_as_a_copy_that_can_take_its_place(root: Path, tmp_path: Path, config: Path) -> None:
    first, second = own_file(tmp_path), own_file(tmp_path, GOOD + b"\x28\x01", "second.onnx")
    trust_file(first)
    before = (config / "trusted.json").read_bytes()
    trust_file(second)
    copy = config / "trusted.json.copy"
    assert copy.read_bytes() == before
    (config / "trusted.json").write_text("{")
    assert refusal_of(first, root).code == "model.trust_store"
    with pytest.raises(ModelRefused):
        trust_file(second)
    assert copy.read_bytes() == before  # a damaged store never becomes the copy
    copy.replace(config / "trusted.json")
    assert read_model(first, root).vouched_by == "user"


def test_where_a_fetched_file_came_from_is_kept(tmp_path: Path) -> None:
    record = trust_file(own_file(tmp_path), origin="https://example.org/own.onnx")
    assert trust.trust_records() == [record]
    assert record.origin == "https://example.org/own.onnx"


def test_the_first_stores_still_vouch(tmp_path: Path, config: Path) -> None:
    """They called the origin path."""
    record = trust_file(own_file(tmp_path))
    store = config / "trusted.json"
    store.write_text(store.read_text().replace('"origin"', '"path"'))
    assert trust.trust_records() == [record]


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
import obs_background_filter
from pathlib import Path
from background_filter.models.trust import trust_file
for number in range(int(sys.argv[4])):
    path = Path(sys.argv[2]) / f"{sys.argv[3]}{number}.onnx"
    path.write_bytes(path.name.encode())
    trust_file(path)
    print(path.name, flush=True)
"""


def start_writer(folder: Path, name: str, times: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(ROOT), str(folder), name, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_programs_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, name, 20) for name in "ab"]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    names = {record.name for record in trust.trust_records()}
    assert names == {f"{name}{number}.onnx" for name in "ab" for number in range(20)}


@pytest.mark.parametrize("lines", [1, 4, 9])
def test_a_writer_that_is_killed_loses_at_most_what_it_had_not_said(tmp_path: Path, config: Path, lines: int) -> None:
    with start_writer(tmp_path, "a", 10_000) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.read().split()
    names = [record.name for record in trust.trust_records()]
    assert names[: len(said)] == said
    assert len(names) <= len(said) + 1
    trust_file(own_file(tmp_path, GOOD, "after.onnx"))  # the lock is free, what was unfinished is swept away
    assert left_in(config) == ["trusted.json", "trusted.json.copy"]


def test_the_store_is_readable_text_and_private(tmp_path: Path, config: Path) -> None:
    path = own_file(tmp_path, name="größe.onnx")
    record = trust_file(path)
    trust_file(path)
    store = config / "trusted.json"
    (facts,) = json.loads(store.read_text())["trusted"]
    assert facts == {
        "name": "größe.onnx",
        "sha256": sha256(OTHER),
        "size": len(OTHER),
        "origin": str(path),
        "date": facts["date"],
    }
    assert facts["date"] >= record.date
    if os.name == "posix":
        assert stat.S_IMODE(store.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.stat().st_mode) == 0o700


def test_a_store_that_could_not_be_written_is_the_old_one(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_file(own_file(tmp_path))
    before = (config / "trusted.json").read_bytes()

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(ModelRefused) as refusal:
        trust_file(own_file(tmp_path, GOOD, "more.onnx"))
    assert refusal.value.code == "model.trust_store"
    assert left_in(config) == ["trusted.json"]
    assert (config / "trusted.json").read_bytes() == before


def test_a_config_folder_that_can_not_be_made_is_a_clear_error(tmp_path: Path, config: Path) -> None:
    config.write_text("a file where the folder should be")
    with pytest.raises(ModelRefused) as refusal:
        trust_file(own_file(tmp_path))
    assert refusal.value.code == "model.trust_store"
