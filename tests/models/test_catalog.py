# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue, the shipped weights and their digests agree; entries with anything wrong are refused."""

import hashlib
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from background_filter.models.catalog import FOLDER, CatalogError, default_model_id, find_model, load_catalog
from background_filter.models.digests import load_checksums
from background_filter.models.onnx_ports import read_ports
from background_filter.models.places import ROOT
from background_filter.models.trust import read_model

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


def test_one_model_is_the_default_and_ships() -> None:
    assert [entry.id for entry in load_catalog().values() if entry.is_default] == [default_model_id()]
    assert (WEIGHTS / load_catalog()[default_model_id()].file).exists()


def test_whoever_publishes_no_digest_is_said_so_and_whoever_does_is_cited() -> None:
    downloads = [entry.download for entry in load_catalog().values() if entry.download]
    assert len(downloads) > 15
    assert sum(download.sha256 is not None for download in downloads) >= 3
    for download in downloads:
        assert urlsplit(download.url).scheme == "https"
        assert len(download.digest_note) > 20


def test_every_state_of_a_recurrent_model_goes_in_and_comes_out_once() -> None:
    for entry in load_catalog().values():
        ins = [state.input for state in entry.recurrence] + [constant.input for constant in entry.constants]
        assert len(set(ins)) == len(ins)
        assert len({state.output for state in entry.recurrence}) == len(entry.recurrence)
        assert entry.input.tensor not in ins
        assert entry.input.tensor or not ins, "with several inputs the picture's must have a name"


def test_default_sizes_are_sizes_that_the_model_takes() -> None:
    for entry in load_catalog().values():
        multiple = entry.input.multiple_of or 1
        assert entry.input.width % multiple == entry.input.height % multiple == 0


def test_real_networks_take_and_give_what_their_entries_say(shared_folder: Path) -> None:
    entries = {entry.file: entry for entry in load_catalog().values()}
    for path in sorted((shared_folder / "models").rglob("*.onnx")):
        entry, ports = entries[path.name], read_ports(path.read_bytes())
        others = {state.input for state in entry.recurrence} | {constant.input for constant in entry.constants}
        (picture,) = [port for port in ports.inputs if port.name not in others]
        assert entry.input.tensor in (None, picture.name)
        spec = entry.input
        sides = (3, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, 3)
        assert all(found in (None, side) for found, side in zip(picture.shape[1:], sides, strict=True)), entry.id
        outputs = {port.name: port for port in ports.outputs}
        output = outputs[entry.output.tensor] if entry.output.tensor else ports.outputs[0]
        channels = output.shape[1 if entry.output.layout == "NCHW" else 3]
        assert channels is None or entry.output.channel < channels, entry.id
        assert {state.output for state in entry.recurrence} <= outputs.keys()
        assert entry.opset in (None, ports.opset), (entry.id, ports.opset)


def write(folder: Path, name: str, **changes: object) -> None:
    values = {**GOOD, "id": name, "file": f"{name}.onnx", "is_default": False, **changes}
    (folder / f"{name}.json").write_text(json.dumps(values))


def test_a_former_id_means_the_model_that_replaced_it(tmp_path: Path) -> None:
    write(tmp_path, "new", replaces=["old", "older"])
    for name in ("new", "old", "older"):
        entry = find_model(name, tmp_path)
        assert entry is not None and entry.id == "new"
    assert find_model("oldest", tmp_path) is None


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"replaces": ["first"]}, "replaces: first"),
        ({"replaces": ["former"]}, "replaces: former"),
        ({"file": "first.onnx"}, "file: first.onnx"),
        ({"is_default": True}, "is_default"),
    ],
)
def test_entries_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    write(tmp_path, "first", replaces=["former"], is_default=True)
    write(tmp_path, "second", **changes)
    with pytest.raises(CatalogError, match=f"second.json: {said}"):
        load_catalog(tmp_path)


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
    "use": "cats",
    "paper": "",
    "opset": 0,
    "recurrence": [{"input": "r1i", "output": "r1o", "shape": [0]}],
    "constants": [{"input": "ratio", "shape": [1], "value": None}],
    "download": {"url": "http://example.org/net.onnx", "format": "onnx", "digest_note": "none"},
    "measured": {"on": "a machine", "street_iou": 1.5},
    "replaces": ["Not an id"],
    "is_default": "yes",
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
    "multiple_of": 0,
}
BAD_OUTPUTS: dict[str, object] = {
    "tensor": 1,
    "kind": "argmax",
    "layout": None,
    "channel": -1,
    "more": 1,
    "inverted": 1,
}


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


NEEDED = ("id", "name", "file", "license", "source", "note", "input", "output")


@pytest.mark.parametrize("field", NEEDED)
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
