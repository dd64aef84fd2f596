# SPDX-License-Identifier: GPL-2.0-or-later
"""TFLite operators that move values along axes, matrix products and changes of type, in ONNX."""

from __future__ import annotations

import numpy as np

from .tflite_elementwise import activate, unsupported
from .tflite_file import Operator, names_of
from .tflite_graph import AXIS_IN_FIRST, FIRST, LAST, TO_FIRST, Graph, element_of, nth
from .tflite_windows import bias_of, float_constant


def axis_in(order: str, axis: int, rank: int) -> int:
    """An axis of the file's order in the order at hand."""
    axis %= rank
    return AXIS_IN_FIRST[axis] if order == FIRST else axis


def concatenation(graph: Graph, operator: Operator) -> None:
    """Side by side along an axis."""
    order = graph.order(operator.inputs)
    axis = axis_in(order, operator.options.axis, len(graph.shape(operator.outputs[0])))
    name = graph.node("Concat", [graph.get(index, order) for index in operator.inputs], axis=axis)
    graph.put(operator.outputs[0], activate(graph, operator, name), order)


REDUCTIONS = {"MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_MAX": "ReduceMax", "REDUCE_MIN": "ReduceMin"}


def reduction(graph: Graph, operator: Operator) -> None:
    """Over the axes of a constant."""
    source, keep = operator.inputs[0], bool(operator.options.keepDims)
    rank = len(graph.shape(source))
    axes = sorted(int(axis) % rank for axis in np.atleast_1d(graph.needed_constant(operator, 1)))
    if operator.name == "MEAN" and axes == [1, 2] and rank == 4 and keep:
        graph.put(operator.outputs[0], graph.node("GlobalAveragePool", [graph.get(source, FIRST)]), FIRST)
        return
    order = graph.order([source]) if keep else LAST
    places = [axis_in(order, axis, rank) for axis in axes]
    inputs = [graph.get(source, order)]
    if operator.name == "SUM":  # its axes became an input before those of the others did
        name = graph.node("ReduceSum", [*inputs, graph.initializer(np.array(places, np.int64))], keepdims=int(keep))
    else:
        name = graph.node(REDUCTIONS[operator.name], inputs, axes=places, keepdims=int(keep))
    graph.put(operator.outputs[0], name, order)


def padding(graph: Graph, operator: Operator) -> None:
    """PAD, PADV2 (with a value) and MIRROR_PAD."""
    source = operator.inputs[0]
    order = graph.order([source])
    pairs = graph.needed_constant(operator, 1).astype(np.int64)
    if order == FIRST:
        pairs = pairs[[0, 3, 1, 2]]
    inputs = [graph.get(source, order), graph.initializer(pairs.T.reshape(-1))]
    mode = "constant"
    if operator.name == "PADV2":
        inputs.append(graph.initializer(graph.needed_constant(operator, 2).reshape(())))
    if operator.name == "MIRROR_PAD":
        mode = "reflect"
        if names_of("MirrorPadMode")[operator.options.mode] != "REFLECT":
            raise unsupported(graph, operator, "it repeats the border itself")
    graph.put(operator.outputs[0], graph.node("Pad", inputs, mode=mode), order)


def as_shaped(graph: Graph, operator: Operator) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the same numbers in another shape."""
    shape = graph.initializer(np.array(graph.shape(operator.outputs[0]), np.int64))
    graph.put(operator.outputs[0], graph.node("Reshape", [graph.get(operator.inputs[0], LAST), shape]), LAST)


def repetition(graph: Graph, operator: Operator) -> None:
    """BROADCAST_TO: sides of 1 are repeated."""
    order = graph.order(operator.inputs[:1]) if len(graph.shape(operator.inputs[0])) == 4 else LAST
    shape = graph.shape(operator.outputs[0])
    if order == FIRST:
        shape = tuple(shape[axis] for axis in TO_FIRST)
    inputs = [graph.get(operator.inputs[0], order), graph.initializer(np.array(shape, np.int64))]
    graph.put(operator.outputs[0], graph.node("Expand", inputs), order)


def transposition(graph: Graph, operator: Operator) -> None:
    """TRANSPOSE by a constant order of axes."""
    axes = [int(axis) for axis in graph.needed_constant(operator, 1)]
    graph.put(operator.outputs[0], graph.node("Transpose", [graph.get(operator.inputs[0], LAST)], perm=axes), LAST)


def slicing(graph: Graph, operator: Operator) -> None:
    """SLICE: from a beginning on, a number of values; -1 means all."""
    begins = graph.needed_constant(operator, 1).astype(np.int64)
    sizes = graph.needed_constant(operator, 2).astype(np.int64)
    sides = np.array(graph.shape(operator.inputs[0]), np.int64)
    ends = np.where(sizes < 0, sides, begins + sizes)
    inputs = [graph.get(operator.inputs[0], LAST), graph.initializer(begins), graph.initializer(ends)]
    graph.put(operator.outputs[0], graph.node("Slice", inputs), LAST)


def strided_slicing(graph: Graph, operator: Operator) -> None:
    """STRIDED_SLICE with constant bounds; axes of one value may vanish."""
    options = operator.options
    if options.ellipsisMask or options.newAxisMask:
        raise unsupported(graph, operator, "it uses an ellipsis or makes new axes")
    begins, ends, steps = (graph.needed_constant(operator, place).astype(np.int64).copy() for place in (1, 2, 3))
    far = np.iinfo(np.int64).max
    for axis in range(len(begins)):
        if options.beginMask >> axis & 1:
            begins[axis] = 0 if steps[axis] > 0 else far
        if options.endMask >> axis & 1:
            ends[axis] = far if steps[axis] > 0 else -far
        if options.shrinkAxisMask >> axis & 1:
            ends[axis], steps[axis] = (begins[axis] + 1 or far), 1
    axes = np.arange(len(begins), dtype=np.int64)
    values = [graph.initializer(value) for value in (begins, ends, axes, steps)]
    name = graph.node("Slice", [graph.get(operator.inputs[0], LAST), *values])
    if options.shrinkAxisMask:
        shape = graph.initializer(np.array(graph.shape(operator.outputs[0]), np.int64))
        name = graph.node("Reshape", [name, shape])
    graph.put(operator.outputs[0], name, LAST)


def splitting(graph: Graph, operator: Operator) -> None:
    """SPLIT (axis, tensor) and SPLIT_V (tensor, sizes, axis)."""
    source, axis_place = (operator.inputs[1], 0) if operator.name == "SPLIT" else (operator.inputs[0], 2)
    order = graph.order([source])
    axis = int(graph.needed_constant(operator, axis_place).reshape(-1)[0]) % len(graph.shape(source))
    sizes = graph.initializer(np.array([graph.shape(index)[axis] for index in operator.outputs], np.int64))
    place = axis_in(order, axis, len(graph.shape(source)))
    name = graph.node("Split", [graph.get(source, order), sizes], len(operator.outputs), axis=place)
    for number, index in enumerate(operator.outputs):
        graph.put(index, nth(name, number), order)


def packing(graph: Graph, operator: Operator) -> None:
    """PACK: tensors become one, along a new axis."""
    axis = operator.options.axis % len(graph.shape(operator.outputs[0]))
    where = graph.initializer(np.array([axis], np.int64))
    parts = [graph.node("Unsqueeze", [graph.get(index, LAST), where]) for index in operator.inputs]
    graph.put(operator.outputs[0], graph.node("Concat", parts, axis=axis), LAST)


def space_to_batch(graph: Graph, operator: Operator) -> None:
    """SPACE_TO_BATCH_ND: every n-th row and column becomes a picture of its own (dilated convolutions of old)."""
    rows, columns = block_of(graph, operator)
    pads = graph.needed_constant(operator, 2).astype(np.int64)
    around = np.array([[0, 0], *pads.tolist(), [0, 0]], np.int64).T.reshape(-1)
    padded = graph.node("Pad", [graph.get(operator.inputs[0], LAST), graph.initializer(around)])
    batch, height, width, channels = graph.shape(operator.inputs[0])
    height, width = height + int(pads[0].sum()), width + int(pads[1].sum())
    split = [batch, height // rows, rows, width // columns, columns, channels]
    apart = graph.node("Reshape", [padded, graph.initializer(np.array(split, np.int64))])
    turned = graph.node("Transpose", [apart], perm=[2, 4, 0, 1, 3, 5])
    shape = [batch * rows * columns, height // rows, width // columns, channels]
    graph.put(operator.outputs[0], graph.node("Reshape", [turned, graph.initializer(np.array(shape, np.int64))]), LAST)


def batch_to_space(graph: Graph, operator: Operator) -> None:
    """BATCH_TO_SPACE_ND: the reverse of `space_to_batch`, cropped."""
    rows, columns = block_of(graph, operator)
    crops = graph.needed_constant(operator, 2).astype(np.int64)
    batch, height, width, channels = graph.shape(operator.inputs[0])
    batch //= rows * columns
    split = [rows, columns, batch, height, width, channels]
    apart = graph.node("Reshape", [graph.get(operator.inputs[0], LAST), graph.initializer(np.array(split, np.int64))])
    turned = graph.node("Transpose", [apart], perm=[2, 3, 0, 4, 1, 5])
    shape = [batch, height * rows, width * columns, channels]
    joined = graph.node("Reshape", [turned, graph.initializer(np.array(shape, np.int64))])
    begins, ends = crops[:, 0], np.array([height * rows, width * columns]) - crops[:, 1]
    bounds = [graph.initializer(np.asarray(value, np.int64)) for value in (begins, ends, [1, 2])]
    graph.put(operator.outputs[0], graph.node("Slice", [joined, *bounds]), LAST)


def block_of(graph: Graph, operator: Operator) -> tuple[int, int]:
    """Height and width of the blocks."""
    block = graph.needed_constant(operator, 1).reshape(-1)
    if len(block) != 2 or len(graph.shape(operator.inputs[0])) != 4:
        raise unsupported(graph, operator, "only pictures are known here")
    return int(block[0]), int(block[1])


def highest(graph: Graph, operator: Operator) -> None:
    """ARG_MAX and ARG_MIN along an axis, which vanishes."""
    rank = len(graph.shape(operator.inputs[0]))
    axis = int(graph.needed_constant(operator, 1).reshape(-1)[0]) % rank
    kind = "ArgMax" if operator.name == "ARG_MAX" else "ArgMin"
    name = graph.node(kind, [graph.get(operator.inputs[0], LAST)], axis=axis, keepdims=0)
    element = graph.tensor(operator.outputs[0]).element
    if element != "INT64":
        name = graph.node("Cast", [name], to=element_of(element, graph.file))
    graph.put(operator.outputs[0], name, LAST)


def fully_connected(graph: Graph, operator: Operator) -> None:
    """FULLY_CONNECTED: weights are out, in; everything before the last axis is a batch."""
    weights = float_constant(graph, operator, 1)
    flat = graph.initializer(np.array([-1, weights.shape[1]], np.int64))
    rows = graph.node("Reshape", [graph.get(operator.inputs[0], LAST), flat])
    name = graph.node("Gemm", [rows, graph.initializer(weights), *bias_of(graph, operator, 2)], transB=1)
    name = activate(graph, operator, name)
    shape = graph.initializer(np.array(graph.shape(operator.outputs[0]), np.int64))
    graph.put(operator.outputs[0], graph.node("Reshape", [name, shape]), LAST)


def matrix_product(graph: Graph, operator: Operator) -> None:
    """BATCH_MATMUL; either side may be turned."""
    names = []
    for index, turned in zip(operator.inputs, (operator.options.adjX, operator.options.adjY)):
        name, rank = graph.get(index, LAST), len(graph.shape(index))
        axes = [*range(rank - 2), rank - 1, rank - 2]
        names.append(graph.node("Transpose", [name], perm=axes) if turned else name)
    graph.put(operator.outputs[0], graph.node("MatMul", names), LAST)


def dequantisation(graph: Graph, operator: Operator) -> None:
    """DEQUANTIZE: of 16-bit floats; constants are widened now."""
    source, target = operator.inputs[0], operator.outputs[0]
    value = graph.constant(source)
    if value is not None:
        graph.put_constant(target, value.astype(np.float32))
        return
    if graph.tensor(source).element != "FLOAT16":
        what = f"it computes in {graph.tensor(source).element}; take the float version of this network"
        raise unsupported(graph, operator, what)
    order = graph.order([source])
    graph.put(target, graph.node("Cast", [graph.get(source, order)], to=element_of("FLOAT32", graph.file)), order)


def cast(graph: Graph, operator: Operator) -> None:
    """CAST to the output's type."""
    order = graph.order(operator.inputs)
    element = element_of(graph.tensor(operator.outputs[0]).element, graph.file)
    graph.put(operator.outputs[0], graph.node("Cast", [graph.get(operator.inputs[0], order)], to=element), order)
