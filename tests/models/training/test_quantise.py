# SPDX-License-Identifier: GPL-2.0-or-later
"""8 bits where they do no harm, and never where they do."""

from pathlib import Path

import onnx
import pytest
import torch

from background_filter.models.training import quantise as module
from background_filter.models.training.checkpoint import Restored, restore
from background_filter.models.training.export import export_float
from background_filter.models.training.quantise import (
    Bounds,
    CannotQuantiseError,
    Feeds,
    Quality,
    Samples,
    choose,
    feeds_of,
    measure_file,
    nodes_in_float,
    quantise,
    run_onnx,
)
from background_filter.models.training.repeat import double_by_repeating
from background_filter.tests.models.training.chains import brightness_chain, checkpoint, people_samples

MIN_MAX = module.METHODS[0]


def float_file(folder: Path, restored: Restored) -> Path:
    export_float(restored, folder / "float.onnx")
    return folder / "float.onnx"


def choose_for(folder: Path, source: Path, people: Samples) -> Path:
    feeds = feeds_of(source, people.pictures)
    return choose(folder, source, feeds, lambda path: measure_file(path, people), Bounds())


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_a_harmless_copy_ships(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, people = float_file(tmp_path, brightness_chain()), people_samples(8)
    assert measure_file(source, people).person_iou > 0.95
    chosen = choose_for(tmp_path, source, people)
    assert chosen != source and "QuantizeLinear" in operators(chosen)
    said = capsys.readouterr().out
    assert all(method.name in said for method in module.METHODS) and "refused" not in said


def test_a_copy_that_8_bits_ruin_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, people = float_file(tmp_path, brightness_chain(outlier=1e4)), people_samples(8)
    reference = measure_file(source, people)
    assert reference.person_iou > 0.95
    assert choose_for(tmp_path, source, people) == source
    assert measure_file(tmp_path / "int8-MinMax.onnx", people).person_iou < reference.person_iou - 0.1
    said = capsys.readouterr().out
    assert said.count("refused: IoU worse by") == len(module.METHODS)


@pytest.mark.parametrize(
    ("found", "measures"),
    [
        (Quality(0.9, 0.8, 0.03), []),
        (Quality(0.89, 0.8, 0.03), ["IoU"]),
        (Quality(0.9, 0.7, 0.03), ["boundary F"]),
        (Quality(0.9, 0.8, 0.04), ["MAD"]),
        (Quality(float("nan"), 0.9, 0.02), ["IoU"]),
        (Quality(0.95, 0.9, 0.02), []),
    ],
)
def test_each_bound_counts(found: Quality, measures: list[str]) -> None:
    broken = Bounds().broken_by(found, Quality(0.9, 0.8, 0.03))
    assert [text.split(" worse")[0] for text in broken] == measures


def test_the_first_and_the_last_convolution_stay_in_float(tmp_path: Path) -> None:
    source, people = float_file(tmp_path, brightness_chain()), people_samples(4)
    quantise(source, tmp_path / "int8.onnx", feeds_of(source, people.pictures), MIN_MAX)
    model = onnx.load(tmp_path / "int8.onnx")
    weights = {each.name: each.data_type for each in model.graph.initializer}
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    in_8_bits = [makers.get(node.input[1]) == "DequantizeLinear" for node in convolutions]
    assert in_8_bits == [False, True, True, False]
    assert onnx.TensorProto.INT8 in weights.values()


def test_doubling_by_copies_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = people_samples(4)
    source = float_file(tmp_path, restore(checkpoint(tmp_path / "best.pt")))
    copies, doublings = tmp_path / "copies.onnx", []
    monkeypatch.setattr(module, "double_by_repeating", lambda model: doublings.append(double_by_repeating(model)))
    quantise(source, copies, feeds_of(source, people.pictures), MIN_MAX)
    monkeypatch.setattr(module, "double_by_repeating", lambda model: None)
    quantise(source, tmp_path / "resize.onnx", feeds_of(source, people.pictures), MIN_MAX)
    assert doublings[0] > 0
    assert operators(tmp_path / "resize.onnx").count("Resize") == operators(copies).count("Resize") + doublings[0]
    assert torch.equal(run_onnx(copies, people.pictures), run_onnx(tmp_path / "resize.onnx", people.pictures))


def test_a_network_without_enough_convolutions_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = people_samples(4)
    single = Restored(torch.nn.Conv2d(3, 1, 1).eval(), "single", 64, 48)
    source = float_file(tmp_path, single)
    with pytest.raises(CannotQuantiseError, match="1 convolutions"):
        nodes_in_float(onnx.load(source).graph)
    assert choose_for(tmp_path, source, people) == source
    assert "8 bits are not possible for this network: it has 1 convolutions" in capsys.readouterr().out


def test_what_onnx_runtime_can_not_do_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(CannotQuantiseError, match="quantiser failed"):
        quantise(tmp_path / "broken.onnx", tmp_path / "int8.onnx", Feeds(0, lambda _: {}), MIN_MAX)
    assert list(tmp_path.iterdir()) == [tmp_path / "broken.onnx"]
