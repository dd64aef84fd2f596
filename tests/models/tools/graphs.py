# SPDX-License-Identifier: GPL-2.0-or-later
"""Small ONNX networks, one for each thing that a converter can get wrong: name, the file's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Values = dict[str, np.ndarray]
CHANNELS, HEIGHT, WIDTH = 4, 10, 14


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def network(
    *nodes: onnx.NodeProto,
    constants: Values | None = None,
    outputs: tuple[str, ...] = ("y",),
    shape: tuple[int, ...] = (1, CHANNELS, HEIGHT, WIDTH),
) -> bytes:
    """A network from x to y; sides of the outputs are inferred."""
    initializers = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph(list(nodes), "small", [picture], ports, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def node(operator: str, *inputs: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [to], **attributes)


def conv(group: int = 1, out: int = 6, size: int = 3, then: str = "", **attributes: Any) -> bytes:
    constants = {"w": weights(out, CHANNELS // group, size, size), "b": weights(out, seed=1)}
    last = [node("Conv", "x", "w", "b", to="c", group=group, **attributes), node(then, "c")] if then else []
    return network(*(last or [node("Conv", "x", "w", "b", group=group, **attributes)]), constants=constants)


def transposed(size: int = 3, **attributes: Any) -> bytes:
    constants = {"w": weights(CHANNELS, 5, size, size), "b": weights(5, seed=1)}
    return network(node("ConvTranspose", "x", "w", "b", **attributes), constants=constants)


def resize(mode: str, way: str, sizes: tuple[int, int], **attributes: Any) -> bytes:
    constants = {"s": integers(1, CHANNELS, *sizes)}
    where = {"mode": mode, "coordinate_transformation_mode": way, **attributes}
    return network(node("Resize", "x", "", "", "s", **where), constants=constants)


def one(operator: str, constants: Values | None = None, **attributes: Any) -> bytes:
    return network(node(operator, "x", *(constants or {}), **attributes), constants=constants)


def clip(low: float, high: float) -> bytes:
    return one("Clip", {"low": np.array(low, np.float32), "high": np.array(high, np.float32)})


def shared_convolution() -> bytes:
    """A convolution whose answer is needed with and without its Relu: it must not be fused."""
    nodes = [node("Conv", "x", "w", to="c"), node("Relu", "c", to="r"), node("Add", "r", "c")]
    return network(*nodes, constants={"w": weights(3, CHANNELS, 1, 1)})


def squeeze_and_excite() -> bytes:
    nodes = [
        node("Conv", "x", "w", to="c", pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", "c", to="p"),
        node("Conv", "p", "v", to="e"),
        node("HardSigmoid", "e", to="h", alpha=1 / 6),
        node("Mul", "c", "h"),
    ]
    return network(*nodes, constants={"w": weights(8, CHANNELS, 3, 3), "v": weights(8, 8, 1, 1)})


def channels_last() -> bytes:
    """A network that takes and gives pictures channels last, as those from TFLite do."""
    nodes = [
        node("Transpose", "x", to="t", perm=[0, 3, 1, 2]),
        node("Conv", "t", "w", to="c", strides=[2, 2], pads=[0, 0, 1, 1]),
        node("Sigmoid", "c", to="s"),
        node("Transpose", "s", perm=[0, 2, 3, 1]),
    ]
    return network(*nodes, constants={"w": weights(1, 3, 3, 3)}, shape=(1, HEIGHT, WIDTH, 3))


def flat() -> bytes:
    nodes = [
        node("Conv", "x", "w", to="c"),
        node("Reshape", "c", "s", to="f"),
        node("Gemm", "f", "m", "b", to="g", transB=1),
        node("Relu", "g", to="r"),
        node("MatMul", "r", "n"),
    ]
    constants = {"w": weights(2, CHANNELS, 3, 3), "s": integers(1, -1), "m": weights(5, 2 * 8 * 12), "b": weights(5)}
    return network(*nodes, constants={**constants, "n": weights(5, 3)})


def branches() -> bytes:
    nodes = [
        helper.make_node("Split", ["x", "parts"], ["a", "b"], axis=1),
        node("LeakyRelu", "a", to="l", alpha=0.3),
        node("PRelu", "b", "slope", to="p"),
        node("Concat", "p", "l", to="c", axis=1),
        node("ReduceMean", "c", to="m", axes=[1], keepdims=1),
        node("Sub", "c", "m", to="d"),
        node("Slice", "d", "from", "until", "axes", "steps"),
    ]
    constants = {
        "parts": integers(1, 3), "slope": weights(3, 1, 1), "from": integers(1, -9), "until": integers(9, 2**31),
        "axes": integers(2, 3), "steps": integers(2, 1),
    }  # fmt: skip
    return network(*nodes, constants=constants)


def expanded() -> bytes:
    nodes = [node("GlobalMaxPool", "x", to="p"), node("Expand", "p", "s", to="e"), node("Mul", "e", "x")]
    return network(*nodes, constants={"s": integers(1, CHANNELS, HEIGHT, WIDTH)})


def normalised() -> bytes:
    constants = {"s": weights(CHANNELS), "b": weights(CHANNELS, seed=1), "m": weights(CHANNELS, seed=2)}
    constants["v"] = np.abs(weights(CHANNELS, seed=3)) + 0.1
    nodes = [node("Relu", "x", to="r"), node("BatchNormalization", "r", *constants)]
    return network(*nodes, constants=constants)


SMALL = {
    "valid convolution": conv(),
    "convolution padded as SAME": conv(pads=[1, 1, 1, 1]),
    "convolution padded otherwise": conv(pads=[0, 2, 1, 0], strides=[2, 1]),
    "strided convolution, PyTorch's padding": conv(pads=[1, 1, 1, 1], strides=[2, 2]),
    "convolution padded as SAME_LOWER": conv(auto_pad="SAME_LOWER", size=2),
    "dilated convolution": conv(pads=[2, 2, 2, 2], dilations=[2, 2]),
    "depthwise convolution": conv(group=4, out=8, pads=[1, 1, 1, 1]),
    "dilated depthwise convolution": conv(group=4, out=4, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "convolution in groups": conv(group=2),
    "fused Relu": conv(then="Relu"),
    "convolution without bias, Relu not fused": shared_convolution(),
    "Relu behind a Concat": network(node("Neg", "x", to="n"), node("Concat", "x", "n", to="c", axis=1),
                                    node("Relu", "c")),
    "transposed convolution": transposed(size=2, strides=[2, 2]),
    "transposed convolution, cropped": transposed(size=4, strides=[2, 2], pads=[1, 1, 1, 1]),
    "transposed convolution, enlarged": transposed(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    "transposed convolution, larger than its reach": transposed(size=2, strides=[3, 3], output_padding=[1, 1]),
    "bilinear, half pixels": resize("linear", "half_pixel", (20, 21)),
    "bilinear, corners": resize("linear", "align_corners", (7, 28)),
    "bilinear, asymmetric": resize("linear", "asymmetric", (20, 28)),
    "nearest, asymmetric": resize("nearest", "asymmetric", (20, 28), nearest_mode="floor"),
    "nearest, half pixels": resize("nearest", "half_pixel", (30, 28)),
    "nearest, corners": resize("nearest", "align_corners", (19, 27), nearest_mode="round_prefer_ceil"),
    "maxima": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "maxima, size rounded up": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "means": one("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "means, padding counts": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "means, padding does not count": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "clip to 0 and 6": clip(0, 6),
    "clip to -1 and 1": clip(-1, 1),
    "clip to other bounds": clip(-0.25, 0.5),
    "softmax over channels": one("Softmax", axis=1),
    "hard swish": one("HardSwish"),
    "tanh": one("Tanh"),
    "elu": one("Elu"),
    "exponential": one("Exp"),
    "mirrored padding": one("Pad", {"p": integers(0, 0, 2, 1, 0, 0, 0, 3)}, mode="reflect"),
    "padding with a number": one("Pad", {"p": integers(0, 0, 2, 1, 0, 0, 0, 3), "v": np.array(1.5, np.float32)}),
    "depth to space": one("DepthToSpace", blocksize=2),
    "space to depth": one("SpaceToDepth", blocksize=2),
    "sums": one("ReduceSum", {"a": integers(2, 3)}, keepdims=0),
    "a constant side": one("Add", {"c": weights(CHANNELS, 1, 1)}),
    "power": one("Pow", {"e": np.array(2, np.float32)}),
    "squeeze and excite": squeeze_and_excite(),
    "channels last": channels_last(),
    "flat": flat(),
    "branches": branches(),
    "expanded": expanded(),
    "batch normalisation": normalised(),
}  # fmt: skip
