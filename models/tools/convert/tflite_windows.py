# SPDX-License-Identifier: GPL-2.0-or-later
"""TFLite operators with windows (convolution, pooling, resizing) in ONNX: channels first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tflite_elementwise import activate, unsupported
from .tflite_file import Operator, names_of
from .tflite_graph import FIRST, Graph

# MediaPipe's own operator: a TRANSPOSE_CONV with a bias, whose options are padding (1: SAME), stride_w and stride_h.
MEDIAPIPE_TRANSPOSE = "Convolution2DTransposeBias"


def same_pads(size: int, window: int, stride: int, out: int) -> tuple[int, int]:
    """TFLite's SAME: how much is padded before and behind a side."""
    total = max((out - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pads_of(graph: Graph, operator: Operator, source: int, window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """ONNX's ``pads`` of an operator with a window of height and width: top, left, bottom, right."""
    options = operator.options
    if names_of("Padding")[options.padding] == "VALID":
        return [0, 0, 0, 0]
    shape, out = graph.shape(source), graph.shape(operator.outputs[0])
    strides = (options.strideH, options.strideW)
    pairs = [same_pads(shape[1 + i], (window[i] - 1) * dilation[i] + 1, strides[i], out[1 + i]) for i in (0, 1)]
    return [pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]]


def float_constant(graph: Graph, operator: Operator, place: int, picture: int = 0) -> NDArray[Any]:
    """Weights or a bias; CommandError for a network that computes in 8 bits, as its input ``picture`` shows."""
    value = graph.needed_constant(operator, place)
    element = graph.tensor(operator.inputs[picture]).element
    if value.dtype != np.float32 or element != "FLOAT32":
        what = f"it computes in {element}; take the float version of this network"
        raise unsupported(graph, operator, what)
    return value


def bias_of(graph: Graph, operator: Operator, place: int, picture: int = 0) -> list[str]:
    """The bias as a list of one name, or an empty one."""
    if len(operator.inputs) <= place or operator.inputs[place] < 0:
        return []
    return [graph.initializer(float_constant(graph, operator, place, picture))]


def convolution(graph: Graph, operator: Operator) -> None:
    """CONV_2D: weights are out, height, width, in."""
    weights, options = float_constant(graph, operator, 1), operator.options
    source = operator.inputs[0]
    window, dilations = weights.shape[1:3], (options.dilationHFactor, options.dilationWFactor)
    name = graph.node(
        "Conv",
        [graph.get(source, FIRST), graph.initializer(weights.transpose(0, 3, 1, 2)), *bias_of(graph, operator, 2)],
        kernel_shape=window,
        strides=(options.strideH, options.strideW),
        dilations=dilations,
        pads=pads_of(graph, operator, source, window, dilations),
        group=graph.shape(source)[3] // weights.shape[3],
    )
    graph.put(operator.outputs[0], activate(graph, operator, name), FIRST)


def depthwise(graph: Graph, operator: Operator) -> None:
    """DEPTHWISE_CONV_2D: weights are 1, height, width, in * multiplier."""
    weights, options = float_constant(graph, operator, 1), operator.options
    source = operator.inputs[0]
    window, dilations = weights.shape[1:3], (options.dilationHFactor, options.dilationWFactor)
    name = graph.node(
        "Conv",
        [graph.get(source, FIRST), graph.initializer(weights.transpose(3, 0, 1, 2)), *bias_of(graph, operator, 2)],
        kernel_shape=window,
        strides=(options.strideH, options.strideW),
        dilations=dilations,
        pads=pads_of(graph, operator, source, window, dilations),
        group=graph.shape(source)[3],
    )
    graph.put(operator.outputs[0], activate(graph, operator, name), FIRST)


def transposed(graph: Graph, operator: Operator) -> None:
    """TRANSPOSE_CONV: inputs are the output's shape, weights (out, height, width, in), the picture, a bias."""
    options = operator.options
    is_same = names_of("Padding")[options.padding] == "SAME"
    weights = float_constant(graph, operator, 1, picture=2)
    name = transposed_node(
        graph,
        operator,
        operator.inputs[2],
        weights,
        bias_of(graph, operator, 3, picture=2),
        (options.strideH, options.strideW),
        is_same,
    )
    graph.put(operator.outputs[0], activate(graph, operator, name), FIRST)


def transpose_bias_options(raw: bytes) -> tuple[bool, int, int]:
    """Whether the padding is SAME, and the strides of height and width, of MediaPipe's operator; ValueError."""
    if len(raw) < 12:
        raise ValueError("its options are too short")
    padding, stride_w, stride_h = struct.unpack("<3i", raw[:12])
    if padding not in (1, 2) or not (0 < stride_w <= 16 and 0 < stride_h <= 16):
        raise ValueError(f"it has the padding {padding} and the strides {stride_h} and {stride_w}")
    return padding == 1, stride_h, stride_w


def mediapipe_transposed(graph: Graph, operator: Operator) -> None:
    """`MEDIAPIPE_TRANSPOSE`: inputs are the picture, weights (out, height, width, in) and a bias."""
    try:
        is_same, *strides = transpose_bias_options(operator.options)
    except ValueError as error:
        raise unsupported(graph, operator, str(error)) from error
    weights, bias = float_constant(graph, operator, 1), bias_of(graph, operator, 2)
    name = transposed_node(graph, operator, operator.inputs[0], weights, bias, strides, is_same)
    graph.put(operator.outputs[0], name, FIRST)


def transposed_node(
    graph: Graph,
    operator: Operator,
    source: int,
    weights: NDArray[Any],
    bias: list[str],
    strides: Sequence[int],
    is_same: bool,
) -> str:
    """A ConvTranspose node; the size it gives is that of the operator's output."""
    shape, out = graph.shape(source), graph.shape(operator.outputs[0])
    begins, ends, beyond = [], [], []
    for i in (0, 1):
        total = (shape[1 + i] - 1) * strides[i] + weights.shape[1 + i] - out[1 + i]
        begin = max(total, 0) // 2 if is_same else 0
        begins.append(begin)
        ends.append(max(total, 0) - begin)
        beyond.append(max(-total, 0))
    if any(missing >= stride for missing, stride in zip(beyond, strides)):
        raise unsupported(graph, operator, f"it makes {out[1:3]} of {shape[1:3]} with strides of {tuple(strides)}")
    return graph.node(
        "ConvTranspose",
        [graph.get(source, FIRST), graph.initializer(weights.transpose(3, 0, 1, 2)), *bias],
        kernel_shape=weights.shape[1:3],
        strides=list(strides),
        pads=[*begins, *ends],
        output_padding=beyond,
    )


def pooling(graph: Graph, operator: Operator) -> None:
    """AVERAGE_POOL_2D (padding does not count) and MAX_POOL_2D."""
    options, source = operator.options, operator.inputs[0]
    window = (options.filterHeight, options.filterWidth)
    pads = pads_of(graph, operator, source, window, (1, 1))
    average = operator.name == "AVERAGE_POOL_2D"
    if average and window == graph.shape(source)[1:3] and not any(pads):
        name = graph.node("GlobalAveragePool", [graph.get(source, FIRST)])
    else:
        kind = "AveragePool" if average else "MaxPool"
        strides = (options.strideH, options.strideW)
        name = graph.node(kind, [graph.get(source, FIRST)], kernel_shape=window, strides=strides, pads=pads)
    graph.put(operator.outputs[0], activate(graph, operator, name), FIRST)


RESIZE_WAYS = {  # (align corners, half pixel centres): ONNX's name, how it rounds for the nearest
    (False, False): ("asymmetric", "floor"),
    (False, True): ("half_pixel", "round_prefer_ceil"),
    (True, False): ("align_corners", "round_prefer_ceil"),
}


def resizing(graph: Graph, operator: Operator) -> None:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""
    way = bool(operator.options.alignCorners), bool(operator.options.halfPixelCenters)
    if way not in RESIZE_WAYS:
        raise unsupported(graph, operator, "it aligns corners and takes pixels' centres")
    transformation, rounding = RESIZE_WAYS[way]
    source = operator.inputs[0]
    _, height, width, channels = graph.shape(operator.outputs[0])
    sizes = graph.initializer(np.array([graph.shape(source)[0], channels, height, width], np.int64))
    how: dict[str, Any] = {"mode": "linear"}
    if operator.name == "RESIZE_NEAREST_NEIGHBOR":
        how = {"mode": "nearest", "nearest_mode": rounding}
    inputs = [graph.get(source, FIRST), "", "", sizes]
    name = graph.node("Resize", inputs, coordinate_transformation_mode=transformation, **how)
    graph.put(operator.outputs[0], name, FIRST)


def depth_to_space(graph: Graph, operator: Operator) -> None:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    kind = "DepthToSpace" if operator.name == "DEPTH_TO_SPACE" else "SpaceToDepth"
    name = graph.node(kind, [graph.get(operator.inputs[0], FIRST)], blocksize=int(operator.options.blockSize))
    graph.put(operator.outputs[0], name, FIRST)
