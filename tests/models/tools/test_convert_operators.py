# SPDX-License-Identifier: GPL-2.0-or-later
"""Each operator from ONNX to TFLite and back: LiteRT and ONNX Runtime, which share no code, must agree both times."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.models.tools.convert import tflite_writer
from background_filter.models.tools.convert.finish import finished, open_as_engine
from background_filter.models.tools.convert.from_tflite import TFLiteSource
from background_filter.models.tools.convert.parity import compare
from background_filter.models.tools.convert.tflite_graph import TO_FIRST, TO_LAST
from background_filter.models.tools.convert.tflite_writer import Writer
from background_filter.models.tools.convert.to_tflite import simplified, written
from background_filter.tests.models.tools.graphs import SMALL, integers, network, node, one, weights

LARGEST = 2e-5  # rounding


def i32(values: object) -> np.ndarray:
    """A constant as TFLite keeps whole numbers."""
    return np.array(values, np.int32)


def shape_of(port: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(side.dim_value for side in port.type.tensor_type.shape.dim)


def turned(values: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """An ONNX tensor as TFLite has it, or the reverse: only where TFLite's shape is another."""
    return values if values.shape == shape else np.ascontiguousarray(values.transpose(axes))


@pytest.mark.parametrize("name", SMALL)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    model = simplified(onnx.load_from_string(SMALL[name]), tmp_path)
    path = tmp_path / "small.tflite"
    path.write_bytes(written(model, "small.onnx"))
    source = TFLiteSource(path)
    back = source.to_onnx()
    first = open_as_engine(model.SerializeToString(), "there")
    second = open_as_engine(finished(back, {"of": "a test"}), "back")
    picture = np.random.default_rng(3).normal(0, 1, first.get_inputs()[0].shape).astype(np.float32)
    fed = turned(picture, shape_of(back.graph.input[0]), TO_LAST)
    (expected,) = first.run(None, {"x": picture})
    by_litert = [turned(each, expected.shape, TO_FIRST) for each in source.run({"x": fed})]
    by_back = [turned(each, expected.shape, TO_FIRST) for each in second.run(None, {"x": fed})]
    assert expected.std() > 1e-3
    for answers in (by_litert, by_back):
        found = compare(["y"], [[expected]], [answers], None).outputs[0]
        assert found.largest <= LARGEST * max(1.0, found.range), found


# What our own TFLite files don't hold, made with the schema directly: operator, its options' class and values,
# constants behind x, shape and type of what it gives.
POSITIVE = (1, 6, 8, 4)
BY_HAND: dict[str, tuple[str, str, dict[str, object], list[np.ndarray], tuple[int, ...], str]] = {
    "space to batch": (
        "SPACE_TO_BATCH_ND", "SpaceToBatchNDOptions", {},
        [i32([2, 4]), i32([[1, 1], [0, 0]])], (8, 4, 2, 4), "FLOAT32",
    ),
    "argument of the maximum": ("ARG_MAX", "ArgMaxOptions", {"outputType": 4}, [i32(3)], (1, 6, 8), "INT64"),
    "argument in 32 bits": ("ARG_MAX", "ArgMaxOptions", {"outputType": 2}, [i32(-1)], (1, 6, 8), "INT32"),
    "gelu": ("GELU", "GeluOptions", {"approximate": False}, [], POSITIVE, "FLOAT32"),
    "gelu by tanh": ("GELU", "GeluOptions", {"approximate": True}, [], POSITIVE, "FLOAT32"),
    "squared difference": (
        "SQUARED_DIFFERENCE", "SquaredDifferenceOptions", {}, [weights(1, 1, 1, 4)], POSITIVE, "FLOAT32",
    ),
    "reciprocal root": ("RSQRT", "", {}, [], POSITIVE, "FLOAT32"),
    "square": ("SQUARE", "SquareOptions", {}, [], POSITIVE, "FLOAT32"),
    "softmax, sharper": ("SOFTMAX", "SoftmaxOptions", {"beta": 2.0}, [], POSITIVE, "FLOAT32"),
    "logarithm of softmax": ("LOG_SOFTMAX", "LogSoftmaxOptions", {}, [], POSITIVE, "FLOAT32"),
    "slice to the end": (
        "SLICE", "SliceOptions", {}, [i32([0, 2, 1, 0]), i32([1, -1, 5, 3])], (1, 4, 5, 3), "FLOAT32",
    ),
    "slice that takes an axis away": (
        "STRIDED_SLICE", "StridedSliceOptions", {"shrinkAxisMask": 2, "beginMask": 4, "endMask": 4},
        [i32([0, 3, 5, 1]), i32([1, 4, 6, 4]), i32([1, 1, 2, 1])], (1, 4, 3), "FLOAT32",
    ),
    "whole numbers": ("CAST", "CastOptions", {"inDataType": 0, "outDataType": 2}, [], POSITIVE, "INT32"),
    "least of two axes": ("REDUCE_MIN", "ReducerOptions", {"keepDims": False}, [i32([1, 3])], (1, 8), "FLOAT32"),
    "nearest": (
        "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", {"halfPixelCenters": True},
        [i32([9, 4])], (1, 9, 4, 4), "FLOAT32",
    ),
    "average without what is beyond": (
        "AVERAGE_POOL_2D", "Pool2DOptions",
        {"padding": 0, "strideH": 2, "strideW": 3, "filterHeight": 3, "filterWidth": 4}, [], (1, 3, 3, 4), "FLOAT32",
    ),
}  # fmt: skip


def by_hand(name: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    code, options, values, constants, shape, element = BY_HAND[name]
    if options:
        monkeypatch.setitem(tflite_writer.OPTIONS, code, options)
    writer = Writer(onnx.ModelProto(), {}, "by hand")
    x = writer.tensor(POSITIVE, name="x")
    y = writer.add(code, [x, *(writer.number(value) for value in constants)], shape, element, **values)
    return writer.finish([x], [("y", y)])


@pytest.mark.parametrize("name", BY_HAND)
def test_what_others_files_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "others.tflite"
    path.write_bytes(by_hand(name, monkeypatch))
    source = TFLiteSource(path)
    session = open_as_engine(finished(source.to_onnx(), {"of": "a test"}), "others")
    feed = {"x": np.random.default_rng(4).uniform(0.1, 3, POSITIVE).astype(np.float32)}
    parity = compare(["y"], [source.run(feed)], [session.run(["y"], feed)], None)
    assert parity.outputs[0].largest <= LARGEST * max(1.0, parity.outputs[0].range), parity


def test_several_tensors_and_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SPLIT, PACK, BATCH_MATMUL with a side turned, and the way into batches and back with a crop."""
    made = {"SPLIT": "SplitOptions", "PACK": "PackOptions", "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions"}
    for code, options in {**made, "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions"}.items():
        monkeypatch.setitem(tflite_writer.OPTIONS, code, options)
    writer = Writer(onnx.ModelProto(), {}, "by hand")
    x = writer.tensor(POSITIVE, name="x")
    parts = writer.add_many("SPLIT", [writer.number(i32(2)), x], [(1, 6, 4, 4)] * 2, numSplits=2)
    packed = writer.add("PACK", parts[::-1], (1, 2, 6, 4, 4), axis=1, valuesCount=2)
    product = writer.add("BATCH_MATMUL", [packed, packed], (1, 2, 6, 4, 4), adjY=True)
    block, none = writer.integers(2, 4), writer.number(i32([[1, 1], [0, 0]]))
    batches = writer.add("SPACE_TO_BATCH_ND", [x, block, none], (8, 4, 2, 4))
    crops = writer.number(i32([[1, 1], [0, 3]]))
    back = writer.add("BATCH_TO_SPACE_ND", [batches, block, crops], (1, 6, 5, 4))
    path = tmp_path / "others.tflite"
    path.write_bytes(writer.finish([x], [("y", product), ("z", back)]))
    source = TFLiteSource(path)
    session = open_as_engine(finished(source.to_onnx(), {"of": "a test"}), "others")
    feed = {"x": np.random.default_rng(4).uniform(0.1, 3, POSITIVE).astype(np.float32)}
    expected = source.run(feed)
    assert np.array_equal(expected[1], feed["x"][:, :, :5])
    parity = compare(["y", "z"], [expected], [session.run(None, feed)], None)
    assert all(each.largest <= LARGEST * each.range for each in parity.outputs), parity


def test_pictures_are_not_turned_more_than_needed(tmp_path: Path) -> None:
    model = simplified(onnx.load_from_string(SMALL["channels last"]), tmp_path)
    path = tmp_path / "small.tflite"
    path.write_bytes(written(model, "small.onnx"))
    source = TFLiteSource(path)
    assert [operator.name for operator in source._network.operators] == ["CONV_2D", "LOGISTIC"]
    assert [each.op_type for each in source.to_onnx().graph.node].count("Transpose") == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (one("Sinh"), "not known here: Sinh"),
        (one("Slice", {"a": integers(-1), "b": integers(-9), "c": integers(3), "d": integers(-1)}), "Slice.*backwards"),
        (one("Softmax", axis=2), "Softmax: it is over axis 2"),
        (network(node("Conv", "x", "w"), constants={"w": weights(2, 4, 3)}, shape=(1, 4, 9)), "Conv.*1-dimensional"),
    ],
)
def test_what_tflite_can_t_say_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=words):
        written(simplified(onnx.load_from_string(data), tmp_path), "small.onnx")
