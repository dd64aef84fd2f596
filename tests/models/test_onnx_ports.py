# SPDX-License-Identifier: GPL-2.0-or-later
"""What our own reading of an ONNX file's ports says, against onnx's; and on files that are none."""

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from background_filter.models.onnx_ports import MAX_PORTS, read_ports
from background_filter.models.refusal import ModelRefused
from background_filter.tests.models.files import conv_node, good_model, graph_of, info, model_of, weights

GOOD = good_model().SerializeToString()


def test_ports_of_a_small_model() -> None:
    ports = read_ports(GOOD)
    assert [str(port) for port in ports.inputs] == ["picture float [1, 3, 4, 4]"]
    assert [str(port) for port in ports.outputs] == ["mask float [1, 1, 4, 4]"]
    assert ports.opset == 17


def test_weights_among_the_inputs_are_none_of_them() -> None:
    model = model_of(graph_of([conv_node()]))
    model.graph.input.append(info("weights", [1, 3, 1, 1]))
    assert [port.name for port in read_ports(model.SerializeToString()).inputs] == ["picture"]


def test_free_sides_other_types_and_the_producer() -> None:
    model = good_model()
    model.producer_name = "a tool\n"
    model.opset_import.add(domain="com.microsoft", version=99)
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.append(helper.make_tensor_value_info("src", TensorProto.FLOAT16, ["batch", 3, None, 0]))
    model.graph.output.append(helper.make_tensor_value_info("classes", TensorProto.INT64, []))
    ports = read_ports(model.SerializeToString())
    assert [str(port) for port in (*ports.inputs, *ports.outputs)] == ["src float16 [?, 3, ?, ?]", "classes int64 []"]
    assert (ports.opset, ports.producer) == (17, "a tool?")


def test_many_ports_are_cut(tmp_path: Path) -> None:
    model = good_model()
    model.graph.output.extend(info(f"output{number}") for number in range(1000))
    assert len(read_ports(model.SerializeToString()).outputs) == MAX_PORTS


def test_the_real_networks(shared_folder: Path) -> None:
    for path in sorted((shared_folder / "models").rglob("*.onnx")):
        graph = onnx.load(path).graph
        given_values = {each.name for each in graph.initializer}
        ports = read_ports(path.read_bytes())
        assert [port.name for port in ports.inputs] == [
            each.name for each in graph.input if each.name not in given_values
        ]
        assert [port.name for port in ports.outputs] == [each.name for each in graph.output]
        sides = [each.dim_value or None for each in graph.output[0].type.tensor_type.shape.dim]
        assert list(ports.outputs[0].shape) == sides


@given(at=st.integers(0, len(GOOD) - 1), raw=st.binary(max_size=5), removed=st.integers(0, 5))
def test_mutated_files_are_read_or_refused_and_nothing_else(at: int, raw: bytes, removed: int) -> None:
    try:
        ports = read_ports(GOOD[:at] + raw + GOOD[at + removed :], "x.onnx")
    except ModelRefused as refusal:
        assert refusal.code == "model.not_onnx"
    else:
        assert all(str(port).isprintable() for port in (*ports.inputs, *ports.outputs))


@given(data=st.binary(max_size=300))
def test_random_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        read_ports(data)
    except ModelRefused as refusal:
        assert refusal.code == "model.not_onnx"


def test_a_value_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ModelRefused):
        read_ports(model_of(graph_of([conv_node()], [weights()])).SerializeToString()[:-3])
