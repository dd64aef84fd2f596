# SPDX-License-Identifier: GPL-2.0-or-later
"""Small real ONNX files, good and bad."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDES = [1, 3, 4, 4]


def weights(name: str = "weights") -> onnx.TensorProto:
    """A 1x1 convolution's weights."""
    return numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), name)


def info(name: str, sides: list[int] | None = None) -> onnx.ValueInfoProto:
    """A float32 tensor's description."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sides or SIDES)


def conv_node(domain: str = "", op_type: str = "Conv") -> onnx.NodeProto:
    """picture, weights -> mask"""
    return helper.make_node(op_type, ["picture", "weights"], ["mask"], domain=domain)


def graph_of(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto] | None = None) -> onnx.GraphProto:
    """A graph from ``picture`` to ``mask``."""
    outputs = [info("mask", [1, 1, 4, 4])]
    return helper.make_graph(
        nodes, "graph", [info("picture")], outputs, tensors if tensors is not None else [weights()]
    )


def model_of(
    graph: onnx.GraphProto, opset: int = 17, functions: list[onnx.FunctionProto] | None = None
) -> onnx.ModelProto:
    """A model around a graph."""
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions or [], ir_version=8)


def good_model() -> onnx.ModelProto:
    """One 1x1 convolution."""
    return model_of(graph_of([conv_node()]))


def external(tensor: onnx.TensorProto, location: str = "elsewhere.bin") -> onnx.TensorProto:
    """The tensor, with its data in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def subgraph_node(inner: onnx.GraphProto) -> onnx.NodeProto:
    """A node with ``inner`` as both of its branches."""
    return helper.make_node("If", ["picture"], ["mask"], then_branch=inner, else_branch=inner)


def branch(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto] | None = None) -> onnx.GraphProto:
    """A graph without inputs, as branches are."""
    return helper.make_graph(nodes, "branch", [], [info("mask", [1, 1, 4, 4])], tensors or [])


def constant_node(value: onnx.TensorProto) -> onnx.NodeProto:
    """A constant with its tensor in an attribute."""
    return helper.make_node("Constant", [], ["mask"], value=value)


def function_of(nodes: list[onnx.NodeProto], domain: str = "") -> onnx.FunctionProto:
    """A function of the model's own."""
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_function(domain, "Own", ["picture", "weights"], ["mask"], nodes, opsets)
