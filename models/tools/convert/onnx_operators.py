# SPDX-License-Identifier: GPL-2.0-or-later
"""How each ONNX operator is said in TFLite, for floats and shapes that are known. Source: onnx.ai's reference."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from .onnx_axes import (
    REDUCTIONS,
    as_shaped,
    concatenation,
    padding,
    product,
    reduction,
    repetition,
    slicing,
    splitting,
    transposition,
)
from .onnx_elementwise import (
    OF_ONE,
    OF_TWO,
    clip,
    hard_sigmoid,
    leaky,
    learnt_leak,
    normalisation,
    of_one,
    of_two,
    rectifier,
    softmax,
)
from .onnx_windows import (
    blocks,
    convolution,
    global_pooling,
    pooling,
    resizing,
    transposed,
)
from .tflite_writer import Writer

Emit = Callable[[Writer, onnx.NodeProto], None]


def nothing(writer: Writer, node: onnx.NodeProto) -> None:
    """Identity, Dropout."""
    writer.same(node.input[0], node.output[0])


OPERATORS: dict[str, Emit] = {
    **dict.fromkeys(OF_ONE, of_one),
    **dict.fromkeys(OF_TWO, of_two),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(("MaxPool", "AveragePool"), pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), global_pooling),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), blocks),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), as_shaped),
    **dict.fromkeys(("Gemm", "MatMul"), product),
    **dict.fromkeys(("Identity", "Dropout"), nothing),
    "Relu": rectifier,
    "Clip": clip,
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky,
    "PRelu": learnt_leak,
    "BatchNormalization": normalisation,
    "Softmax": softmax,
    "Conv": convolution,
    "ConvTranspose": transposed,
    "Resize": resizing,
    "Concat": concatenation,
    "Transpose": transposition,
    "Expand": repetition,
    "Pad": padding,
    "Slice": slicing,
    "Split": splitting,
}
