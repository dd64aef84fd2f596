# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue, the shipped weights and their digests agree; entries with anything wrong are refused."""

import hashlib
import json
from pathlib import Path

import pytest

from background_filter.models.catalog import FOLDER, CatalogError, default_model_id, load_catalog
from background_filter.models.digests import load_checksums
from background_filter.models.trust import ROOT, read_model

WEIGHTS = ROOT / "models" / "weights"
GOOD = json.loads((FOLDER / f"{default_model_id()}.json").read_text(encoding="utf-8"))


def test_the_catalogue_loads_and_has_the_default() -> None:
    entry = load_catalog()[default_model_id()]
    assert (entry.input.width, entry.input.height, entry.output.kind) == (256, 144, "logits")
    assert entry.input.scale == pytest.approx(1 / 255)


def test_ids_and_files_stand_once() -> None:
    entries = load_catalog().values()
    assert len({entry.file for entry in entries}) == len(entries)


def shipped_models() -> list[Path]:
    return sorted(WEIGHTS.glob("*.onnx"))


def test_every_shipped_file_has_the_digest_that_the_project_vouches_for() -> None:
    """After replacing a file under models/weights: put its ``sha256sum`` and size into checksums.json."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shipped_models()}
    assert {name: load_checksums(ROOT / "checksums.json").get(name) for name in found} == found


def test_sizes_in_the_checksums_are_right() -> None:
    facts = json.loads((ROOT / "checksums.json").read_text())["models"]
    for path in shipped_models():
        assert facts[path.name]["size"] == path.stat().st_size


def test_every_shipped_file_is_in_the_catalogue_and_may_run() -> None:
    entries = {entry.file: entry for entry in load_catalog().values()}
    for path in shipped_models():
        assert read_model(entries[path.name]).vouched_by == "project"


BAD_ENTRIES: dict[str, object] = {
    "id": "Person",
    "name": " ",
    "file": "../person.onnx",
    "license": None,
    "source": "two\nlines",
    "note": 1,
    "input": [],
    "output": None,
    "more": 1,
}
BAD_INPUTS: dict[str, object] = {
    "tensor": "",
    "width": 0,
    "height": 1025,
    "layout": "NCWH",
    "channels": "BGRA",
    "scale": 0,
    "mean": [0, 0],
    "std": [1, 0, 1],
    "more": 1,
}
BAD_OUTPUTS: dict[str, object] = {"tensor": 1, "kind": "argmax", "layout": None, "channel": -1, "more": 1}


def error_of(folder: Path, values: object, name: str = default_model_id()) -> str:
    (folder / f"{name}.json").write_text(json.dumps(values))
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    return str(error.value)


@pytest.mark.parametrize("field", BAD_ENTRIES)
def test_a_wrong_field_is_named(tmp_path: Path, field: str) -> None:
    assert f"{field}:" in error_of(tmp_path, {**GOOD, field: BAD_ENTRIES[field]})


@pytest.mark.parametrize("field", BAD_INPUTS)
def test_a_wrong_field_of_the_input_is_named(tmp_path: Path, field: str) -> None:
    values = {**GOOD, "input": {**GOOD["input"], field: BAD_INPUTS[field]}}
    assert f"input: {field}:" in error_of(tmp_path, values)


@pytest.mark.parametrize("field", BAD_OUTPUTS)
def test_a_wrong_field_of_the_output_is_named(tmp_path: Path, field: str) -> None:
    values = {**GOOD, "output": {**GOOD["output"], field: BAD_OUTPUTS[field]}}
    assert f"output: {field}:" in error_of(tmp_path, values)


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    values = {name: value for name, value in GOOD.items() if name != field}
    assert f"{field}: missing" in error_of(tmp_path, values)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    for scale in (float("nan"), float("inf"), True, "1"):
        assert "scale" in error_of(tmp_path, {**GOOD, "input": {**GOOD["input"], "scale": scale}})


def test_an_entry_under_another_name_is_refused(tmp_path: Path) -> None:
    assert "id:" in error_of(tmp_path, GOOD, "another")


def test_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff{")
    with pytest.raises(CatalogError, match=r"x\.json"):
        load_catalog(tmp_path)
