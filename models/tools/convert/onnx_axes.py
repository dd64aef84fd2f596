# SPDX-License-Identifier: GPL-2.0-or-later
"""ONNX operators that move values along axes, and matrix products, in TFLite."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from .onnx_nodes import attributes, axis_in, in_order, out_shape, unsupported
from .onnx_windows import bias_of
from .tflite_file import schema
from .tflite_graph import TO_FIRST, TO_LAST
from .tflite_writer import AS_IS, LAST, Writer


def concatenation(writer: Writer, node: onnx.NodeProto) -> None:
    """Concat."""
    order = writer.order(node.input)
    axis = axis_in(order, int(attributes(node)["axis"]), len(writer.shapes[node.output[0]]))
    inputs = [writer.get(name, order) for name in node.input]
    index = writer.add("CONCATENATION", inputs, out_shape(writer, node, order), axis=axis)
    writer.put(node.output[0], index, order)


REDUCTIONS = {"ReduceMean": "MEAN", "ReduceSum": "SUM", "ReduceMax": "REDUCE_MAX", "ReduceMin": "REDUCE_MIN"}


def reduction(writer: Writer, node: onnx.NodeProto) -> None:
    """ReduceMean and its like; the axes are an attribute or, later, an input."""
    found, rank = attributes(node), len(writer.shapes[node.input[0]])
    keep = bool(found.get("keepdims", 1))
    axes = found.get("axes")
    if axes is None:
        axes = writer.needed_constant(node, 1).tolist() if len(node.input) > 1 else range(rank)
    order = writer.order(node.input[:1]) if keep else AS_IS
    places = writer.integers(*(axis_in(order, int(axis), rank) for axis in axes))
    inputs = [writer.get(node.input[0], order), places]
    index = writer.add(REDUCTIONS[node.op_type], inputs, out_shape(writer, node, order), keepDims=keep)
    writer.put(node.output[0], index, order)


def transposition(writer: Writer, node: onnx.NodeProto) -> None:
    """Transpose; between the two orders it only renames."""
    rank = len(writer.shapes[node.input[0]])
    axes = tuple(int(axis) for axis in attributes(node).get("perm", range(rank)[::-1]))
    source, target = node.input[0], node.output[0]
    if axes == TO_FIRST and writer.has(source, AS_IS):
        writer.same(source, target, {AS_IS: LAST})
    elif axes == TO_LAST and writer.has(source, LAST):
        writer.same(source, target, {LAST: AS_IS})
    else:
        writer.put(target, writer.transposed(writer.get(source, AS_IS), axes), AS_IS)


def as_shaped(writer: Writer, node: onnx.NodeProto) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze: the same numbers in another shape."""
    shape = writer.shapes[node.output[0]]
    inputs = [writer.get(node.input[0], AS_IS), writer.integers(*shape)]
    new = np.array(shape, np.int32)
    writer.put(node.output[0], writer.add("RESHAPE", inputs, shape, newShape=new), AS_IS)


def repetition(writer: Writer, node: onnx.NodeProto) -> None:
    """Expand: sides of 1 are repeated."""
    same_rank = len(writer.shapes[node.input[0]]) == len(writer.shapes[node.output[0]])
    order = writer.order(node.input[:1]) if same_rank else AS_IS
    shape = out_shape(writer, node, order)
    inputs = [writer.get(node.input[0], order), writer.integers(*shape)]
    writer.put(node.output[0], writer.add("BROADCAST_TO", inputs, shape), order)


def padding(writer: Writer, node: onnx.NodeProto) -> None:
    """Pad with a number, or mirrored; the pads became inputs in operator set 11."""
    found, shape = attributes(node), writer.shapes[node.input[0]]
    pads = np.array(found["pads"]) if "pads" in found else writer.needed_constant(node, 1)
    if len(pads) != 2 * len(shape) or (pads < 0).any() or found.get("mode", "constant") not in ("constant", "reflect"):
        raise unsupported(writer, node, f"pads {pads.tolist()}, mode {found.get('mode')}")
    value = float(found.get("value", 0.0))
    if len(node.input) > 2 and node.input[2]:
        value = float(writer.needed_constant(node, 2).reshape(-1)[0])
    order = writer.order(node.input[:1])
    pairs = pads.reshape(2, -1).T.astype(np.int32)
    pairs = pairs[list(TO_LAST)] if order == LAST else pairs
    inputs = [writer.get(node.input[0], order), writer.number(pairs)]
    code = "PAD"
    options: dict[str, Any] = {}
    if found.get("mode") == "reflect":
        code, options = "MIRROR_PAD", {"mode": int(schema().MirrorPadMode.REFLECT)}
    elif value:
        code = "PADV2"
        inputs.append(writer.number(np.array([value], np.float32)))
    writer.put(node.output[0], writer.add(code, inputs, out_shape(writer, node, order), **options), order)


def slicing(writer: Writer, node: onnx.NodeProto) -> None:
    """Slice, forwards."""
    shape = writer.shapes[node.input[0]]
    starts, ends = writer.needed_constant(node, 1).tolist(), writer.needed_constant(node, 2).tolist()
    axes = writer.needed_constant(node, 3).tolist() if len(node.input) > 3 else list(range(len(starts)))
    steps = writer.needed_constant(node, 4).tolist() if len(node.input) > 4 else [1] * len(starts)
    order = writer.order(node.input[:1])
    bounds = np.array([[0, side, 1] for side in in_order(shape, order)], np.int32)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        if step < 1:
            raise unsupported(writer, node, "it goes backwards")
        first, last, _ = slice(start, end, step).indices(shape[axis])
        bounds[axis_in(order, axis, len(shape))] = first, max(first, last), step
    inputs = [writer.get(node.input[0], order), *(writer.number(column) for column in bounds.T)]
    writer.put(node.output[0], writer.add("STRIDED_SLICE", inputs, out_shape(writer, node, order)), order)


def splitting(writer: Writer, node: onnx.NodeProto) -> None:
    """Split."""
    rank = len(writer.shapes[node.input[0]])
    axis = int(attributes(node).get("axis", 0)) % rank
    order = writer.order(node.input[:1])
    sizes = writer.integers(*(writer.shapes[name][axis] for name in node.output))
    place = writer.number(np.array(axis_in(order, axis, rank), np.int32))
    shapes = [out_shape(writer, node, order, i) for i in range(len(node.output))]
    source = writer.get(node.input[0], order)
    outputs = writer.add_many("SPLIT_V", [source, sizes, place], shapes, numSplits=len(node.output))
    for name, index in zip(node.output, outputs):
        writer.put(name, index, order)


def product(writer: Writer, node: onnx.NodeProto) -> None:
    """Gemm and MatMul, with constant weights or without."""
    found = attributes(node)
    if found.get("transA", 0) or found.get("alpha", 1.0) != 1.0 or found.get("beta", 1.0) != 1.0:
        raise unsupported(writer, node, "it turns or scales its inputs")
    shape, weights = out_shape(writer, node, AS_IS), writer.constant(node.input[1])
    source = writer.get(node.input[0], AS_IS)
    if weights is None or weights.ndim != 2:
        inputs = [source, writer.get(node.input[1], AS_IS)]
        writer.put(node.output[0], writer.add("BATCH_MATMUL", inputs, shape), AS_IS)
        return
    turned = weights if found.get("transB", 0) else weights.T
    inputs = [source, writer.number(np.ascontiguousarray(turned)), bias_of(writer, node, turned.shape[0])]
    index = writer.add("FULLY_CONNECTED", inputs, shape, keepNumDims=len(shape) > 2)
    writer.put(node.output[0], index, AS_IS)
