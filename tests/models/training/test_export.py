# SPDX-License-Identifier: GPL-2.0-or-later
"""From a checkpoint to an ONNX file that the filter's engine runs."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from background_filter.filters.cli.errors import CommandError
from background_filter.filters.engine.network import load_network
from background_filter.models import networks
from background_filter.models.catalog import load_catalog
from background_filter.models.training import export, tflite
from background_filter.models.training.checkpoint import HalfResolution, noise_pictures, restore
from background_filter.models.training.cost import count_macs
from background_filter.models.trust import read_model, trust_file
from background_filter.tests.models.training.chains import brightness_chain, checkpoint
from background_filter.tests.models.training.people import HEIGHT, WIDTH, make_folder, step

ANYTHING = ("--allowed-loss", 1, "--allowed-boundary-loss", 1, "--allowed-mad-gain", 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("run") / "best.pt")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("pairs"), 8)


def test_the_file_answers_as_pytorch_does(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "person.onnx"
    assert step(export, trained, "--out", out) == 0
    restored = restore(trained)
    pictures = noise_pictures(restored)[:1]
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert [(port.name, port.shape) for port in session.get_inputs()] == [("picture", [1, 3, HEIGHT, WIDTH])]
    assert [(port.name, port.shape) for port in session.get_outputs()] == [("logits", [1, 1, HEIGHT // 2, WIDTH // 2])]
    with torch.no_grad():
        expected = restored.network(pictures.float() / 255).numpy()
    found = session.run(None, {"picture": pictures.numpy().astype(np.float32) / 255})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    said = capsys.readouterr().out
    assert "parity with PyTorch" in said and hashlib.sha256(out.read_bytes()).hexdigest() in said


def test_the_file_says_what_it_is_and_names_no_folder(trained: Path, tmp_path: Path) -> None:
    step(export, trained, "--out", tmp_path / "person.onnx")
    model = onnx.load(tmp_path / "person.onnx")
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts["architecture"] == "person_unet" and facts["licence"] == "GPL-2.0-or-later"
    assert facts["input"].endswith(f"{WIDTH}x{HEIGHT}") and f"{WIDTH // 2}x{HEIGHT // 2}" in facts["output"]
    picture = np.zeros((1, 3, HEIGHT, WIDTH), np.float32)
    assert int(facts["multiply_accumulates"]) == count_macs(model, {"picture": picture})
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    content = (tmp_path / "person.onnx").read_bytes()
    assert str(tmp_path).encode() not in content and b"models/training" not in content


def test_the_engine_runs_it_once_it_is_trusted(trained: Path, tmp_path: Path) -> None:
    out, entry = tmp_path / "person.onnx", tmp_path / "catalog" / "person_small.json"
    step(export, trained, "--out", out, "--catalog", entry)
    described = load_catalog(entry.parent)["person_small"]
    assert (described.file, described.input.width, described.input.height) == (out.name, WIDTH, HEIGHT)
    trust_file(out)
    # Loading runs a picture through it and refuses what gives no mask.
    network = load_network(read_model(out), "cpu").network
    assert (network.width, network.height) == (WIDTH, HEIGHT)


def test_int8_twice_gives_the_same_bytes(trained: Path, pairs: Path, tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        step(export, trained, "--out", tmp_path / name, "--int8", "--calibrate", pairs, *ANYTHING)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    model = onnx.load(tmp_path / "one.onnx")
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    assert {each.domain for each in model.opset_import} == {node.domain for node in model.graph.node}


def test_a_refused_int8_leaves_the_float_file(
    trained: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step(export, trained, "--out", tmp_path / "float.onnx")
    step(export, trained, "--out", tmp_path / "int8.onnx", "--int8", "--calibrate", pairs, "--allowed-loss", -1)
    assert (tmp_path / "int8.onnx").read_bytes() == (tmp_path / "float.onnx").read_bytes()
    assert "no 8-bit copy ships" in capsys.readouterr().out


def test_half_resolution_averages_logits(tmp_path: Path) -> None:
    restored = brightness_chain()
    picture = torch.rand(1, 3, HEIGHT, WIDTH)
    full, half = restored.network(picture), HalfResolution(restored.network)(picture)
    assert half.shape == (1, 1, HEIGHT // 2, WIDTH // 2)
    assert float(half[0, 0, 0, 0].detach()) == pytest.approx(float(full[0, 0, :2, :2].mean().detach()), abs=1e-5)


def test_half_resolution_of_a_full_resolution_network(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "best.pt", "unet_light", channels=[4, 4, 8, 8, 8])
    step(export, source, "--out", tmp_path / "half.onnx", "--half-resolution")
    session = onnxruntime.InferenceSession(tmp_path / "half.onnx", providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape == [1, 1, HEIGHT // 2, WIDTH // 2]


def test_another_size(trained: Path, tmp_path: Path) -> None:
    step(export, trained, "--out", tmp_path / "wide.onnx", "--size", "96x32")
    session = onnxruntime.InferenceSession(tmp_path / "wide.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 32, 96]


def test_weights_alone_take_the_name_of_their_architecture(tmp_path: Path) -> None:
    weights = networks.create("person_unet").state_dict()
    halves = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    torch.save({"average": halves}, tmp_path / "weights.pt")
    restored = restore(tmp_path / "weights.pt", name="person_unet")
    assert (restored.name, restored.width, restored.height, restored.output_stride) == ("person_unet", 256, 144, 2)
    assert all(each.dtype == torch.float32 for each in restored.network.parameters())
    with pytest.raises(CommandError, match="do not fit"):
        restore(tmp_path / "weights.pt", name="unet_light")
    with pytest.raises(CommandError, match="Say which network they belong to"):
        restore(tmp_path / "weights.pt")


def refusal(*arguments: object) -> str:
    with pytest.raises(CommandError) as error:
        step(export, *arguments)
    return str(error.value)


def test_mistakes_are_named(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "person.onnx"
    assert "ends in .onnx" in refusal(trained, "--out", tmp_path / "person.bin")
    assert "--pack or --calibrate" in refusal(trained, "--out", out, "--int8")
    assert "no such file" in refusal(tmp_path / "none.pt", "--out", out)
    assert "multiples of 16" in refusal(trained, "--out", out, "--size", "100x50")
    assert "WIDTHxHEIGHT" in refusal(trained, "--out", out, "--size", "100")
    assert "images and masks" in refusal(trained, "--out", out, "--int8", "--calibrate", tmp_path)
    assert "such as my_net.json" in refusal(trained, "--out", out, "--catalog", tmp_path / "My Net.json")
    (tmp_path / "text.pt").write_text("no checkpoint")
    assert "not a checkpoint" in refusal(tmp_path / "text.pt", "--out", out)
    torch.save({"average": {}, "architecture": {"name": "nothing", "options": {}}}, tmp_path / "unknown.pt")
    assert "unknown network 'nothing'" in refusal(tmp_path / "unknown.pt", "--out", out)


def test_a_file_that_answers_otherwise_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "run_onnx", lambda path, pictures: torch.zeros(len(pictures), 1, 24, 32) + 1)
    assert "does not compute what PyTorch does" in refusal(trained, "--out", tmp_path / "person.onnx")
    assert not (tmp_path / "person.onnx").exists()


def test_tflite_without_its_converter_says_what_to_install(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite, "NEEDED", ("no_such_converter",))
    said = refusal(trained, "--out", tmp_path / "person.onnx", "--tflite", tmp_path / "person.tflite")
    assert "requirements-tflite.txt" in said and not list(tmp_path.iterdir())


def test_the_catalogue_entry_is_json_for_people(trained: Path, tmp_path: Path) -> None:
    step(export, trained, "--out", tmp_path / "person.onnx", "--catalog", tmp_path / "person_small.json")
    values = json.loads((tmp_path / "person_small.json").read_text())
    assert values["id"] == "person_small" and values["output"]["kind"] == "logits"
