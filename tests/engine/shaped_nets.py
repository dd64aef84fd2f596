# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks with the inputs and outputs of published ones, random weights and next to no layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Ports = Mapping[str, tuple[int, Sequence[Any]]]  # by name: type of number, sides
FLOAT, UINT8, INT64, FLOAT16 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64, TensorProto.FLOAT16


def net(
    nodes: list[onnx.NodeProto],
    inputs: Ports,
    outputs: Ports,
    constants: Mapping[str, NDArray[Any]],
) -> onnx.ModelProto:
    """A checked model of operator set 17."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, *port) for name, port in inputs.items()],
        [helper.make_tensor_value_info(name, *port) for name, port in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def weights(seed: int, channels: int, side: int = 3) -> NDArray[np.float32]:
    """A random convolution of three colours."""
    return np.random.default_rng(seed).normal(0, 1.5, (channels, 3, side, side)).astype(np.float32)


def with_a_likely(channel: int, found: NDArray[Any]) -> NDArray[Any]:
    """The same weights, but one class stands out now and then."""
    found[channel] *= 3
    return found


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by blanks."""
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


SAME = {"pads": [1, 1, 1, 1]}


def u2net(side: int = 64) -> onnx.ModelProto:
    """Seven maps, d0 to d6, under numbers for names as PyTorch gives them; values from .3 to .7 at most."""
    nodes, outputs, constants = [], {}, {"squeeze": np.array(0.4, np.float32), "lift": np.array(0.3, np.float32)}
    for i in range(7):
        nodes += [
            node("Conv", f"input.1 w{i}", f"c{i}", **SAME),
            node("Sigmoid", f"c{i}", f"s{i}"),
            node("Mul", f"s{i} squeeze", f"m{i}"),
            node("Add", f"m{i} lift", f"{1959 + i}"),
        ]
        constants[f"w{i}"] = weights(i, 1)
        outputs[f"{1959 + i}"] = (FLOAT, [1, 1, side, side])
    return net(nodes, {"input.1": (FLOAT, [1, 3, side, side])}, outputs, constants)


def modnet() -> onnx.ModelProto:
    """``input`` to ``output``, any sides that are multiples of 32: others fail."""
    nodes = [
        node("Conv", "input w", "half", strides=[2, 2], **SAME),
        node("AveragePool", "half", "small", kernel_shape=[16, 16], strides=[16, 16]),
        node("Resize", "small times", "large", mode="nearest"),
        node("Add", "half large", "sum"),
        node("Resize", "sum twice", "full", mode="linear"),
        node("Sigmoid", "full", "output"),
    ]
    for resize in (nodes[2], nodes[4]):
        resize.input.insert(1, "")
    constants = {
        "w": weights(1, 1),
        "times": np.array([1, 1, 16, 16], np.float32),
        "twice": np.array([1, 1, 2, 2], np.float32),
    }
    ports = {"input": (FLOAT, ["batch_size", 3, "height", "width"])}
    return net(nodes, ports, {"output": (FLOAT, ["batch_size", 1, "height", "width"])}, constants)


def with_its_mask(layout: str = "NCHW", number: int = FLOAT, width: int = 64, height: int = 48) -> onnx.ModelProto:
    """Three colours and the mask of the frame before: half the mean colour, and half that mask."""
    shape = [1, 4, height, width] if layout == "NCHW" else [1, height, width, 4]
    planes = np.array([1 / 6, 1 / 6, 1 / 6, 1 / 2], np.float32).reshape(1, 4, 1, 1)
    constants = {"planes": planes, "unit": np.array(1 / 255 if number == UINT8 else 1, np.float32)}
    turned = [node("Transpose", "numbers", "turned", perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    nodes = [
        node("Cast", "picture", "numbers", to=FLOAT),
        *turned,
        node("Conv", f"{'turned' if turned else 'numbers'} planes", "mixed"),
        node("Mul", "mixed unit", "mask"),
    ]
    return net(nodes, {"picture": (number, shape)}, {"mask": (FLOAT, [1, 1, height, width])}, constants)


def softmaxed(side: int = 48) -> onnx.ModelProto:
    """PP-HumanSeg: two channels that add up to 1, the second is the person."""
    nodes = [node("Conv", "x w", "logits", **SAME), node("Softmax", "logits", "save_infer_model/scale_0.tmp_1", axis=1)]
    ports = {"x": (FLOAT, [1, 3, side, side])}
    return net(nodes, ports, {"save_infer_model/scale_0.tmp_1": (FLOAT, [1, 2, side, side])}, {"w": weights(2, 2)})


def classes(count: int, side: int = 64, layout: str = "NCHW") -> onnx.ModelProto:
    """Logits of ``count`` classes, an eighth of the picture's size."""
    nodes = [node("Conv", "nchw w", "out", strides=[8, 8])]
    picture, planes = [1, 3, side, side], [1, count, side // 8, side // 8]
    if layout == "NHWC":
        nodes = [node("Transpose", "image", "nchw", perm=[0, 3, 1, 2]), *nodes]
        nodes.append(node("Transpose", "out", "scores", perm=[0, 2, 3, 1]))
        picture, planes = [1, side, side, 3], [1, side // 8, side // 8, count]
    else:
        nodes = [node("Identity", "image", "nchw"), *nodes, node("Identity", "out", "scores")]
    return net(
        nodes,
        {"image": (FLOAT, picture)},
        {"scores": (FLOAT, planes)},
        {"w": with_a_likely(15 if count == 21 else 0, weights(3, count, 8) / 4)},
    )


def numbers_of_classes(count: int, side: int = 64) -> onnx.ModelProto:
    """BiSeNet as exported for use: the number of the likeliest class, [1, h, w] int64."""
    nodes = [node("Conv", "input_image w", "scores", **SAME), node("ArgMax", "scores", "preds", axis=1, keepdims=0)]
    ports = {"input_image": (FLOAT, [1, 3, side, side])}
    return net(nodes, ports, {"preds": (INT64, [1, side, side])}, {"w": with_a_likely(0, weights(4, count))})


def bytes_to_bytes(side: int = 48) -> onnx.ModelProto:
    """A quantised network: takes the bytes of a picture, gives a mask of bytes."""
    nodes = [
        node("Cast", "image", "floats", to=FLOAT),
        node("Transpose", "floats", "nchw", perm=[0, 3, 1, 2]),
        node("ReduceMean", "nchw", "mean", axes=[1], keepdims=1),
        node("Transpose", "mean", "nhwc", perm=[0, 2, 3, 1]),
        node("Cast", "nhwc", "mask", to=UINT8),
    ]
    return net(nodes, {"image": (UINT8, [1, side, side, 3])}, {"mask": (UINT8, [1, side, side, 1])}, {})


def in_half_precision(side: int = 48) -> onnx.ModelProto:
    """A network in float16, in and out."""
    nodes = [node("Conv", "x w", "logits", **SAME)]
    ports = {"x": (FLOAT16, [1, 3, side, side])}
    return net(nodes, ports, {"logits": (FLOAT16, [1, 1, side, side])}, {"w": weights(5, 1).astype(np.float16)})


def rvm(spoilt_when_dark: bool = False, growing: bool = False) -> onnx.ModelProto:
    """RobustVideoMatting as its authors export it: four states, ``downsample_ratio``; state 1 is in every pixel.

    ``spoilt_when_dark``: a black picture leaves a state that is not a number. ``growing``: state 4 gets longer.
    """
    colours = np.full((1, 3, 1, 1), 1 / 3, np.float32)
    nodes = [node("Conv", "src mean", "grey")]
    state = "grey"
    if spoilt_when_dark:
        nodes += [node("Sub", "grey little", "less"), node("Sqrt", "less", "root")]
        state = "root"
    pixel = ["batch_size", 1, "height", "width"]
    inputs = {"src": (FLOAT, ["batch_size", 3, "height", "width"])}
    outputs = {"fgr": (FLOAT, ["batch_size", 3, "height", "width"]), "pha": (FLOAT, pixel)}
    for i in range(1, 5):
        last = f"new{i}"
        nodes += [node("Mul", f"r{i}i half", f"old{i}"), node("Mul", f"{state} half", last)]
        if growing and i == 4:
            nodes.append(node("Concat", "r4i r4i", "r4o", axis=3))
        else:
            nodes.append(node("Add", f"old{i} {last}", f"r{i}o"))
        inputs[f"r{i}i"] = (FLOAT, [f"b{i}", f"c{i}", f"h{i}", f"w{i}"])
        outputs[f"r{i}o"] = (FLOAT, [f"ob{i}", f"oc{i}", f"oh{i}", f"ow{i}"])
    inputs["downsample_ratio"] = (FLOAT, [1])
    nodes += [
        node("Identity", "src", "fgr"),
        node("Mul", "r1i half", "remembered"),
        node("Mul", "grey half", "seen"),
        node("Add", "seen remembered", "both"),
        node("Mul", "both downsample_ratio", "scaled"),
        node("Clip", "scaled zero one", "pha"),
    ]
    constants = {
        "mean": colours,
        "half": np.array(0.5, np.float32),
        "little": np.array(0.01, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
    }
    return net(nodes, inputs, outputs, {k: v for k, v in constants.items() if spoilt_when_dark or k != "little"})
