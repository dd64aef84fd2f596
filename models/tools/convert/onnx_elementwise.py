# SPDX-License-Identifier: GPL-2.0-or-later
"""ONNX operators that compute number by number, in TFLite: in whichever order of sides their inputs are there."""

from __future__ import annotations

import numpy as np
import onnx

from .onnx_nodes import attributes, out_shape, unsupported
from .tflite_graph import TO_LAST
from .tflite_writer import AS_IS, LAST, Writer

OF_ONE = {
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "HardSwish": "HARD_SWISH",
    "Exp": "EXP",
    "Log": "LOG",
    "Sqrt": "SQRT",
    "Abs": "ABS",
    "Neg": "NEG",
    "Elu": "ELU",
    "Floor": "FLOOR",
    "Ceil": "CEIL",
}
OF_TWO = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Max": "MAXIMUM", "Min": "MINIMUM", "Pow": "POW"}


def of_one(writer: Writer, node: onnx.NodeProto) -> None:
    """An operator of one tensor that TFLite has too."""
    order = writer.order(node.input[:1])
    index = writer.add(OF_ONE[node.op_type], [writer.get(node.input[0], order)], out_shape(writer, node, order))
    writer.put(node.output[0], index, order)


def of_two(writer: Writer, node: onnx.NodeProto) -> None:
    """Two tensors; sides of 1 are repeated."""
    if len(node.input) != 2:
        raise unsupported(writer, node, f"it takes {len(node.input)} tensors")
    order = writer.order(node.input)
    inputs = [writer.get(name, order) for name in node.input]
    writer.put(node.output[0], writer.add(OF_TWO[node.op_type], inputs, out_shape(writer, node, order)), order)


def rectifier(writer: Writer, node: onnx.NodeProto) -> None:
    """Relu."""
    clipped(writer, node, 0.0, None)


def clip(writer: Writer, node: onnx.NodeProto) -> None:
    """Clip; its bounds became inputs in operator set 11."""
    found = attributes(node)
    bounds: list[float | None] = []
    for place, name in ((1, "min"), (2, "max")):
        is_input = len(node.input) > place and node.input[place]
        value = writer.needed_constant(node, place) if is_input else found.get(name)
        bounds.append(None if value is None else float(value))
    clipped(writer, node, *bounds)


KNOWN_CLIPS = {(0.0, None): "RELU", (0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}


def clipped(writer: Writer, node: onnx.NodeProto, low: float | None, high: float | None) -> None:
    """Keep values between bounds, with the operator before where that can do it."""
    order = writer.order(node.input[:1])
    index = writer.get(node.input[0], order)
    shape, kind = out_shape(writer, node, order), KNOWN_CLIPS.get((low or 0.0, high)) if low is not None else None
    if kind and writer.fuse(node.input[0], index, kind):
        writer.put(node.output[0], index, order)
        return
    if kind:
        index = writer.add(kind, [index], shape)
    else:
        for code, bound in (("MAXIMUM", low), ("MINIMUM", high)):
            if bound is not None:
                index = writer.add(code, [index, writer.number(np.array(bound, np.float32))], shape)
    writer.put(node.output[0], index, order)


def hard_sigmoid(writer: Writer, node: onnx.NodeProto) -> None:
    """max(0, min(1, alpha * x + beta))"""
    found = attributes(node)
    order = writer.order(node.input[:1])
    index, shape = writer.get(node.input[0], order), out_shape(writer, node, order)
    steps = (("MUL", found.get("alpha", 0.2)), ("ADD", found.get("beta", 0.5)), ("MAXIMUM", 0.0), ("MINIMUM", 1.0))
    for code, value in steps:
        index = writer.add(code, [index, writer.number(np.array(value, np.float32))], shape)
    writer.put(node.output[0], index, order)


def leaky(writer: Writer, node: onnx.NodeProto) -> None:
    """LeakyRelu."""
    order = writer.order(node.input[:1])
    alpha = float(attributes(node).get("alpha", 0.01))
    index = writer.add("LEAKY_RELU", [writer.get(node.input[0], order)], out_shape(writer, node, order), alpha=alpha)
    writer.put(node.output[0], index, order)


def learnt_leak(writer: Writer, node: onnx.NodeProto) -> None:
    """PRelu; the slope has no side for the batch in TFLite."""
    slope, rank = writer.needed_constant(node, 1), len(writer.shapes[node.input[0]])
    slope = slope.reshape((1,) * (rank - slope.ndim) + slope.shape)
    order = LAST if rank == 4 else AS_IS
    slope = slope.transpose(TO_LAST) if order == LAST else slope
    inputs = [writer.get(node.input[0], order), writer.number(slope[0])]
    writer.put(node.output[0], writer.add("PRELU", inputs, out_shape(writer, node, order)), order)


def normalisation(writer: Writer, node: onnx.NodeProto) -> None:
    """BatchNormalization that no convolution has taken in: x * factor + offset."""
    scale, bias, mean, variance = (writer.needed_constant(node, place) for place in (1, 2, 3, 4))
    factor = scale / np.sqrt(variance + attributes(node).get("epsilon", 1e-5))
    index, shape = writer.get(node.input[0], LAST), out_shape(writer, node, LAST)
    for code, value in (("MUL", factor), ("ADD", bias - mean * factor)):
        index = writer.add(code, [index, writer.number(value.astype(np.float32))], shape)
    writer.put(node.output[0], index, LAST)


def softmax(writer: Writer, node: onnx.NodeProto) -> None:
    """Over the last axis, which is where TFLite has it."""
    rank = len(writer.shapes[node.input[0]])
    axis = int(attributes(node).get("axis", -1)) % rank
    if axis not in (rank - 1, 1) or (axis == 1 and rank not in (2, 4)):
        raise unsupported(writer, node, f"it is over axis {axis}")
    order = LAST if rank == 4 and axis == 1 else AS_IS
    inputs = [writer.get(node.input[0], order)]
    writer.put(node.output[0], writer.add("SOFTMAX", inputs, out_shape(writer, node, order), beta=1.0), order)
