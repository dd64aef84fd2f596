# SPDX-License-Identifier: GPL-2.0-or-later
"""How each TFLite operator is said in ONNX. Their meaning: LiteRT's schema.fbs and reference kernels."""

from __future__ import annotations

from collections.abc import Callable

from .tflite_axes import (
    REDUCTIONS,
    as_shaped,
    batch_to_space,
    cast,
    concatenation,
    dequantisation,
    fully_connected,
    highest,
    matrix_product,
    packing,
    padding,
    reduction,
    repetition,
    slicing,
    space_to_batch,
    splitting,
    strided_slicing,
    transposition,
)
from .tflite_elementwise import OF_ONE, OF_TWO, gelu, leaky_relu, of_one, of_two, prelu, softmax, squared_difference
from .tflite_file import Operator
from .tflite_graph import Graph
from .tflite_windows import (
    MEDIAPIPE_TRANSPOSE,
    convolution,
    depth_to_space,
    depthwise,
    mediapipe_transposed,
    pooling,
    resizing,
    transposed,
)

Emit = Callable[[Graph, Operator], None]

OPERATORS: dict[str, Emit] = {
    **dict.fromkeys(OF_ONE, of_one),
    **dict.fromkeys(OF_TWO, of_two),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), pooling),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), resizing),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), padding),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), as_shaped),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), depth_to_space),
    **dict.fromkeys(("SPLIT", "SPLIT_V"), splitting),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), softmax),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), highest),
    "SQUARED_DIFFERENCE": squared_difference,
    "LEAKY_RELU": leaky_relu,
    "PRELU": prelu,
    "GELU": gelu,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "TRANSPOSE_CONV": transposed,
    MEDIAPIPE_TRANSPOSE: mediapipe_transposed,
    "CONCATENATION": concatenation,
    "BROADCAST_TO": repetition,
    "TRANSPOSE": transposition,
    "SLICE": slicing,
    "STRIDED_SLICE": strided_slicing,
    "PACK": packing,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "BATCH_TO_SPACE_ND": batch_to_space,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": matrix_product,
    "DEQUANTIZE": dequantisation,
    "CAST": cast,
}
