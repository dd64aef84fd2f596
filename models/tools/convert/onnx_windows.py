# SPDX-License-Identifier: GPL-2.0-or-later
"""ONNX operators with windows (convolution, pooling, resizing) in TFLite: channels last, two-dimensional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from .onnx_nodes import attributes, out_shape, unsupported
from .tflite_file import schema
from .tflite_windows import same_pads
from .tflite_writer import LAST, Writer

LOWEST = float(np.finfo(np.float32).min)


def window_pads(
    writer: Writer, node: onnx.NodeProto, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[str, list[int]]:
    """How TFLite calls the padding ("SAME", "VALID"), or else "" and the pads: top, left, bottom, right."""
    found = attributes(node)
    size, out = writer.shapes[node.input[0]][2:], writer.shapes[node.output[0]][2:]
    spread = [(side - 1) * dilation + 1 for side, dilation in zip(window, dilations)]
    pairs = [same_pads(size[i], spread[i], strides[i], out[i]) for i in (0, 1)]
    same = [pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]]
    automatic = found.get("auto_pad", "NOTSET")
    pads = [int(pad) for pad in found.get("pads", [0, 0, 0, 0])]
    if automatic == "SAME_LOWER":
        pads = [same[2], same[3], same[0], same[1]]
    is_same_size = all(out[i] == -(-size[i] // strides[i]) for i in (0, 1))
    if automatic == "SAME_UPPER" or (pads == same and is_same_size):
        return "SAME", same
    if not any(pads):
        return "VALID", pads
    return "", pads


def padded(writer: Writer, index: int, pads: Sequence[int], value: float = 0.0) -> int:
    """A channels-last tensor with pads (top, left, bottom, right) around it."""
    top, left, bottom, right = pads
    around = writer.number(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
    batch, rows, columns, channels = writer.sides(index)
    shape = [batch, rows + top + bottom, columns + left + right, channels]
    if value == 0.0:
        return writer.add("PAD", [index, around], shape)
    return writer.add("PADV2", [index, around, writer.number(np.array([value], np.float32))], shape)


def padding_number(name: str) -> int:
    """TFLite's number for "SAME", otherwise for "VALID"."""
    padding = schema().Padding
    return int(padding.SAME if name == "SAME" else padding.VALID)


def convolution(writer: Writer, node: onnx.NodeProto) -> None:
    """Conv, also depthwise and in groups."""
    weights, found = writer.needed_constant(node, 1), attributes(node)
    if weights.ndim != 4:
        raise unsupported(writer, node, f"it is {weights.ndim - 2}-dimensional")
    strides, dilations = found.get("strides", [1, 1]), found.get("dilations", [1, 1])
    name, pads = window_pads(writer, node, weights.shape[2:], strides, dilations)
    index = writer.get(node.input[0], LAST)
    if not name:
        index = padded(writer, index, pads)
    group, channels = int(found.get("group", 1)), writer.shapes[node.input[0]][1]
    options: dict[str, Any] = {
        "padding": padding_number(name),
        "strideH": int(strides[0]),
        "strideW": int(strides[1]),
        "dilationHFactor": int(dilations[0]),
        "dilationWFactor": int(dilations[1]),
    }
    code, turned = "CONV_2D", weights.transpose(0, 2, 3, 1)
    if group == channels and group > 1:
        code, turned = "DEPTHWISE_CONV_2D", weights.transpose(1, 2, 3, 0)
        options["depthMultiplier"] = weights.shape[0] // channels
    inputs = [index, writer.number(turned), bias_of(writer, node, weights.shape[0])]
    writer.put(node.output[0], writer.add(code, inputs, out_shape(writer, node, LAST), **options), LAST)


def bias_of(writer: Writer, node: onnx.NodeProto, channels: int) -> int:
    """The bias, zeros if there is none."""
    is_there = len(node.input) > 2 and node.input[2]
    value = writer.needed_constant(node, 2) if is_there else np.zeros(channels)
    return writer.number(value.astype(np.float32))


def transposed(writer: Writer, node: onnx.NodeProto) -> None:
    """ConvTranspose: the whole of it, then what its pads leave."""
    weights, found = writer.needed_constant(node, 1), attributes(node)
    if weights.ndim != 4 or int(found.get("group", 1)) != 1 or set(found.get("dilations", [1])) != {1}:
        raise unsupported(writer, node, "it is grouped, dilated or not two-dimensional")
    strides = [int(stride) for stride in found.get("strides", [1, 1])]
    batch, channels, *out = writer.shapes[node.output[0]]
    size = writer.shapes[node.input[0]][2:]
    whole = [(size[i] - 1) * strides[i] + weights.shape[2 + i] for i in (0, 1)]
    pads = transposed_pads(found, whole, out)
    # What output_padding adds holds the bias alone, as TFLite does if its output is larger than needed.
    whole = [max(whole[i], pads[i] + out[i]) for i in (0, 1)]
    inputs = [
        writer.integers(batch, *whole, channels),
        writer.number(weights.transpose(1, 2, 3, 0)),
        writer.get(node.input[0], LAST),
        bias_of(writer, node, channels),
    ]
    options: dict[str, Any] = {"padding": padding_number("VALID"), "strideH": strides[0], "strideW": strides[1]}
    index = writer.add("TRANSPOSE_CONV", inputs, [batch, *whole, channels], **options)
    if whole != out:
        shape = [batch, *out, channels]
        index = writer.add("SLICE", [index, writer.integers(0, *pads, 0), writer.integers(*shape)], shape)
    writer.put(node.output[0], index, LAST)


def transposed_pads(found: dict[str, Any], whole: Sequence[int], out: Sequence[int]) -> list[int]:
    """What is cut off above and on the left."""
    automatic = found.get("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        totals = [max(whole[i] - out[i], 0) for i in (0, 1)]
        return [total // 2 if automatic == "SAME_UPPER" else total - total // 2 for total in totals]
    return [int(pad) for pad in found.get("pads", [0, 0, 0, 0])[:2]]


def pooling(writer: Writer, node: onnx.NodeProto) -> None:
    """MaxPool and AveragePool."""
    found, is_max = attributes(node), node.op_type == "MaxPool"
    window = found["kernel_shape"]
    strides = found.get("strides", [1, 1])
    if len(window) != 2 or len(node.output) > 1 or set(found.get("dilations", [1])) != {1}:
        raise unsupported(writer, node, "it is dilated, gives places, or is not two-dimensional")
    name, pads = window_pads(writer, node, window, strides, (1, 1))
    index, counts_pads = writer.get(node.input[0], LAST), bool(found.get("count_include_pad", 0))
    if name != "VALID" and (not name or (counts_pads and not is_max)):
        if not is_max and not counts_pads:
            raise unsupported(writer, node, f"its pads are {pads}")
        index, name = padded(writer, index, pads, LOWEST if is_max else 0.0), "VALID"
    size, out = writer.sides(index)[1:3], writer.shapes[node.output[0]][2:]
    if name == "VALID" and any((size[i] - window[i]) // strides[i] + 1 != out[i] for i in (0, 1)):
        if not is_max:
            raise unsupported(writer, node, "it rounds its size up")
        more = [(out[i] - 1) * strides[i] + window[i] - size[i] for i in (0, 1)]
        index = padded(writer, index, [0, 0, *(max(pad, 0) for pad in more)], LOWEST)
    options: dict[str, Any] = {
        "padding": padding_number(name),
        "filterHeight": int(window[0]),
        "filterWidth": int(window[1]),
        "strideH": int(strides[0]),
        "strideW": int(strides[1]),
    }
    code = "MAX_POOL_2D" if is_max else "AVERAGE_POOL_2D"
    writer.put(node.output[0], writer.add(code, [index], out_shape(writer, node, LAST), **options), LAST)


def global_pooling(writer: Writer, node: onnx.NodeProto) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    code = "MEAN" if node.op_type == "GlobalAveragePool" else "REDUCE_MAX"
    inputs = [writer.get(node.input[0], LAST), writer.integers(1, 2)]
    writer.put(node.output[0], writer.add(code, inputs, out_shape(writer, node, LAST), keepDims=True), LAST)


RESIZE_WAYS = {  # ONNX's coordinate transformation: TFLite's (align corners, half pixel centres)
    "half_pixel": (False, True),
    "pytorch_half_pixel": (False, True),
    "align_corners": (True, False),
    "asymmetric": (False, False),
}
NEAREST = {("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil"), ("align_corners", "round_prefer_ceil")}


def resizing(writer: Writer, node: onnx.NodeProto) -> None:
    """Resize of height and width, bilinear or to the nearest."""
    found = attributes(node)
    way, mode = found.get("coordinate_transformation_mode", "half_pixel"), found.get("mode", "nearest")
    before, after = writer.shapes[node.input[0]], writer.shapes[node.output[0]]
    if way not in RESIZE_WAYS or mode not in ("linear", "nearest") or len(before) != 4 or before[:2] != after[:2]:
        raise unsupported(writer, node, f"mode {mode}, {way}, from {before} to {after}")
    rounding = found.get("nearest_mode", "round_prefer_floor")
    # Where sides grow by whole numbers, no pixel lies half-way between two: how that is rounded does not matter.
    grows = all(after[i] % before[i] == 0 for i in (2, 3))
    if mode == "nearest" and (way, rounding) not in NEAREST and not (way == "half_pixel" and grows):
        raise unsupported(writer, node, f"nearest, {way}, {rounding}")
    align, half = RESIZE_WAYS[way]
    code = "RESIZE_BILINEAR" if mode == "linear" else "RESIZE_NEAREST_NEIGHBOR"
    inputs = [writer.get(node.input[0], LAST), writer.integers(*after[2:])]
    shape = out_shape(writer, node, LAST)
    writer.put(node.output[0], writer.add(code, inputs, shape, alignCorners=align, halfPixelCenters=half), LAST)


def blocks(writer: Writer, node: onnx.NodeProto) -> None:
    """DepthToSpace (depth, column, row) and SpaceToDepth."""
    found = attributes(node)
    if found.get("mode", "DCR") != "DCR":
        raise unsupported(writer, node, f"mode {found['mode']}")
    code = "DEPTH_TO_SPACE" if node.op_type == "DepthToSpace" else "SPACE_TO_DEPTH"
    inputs, size = [writer.get(node.input[0], LAST)], int(found["blocksize"])
    writer.put(node.output[0], writer.add(code, inputs, out_shape(writer, node, LAST), blockSize=size), LAST)
