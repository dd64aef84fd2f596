# SPDX-License-Identifier: GPL-2.0-or-later
"""Only the bytes that were meant: attacks on model files and on the files that vouch for them."""

import dataclasses
import os
from pathlib import Path

import pytest

from background_filter.models import onnx_guard, trust
from background_filter.models.catalog import Download, ModelEntry
from background_filter.models.trust import ModelRefused, digest_file, forget, look_at, read_model, trust_file
from background_filter.tests.models.files import conv_node, external, graph_of, model_of, weights
from background_filter.tests.models.product import (
    GOOD,
    OTHER,
    entry_of,
    own_file,
    posix_only,
    refusal_of,
    sha256,
    shipped,
    write_checksums,
)


def test_the_shipped_model_is_read_and_vouched_for_by_the_project(root: Path) -> None:
    model = read_model(entry_of(), root)
    assert (model.data, model.sha256, model.vouched_by, model.name) == (
        GOOD,
        sha256(GOOD),
        "project",
        "small.onnx",
    )
    assert model.entry == entry_of()
    assert len(repr(model)) < 2000


def test_one_byte_changed_anywhere_is_refused(root: Path) -> None:
    for at in range(0, len(GOOD), 7):
        changed = bytearray(GOOD)
        changed[at] ^= 1
        shipped(root).write_bytes(changed)
        refusal = refusal_of(entry_of(), root)
        assert refusal.code == "model.digest_mismatch"
        assert refusal.params == {
            "file": "small.onnx",
            "expected": sha256(GOOD),
            "found": sha256(bytes(changed)),
        }


@pytest.mark.parametrize("data", [b"", GOOD[:-1], GOOD + b"\0", OTHER, b"not a model"])
def test_truncated_padded_or_swapped_is_refused(root: Path, data: bytes) -> None:
    shipped(root).write_bytes(data)
    assert refusal_of(entry_of(), root).code == "model.digest_mismatch"


def test_a_shipped_model_swapped_for_another_that_is_trusted_is_refused(root: Path, tmp_path: Path) -> None:
    trust_file(own_file(tmp_path))
    shipped(root).write_bytes(OTHER)
    assert refusal_of(entry_of(), root).code == "model.digest_mismatch"


def test_no_file(root: Path, tmp_path: Path) -> None:
    shipped(root).unlink()
    assert refusal_of(entry_of(), root).code == "model.missing"
    assert refusal_of(tmp_path / "none.onnx", root).code == "model.missing"
    assert refusal_of(tmp_path / "no" / "folder.onnx", root).code == "model.missing"


def test_a_model_that_does_not_ship_is_found_in_the_users_folder(root: Path, config: Path) -> None:
    (config / "models").mkdir(parents=True)
    (config / "models" / "more.onnx").write_bytes(OTHER)
    assert refusal_of(entry_of("more.onnx"), root).code == "model.untrusted"
    write_checksums(root, {"more.onnx": {"sha256": sha256(OTHER)}})
    assert read_model(entry_of("more.onnx"), root).vouched_by == "project"


def official(sha256: str | None, kind: str = "onnx") -> ModelEntry:
    download = Download("https://example.org/more.onnx", kind, "for tests", sha256)
    return dataclasses.replace(entry_of("more.onnx"), download=download)


def test_a_fetched_file_with_the_digest_that_its_publisher_gives_needs_no_act_of_trust(
    root: Path, config: Path
) -> None:
    (config / "models").mkdir(parents=True)
    path = config / "models" / "more.onnx"
    path.write_bytes(OTHER)
    assert read_model(official(sha256(OTHER)), root).vouched_by == "project"
    assert refusal_of(official(None), root).code == "model.untrusted"
    assert refusal_of(official(sha256(OTHER), "tflite"), root).code == "model.untrusted"  # that of another file
    trust_file(path)
    assert read_model(official(None), root).vouched_by == "user"
    refusal = refusal_of(official(sha256(GOOD)), root)  # the user's word does not make another file of it
    assert (refusal.code, refusal.params["expected"]) == ("model.digest_mismatch", sha256(GOOD))


def test_trust_can_be_taken_back(root: Path, tmp_path: Path) -> None:
    path = own_file(tmp_path)
    trust_file(path)
    forget(path.name, sha256(OTHER))
    assert refusal_of(path, root).code == "model.untrusted"
    forget(path.name, sha256(OTHER))  # harmless


def test_the_bytes_that_were_checked_are_the_ones_that_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever exchanges the file after the digest was taken changes nothing: it is not opened again."""
    check = onnx_guard.check

    def exchange(data: bytes, file: str = "") -> None:
        shipped(root).write_bytes(OTHER)
        check(data, file)

    monkeypatch.setattr(onnx_guard, "check", exchange)
    assert read_model(entry_of(), root).data == GOOD
    monkeypatch.undo()
    assert refusal_of(entry_of(), root).code == "model.digest_mismatch"


def test_what_a_file_takes_and_gives_is_shown_before_anybody_trusts_it(tmp_path: Path) -> None:
    candidate = look_at(own_file(tmp_path))
    assert (candidate.sha256, candidate.data) == (sha256(OTHER), OTHER)
    assert [port.name for port in candidate.ports.inputs] == ["picture"]
    with pytest.raises(ModelRefused) as refusal:
        look_at(own_file(tmp_path, b"no model", "text.onnx"))
    assert refusal.value.code == "model.not_onnx"


def test_an_own_file_runs_only_after_the_act_of_trust(root: Path, tmp_path: Path) -> None:
    path = own_file(tmp_path)
    refusal = refusal_of(path, root)
    assert (refusal.code, refusal.params["found"]) == ("model.untrusted", sha256(OTHER))
    record = trust_file(path)
    assert (record.name, record.sha256, record.size) == ("own.onnx", sha256(OTHER), len(OTHER))
    model = read_model(path, root)
    assert (model.vouched_by, model.data, model.entry) == ("user", OTHER, None)


def test_an_own_file_that_changed_after_the_act_of_trust_is_refused(root: Path, tmp_path: Path) -> None:
    path = own_file(tmp_path)
    trust_file(path)
    path.write_bytes(OTHER[:-1])
    refusal = refusal_of(path, root)
    assert (refusal.code, refusal.params["expected"]) == ("model.digest_mismatch", sha256(OTHER))
    trust_file(path)
    path.write_bytes(OTHER)
    assert read_model(path, root).sha256 == sha256(OTHER)  # still trusted, too


def test_a_copy_of_what_the_project_vouches_for_needs_no_trust(root: Path, tmp_path: Path) -> None:
    assert read_model(own_file(tmp_path, GOOD, "copy.onnx"), root).vouched_by == "project"
    refusal = refusal_of(own_file(tmp_path, OTHER, "small.onnx"), root)
    assert (refusal.code, refusal.params["expected"]) == ("model.digest_mismatch", sha256(GOOD))


def test_trusted_bytes_still_pass_the_guard(root: Path, tmp_path: Path) -> None:
    path = own_file(tmp_path, b"not a model")
    trust_file(path)
    assert refusal_of(path, root).code == "model.not_onnx"
    path = own_file(tmp_path, model_of(graph_of([conv_node()], [external(weights())])).SerializeToString(), "b.onnx")
    trust_file(path)
    refusal = refusal_of(path, root)
    assert (refusal.code, refusal.params["file"]) == ("model.external_data", "b.onnx")


@posix_only
def test_links_folders_and_fifos_are_refused_at_once(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to(shipped(root))
    (tmp_path / "dangling.onnx").symlink_to(tmp_path / "none")
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "fifo.onnx")
    for name in ("link", "dangling", "folder", "fifo"):
        refusal = refusal_of(tmp_path / f"{name}.onnx", root)
        assert refusal.code == "model.unreadable", name
        assert refusal.params["detail"], name


@posix_only
def test_the_shipped_file_replaced_by_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    copy = own_file(tmp_path, GOOD)
    shipped(root).unlink()
    shipped(root).symlink_to(copy)
    assert refusal_of(entry_of(), root).code == "model.unreadable"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(root: Path) -> None:
    shipped(root).chmod(0)
    assert refusal_of(entry_of(), root).code == "model.unreadable"


def test_a_name_that_can_not_be_one_is_refused(root: Path) -> None:
    assert refusal_of(Path("a\0b.onnx"), root).code == "model.unreadable"


def test_too_large_is_refused_without_reading(root: Path, tmp_path: Path) -> None:
    path = own_file(tmp_path)
    os.truncate(path, trust.MAX_BYTES + 1)
    refusal = refusal_of(path, root)
    assert (refusal.code, refusal.params["size_mb"], refusal.params["limit_mb"]) == (
        "model.too_large",
        1025,
        1024,
    )


def test_digest_file_is_what_read_model_compares(root: Path, tmp_path: Path) -> None:
    assert digest_file(own_file(tmp_path)) == sha256(OTHER)
    with pytest.raises(ModelRefused):
        digest_file(tmp_path / "none.onnx")
