# SPDX-License-Identifier: GPL-2.0-or-later
"""Small real networks, made on the spot: the person is what is bright."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GAIN = 24.0  # logit = GAIN * (mean of the channels, 0 to 1, minus one half)


def brightness_net(
    width: int = 64,
    height: int = 48,
    layout: str = "NCHW",
    kind: str = "logits",
    half_size: bool = True,
    opset: int = 17,
    nan_when_dark: bool = False,
    dynamic: bool = False,
) -> onnx.ModelProto:
    """A network that calls bright pixels person. ``kind`` is logits, probability or softmax_logits (person: 1)."""
    step = 2 if half_size else 1
    channels = 2 if kind == "softmax_logits" else 1
    weights = np.zeros((channels, 3, step, step), np.float32)
    bias = np.zeros(channels, np.float32)
    weights[-1] = GAIN / (3 * step * step)
    bias[-1] = -GAIN / 2
    nodes = []
    picture = "picture"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [picture], ["nchw"], perm=[0, 3, 1, 2]))
        picture = "nchw"
    nodes.append(helper.make_node("Conv", [picture, "weights", "bias"], ["conv"], strides=[step, step]))
    last = "conv"
    if nan_when_dark:  # sqrt(logit + 11.5) is not a number for a black picture (-12)
        nodes += [
            helper.make_node("Add", [last, "shift"], ["shifted"]),
            helper.make_node("Sqrt", ["shifted"], ["root"]),
        ]
        last = "root"
    if kind == "probability":
        nodes.append(helper.make_node("Sigmoid", [last], ["chance"]))
        last = "chance"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], ["nhwc"], perm=[0, 2, 3, 1]))
        last = "nhwc"
    nodes.append(helper.make_node("Identity", [last], ["mask"]))
    sides = ["h", "w"] if dynamic else [height, width]
    out_sides = ["oh", "ow"] if dynamic else [height // step, width // step]
    inputs = [1, 3, *sides] if layout == "NCHW" else [1, *sides, 3]
    outputs = [1, channels, *out_sides] if layout == "NCHW" else [1, *out_sides, channels]
    constants = {"weights": weights, "bias": bias, "shift": np.array(11.5, np.float32)}
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if nan_when_dark or name != "shift"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def with_input_type(model: onnx.ModelProto, element_type: int) -> onnx.ModelProto:
    """The same network with an input of another type of number, which it casts to float first."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    name = changed.graph.input[0].name
    changed.graph.input[0].type.tensor_type.elem_type = element_type
    for node in changed.graph.node:
        node.input[:] = ["as_float" if given == name else given for given in node.input]
    changed.graph.node.insert(0, helper.make_node("Cast", [name], ["as_float"], to=TensorProto.FLOAT))
    return changed


def with_custom_domain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with an operator of a domain that nobody vouches for."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    changed.graph.node[-1].domain = "com.example.evil"
    changed.opset_import.append(helper.make_opsetid("com.example.evil", 1))
    return changed


def with_external_data(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with its weights in another file."""
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    tensor = changed.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return changed


def two_inputs() -> onnx.ModelProto:
    """A network that takes no single picture."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("a", "b")]
    out = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["mask"])], "two", ports, [out])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def no_mask() -> onnx.ModelProto:
    """A network that takes a picture and gives a number."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("number", TensorProto.FLOAT, [1, 3, 1, 1])
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["picture"], ["number"])], "number", [picture], [out]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def unknown_operator() -> onnx.ModelProto:
    """Well-formed ONNX with an operator that doesn't exist."""
    changed = brightness_net()
    changed.graph.node[-1].op_type = "Imaginary"
    return changed
