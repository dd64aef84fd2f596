# SPDX-License-Identifier: GPL-2.0-or-later
"""`models quantize` on real models: smaller, still right, fed as before; and refused when the masks suffer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from background_filter.filters.cli.errors import CommandError
from background_filter.filters.cli.models_parser import run_tool
from background_filter.filters.cli.preview import SAMPLE
from background_filter.filters.engine.ports import as_choices
from background_filter.models import trust
from background_filter.models.places import ROOT
from background_filter.models.tools import quantize
from background_filter.models.tools.compare import read_original
from background_filter.models.training.quantise import METHODS, CannotQuantiseError
from background_filter.tests.models.tools.copies import install, mask_of, ports_as_own_file, typed_on_the_page

RNG = np.random.default_rng(3)


def quantized(model: str, out: Path, how: str, *others: str) -> int:
    return run_tool("quantize", [model, str(out), "--how", how, "--rounds", "1", *others], here=True)


@pytest.fixture
def photographs(shared_folder: Path, tmp_path: Path) -> Path:
    """Six portraits with masks."""
    folder = tmp_path / "photographs"
    for name, source in (("images", "img"), ("masks", "mask")):
        (folder / name).mkdir(parents=True)
        for path in sorted((shared_folder / "data" / "dev" / "portraits" / source).iterdir())[:6]:
            shutil.copyfile(path, folder / name / path.name)
    return folder


# Colours in another order, 21 classes with the channels last, a memory, a set of operators from 2018.
@pytest.mark.parametrize(
    ("model", "how", "share"),
    [
        ("sinet_224", "weights", 0.5),
        ("deeplabv3", "fp16", 0.6),
        ("rvm_mobilenetv3_tf", "weights", 0.3),
        ("rvm_mobilenetv3_tf", "fp16", 0.55),
        ("deeplab_aiseg", "weights", 0.35),
    ],
)
def test_a_smaller_copy_is_fed_as_the_original(
    shared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, how: str, share: float
) -> None:
    source, out = install(shared_folder, model), tmp_path / "small.onnx"
    assert quantized(model, out, how, "--bound", "0.03") == 0
    said = capsys.readouterr().out
    assert out.stat().st_size < share * source.stat().st_size
    assert "agreement with the original on one portrait" in said and trust.digest_file(out) in said
    entry, own = read_original(model).version.ports, ports_as_own_file(out)
    assert as_choices(own) == as_choices(entry)
    assert [each.output for each in own.states] == [each.output for each in entry.states]
    assert np.abs(mask_of(str(out)).astype(int) - mask_of(model)).mean() < 5


def test_8_bits_with_calibration_pictures(
    shared_folder: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/models.md has it typed."""
    monkeypatch.chdir(photographs.parent)
    typed = next(words for words in typed_on_the_page("quantize") if "static" in words)
    source, out = install(shared_folder, typed[0]), Path(typed[1])
    assert run_tool("quantize", [*typed, "--rounds", "1", "--bound", "0.05"], here=True) == 0
    said = capsys.readouterr().out
    assert "6 pictures against the masks" in said and all(f"int8 {each.name}" in said for each in METHODS)
    operators = [node.op_type for node in onnx.load(out).graph.node]
    assert "QuantizeLinear" in operators and out.stat().st_size < 0.7 * source.stat().st_size
    # Right against the masks that people made, not only against the original.
    found = re.search(r"person IoU +(\S+) +(\S+)", said)
    assert found and all(float(iou) > 0.8 for iou in found.groups())
    with pytest.raises(CommandError, match="expected at least 4 pictures, found 3"):
        run_tool("quantize", [*typed, "--frames", "3"], here=True)


def test_a_copy_that_lost_too_much_is_refused(
    shared_folder: Path, tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(shared_folder, "bodypix")
    out = tmp_path / "int8.onnx"
    masks = photographs / "masks"
    arguments = ("--pictures", str(photographs / "images"), "--masks", str(masks), "--frames", "3")
    assert quantized("bodypix", out, "dynamic", *arguments) == 1
    said = capsys.readouterr().out
    assert "3 pictures against the masks" in said
    assert re.search(r"Refused, nothing was written: IoU worse by 0\.0[1-9]\d+, allowed 0\.0050", said)
    assert re.search(r"person IoU +0\.\d+ +0\.\d+ +-0\.\d+", said) and "bytes" in said
    assert not out.exists()


def test_without_masks_the_original_is_the_measure(
    shared_folder: Path, tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(shared_folder, "mediapipe_landscape")
    arguments = ("--pictures", str(photographs / "images"), "--frames", "2")
    assert quantized("mediapipe_landscape", tmp_path / "half.onnx", "fp16", *arguments) == 0
    said = capsys.readouterr().out
    assert "2 pictures against the original's masks" in said
    found = re.search(r"person IoU +(\S+) +(\S+)", said)
    assert found and found[1] == "1.0000" and 0.99 < float(found[2]) <= 1


def test_every_way_stands_on_the_page_with_its_commands() -> None:
    page = typed_on_the_page("quantize")
    assert [words[words.index("--how") + 1] for words in page] == ["weights", "static"]
    assert page[0][0] == "deeplab_aiseg", "which is typed so above"
    told = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert all(f"| `{how}` |" in told for how in quantize.WAYS)


def test_pictures_that_say_nothing_are_named(shared_folder: Path, tmp_path: Path) -> None:
    install(shared_folder, "mediapipe_landscape")
    room, out = tmp_path / "room", tmp_path / "half.onnx"
    room.mkdir()
    with pytest.raises(CommandError, match="no pictures in"):
        quantized("mediapipe_landscape", out, "fp16", "--pictures", str(room))
    cv2.imwrite(str(room / "dark.png"), np.zeros((90, 160, 3), np.uint8))
    with pytest.raises(CommandError, match="Nobody is in any of the pictures"):
        quantized("mediapipe_landscape", out, "fp16", "--pictures", str(room))
    with pytest.raises(CommandError, match=r"dark\.png: No such file"):
        quantized("mediapipe_landscape", out, "fp16", "--pictures", str(room), "--masks", str(SAMPLE.parent))
    with pytest.raises(CommandError, match="--how static takes pictures"):
        quantized("mediapipe_landscape", out, "static")
    with pytest.raises(CommandError, match="--masks: give the pictures"):
        quantized("mediapipe_landscape", out, "fp16", "--masks", str(room))
    assert not out.exists()


def float_model(constant: bool) -> onnx.ModelProto:
    """Every operator whose weights are packed: values float32 [1,4,6,6] to result float32 [36,5]."""
    weights = {
        "conv": RNG.normal(size=(16, 2, 3, 3)),
        "spread": RNG.normal(size=(16, 8, 2, 2)),
        "product": RNG.normal(size=(36 * 16, 20)) * 9,
        "turned": RNG.normal(size=(30, 20)),
        "scale": RNG.normal(size=(1, 1, 1, 1)),
    }
    tensors = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()]
    nodes = [
        helper.make_node("Conv", ["values", "conv"], ["a"], group=2, pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["a", "spread"], ["b"], group=2, strides=[2, 2]),
        helper.make_node("Mul", ["b", "scale"], ["c"]),
        helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("MatMul", ["e", "product"], ["f"]),
        helper.make_node("Gemm", ["f", "turned"], ["result"], transB=1),
    ]
    if constant:
        nodes = [*(helper.make_node("Constant", [], [each.name], value=each) for each in tensors), *nodes]
    graph = helper.make_graph(
        nodes,
        "all",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [1, 4, 6, 6])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 30])],
        [] if constant else tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def result_of(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = np.random.default_rng(5).normal(size=(1, 4, 6, 6)).astype(np.float32)
    return np.asarray(session.run(None, {"values": values})[0])


@pytest.mark.parametrize("constant", [False, True], ids=["weights", "constants"])
def test_every_kind_of_weight_is_packed_by_its_channels(constant: bool) -> None:
    source = float_model(constant)
    expected = result_of(source)
    packed = quantize.weights(quantize.with_constants(source))
    kept = {each.name for each in packed.graph.initializer if each.data_type == TensorProto.FLOAT}
    assert {name for name in kept if not name.endswith("/scale")} == {"scale"}
    scales = {each.name: list(each.dims) for each in packed.graph.initializer if each.name.endswith("/scale")}
    assert scales == {
        "conv/scale": [16, 1, 1, 1], "spread/scale": [1, 8, 1, 1], "product/scale": [1, 20], "turned/scale": [30, 1]
    }  # fmt: skip
    difference = np.abs(result_of(packed) - expected).max()
    assert 0 < difference < 0.02 * np.abs(expected).max()


def test_half_a_step_is_the_largest_error_of_a_weight() -> None:
    values = RNG.normal(size=(6, 5, 3, 3)).astype(np.float32)
    values[2] = 0
    packed, scale = quantize.packed_by_channel(values, 0)
    assert (np.abs(packed * scale - values) <= scale / 2 * 1.0001).all()
    assert packed.min() >= -127 and not packed[2].any()


def test_a_network_that_is_small_already_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds 8-bit numbers already"):
        quantized("person_fast_256x144", tmp_path / "twice.onnx", "weights")
    bare = float_model(constant=False)
    del bare.graph.initializer[:]
    with pytest.raises(CannotQuantiseError, match="no 32-bit weights"):
        quantize.weights(bare)
    with pytest.raises(CannotQuantiseError, match="no 32-bit weights"):
        quantize.fp16(bare)
