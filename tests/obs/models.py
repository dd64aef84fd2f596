# SPDX-License-Identifier: GPL-2.0-or-later
"""Small ONNX files for the tests, and the trust in them."""

import os
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from background_filter.models import trust

SIZE = (256, 144)


def constant_model(path: Path, alpha: float, size: tuple[int, int] = SIZE) -> Path:
    """A network that takes a picture and gives ``alpha`` everywhere: a probability map of the same size."""
    zero = numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "zero")
    bias = numpy_helper.from_array(np.array([alpha], np.float32), "bias")
    return _save(path, [zero, bias], [helper.make_node("Conv", ["image", "zero", "bias"], ["alpha"])], size)


def brightness_model(path: Path) -> Path:
    """A network whose mask is the picture itself, in grey: what it gives back is what it was given."""
    mean = numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 3, np.float32), "mean")
    return _save(path, [mean], [helper.make_node("Conv", ["image", "mean"], ["alpha"])], SIZE)


def colour_key_model(path: Path, size: tuple[int, int]) -> Path:
    """A network that is sure of itself: the person is whatever is not clearly more blue than red."""
    weights = numpy_helper.from_array(np.array([4.0, 0.0, -4.0], np.float32).reshape(1, 3, 1, 1), "weights")
    bias = numpy_helper.from_array(np.array([1.5], np.float32), "bias")
    ends = [numpy_helper.from_array(np.array(end, np.float32), name) for name, end in (("zero", 0), ("one", 1))]
    nodes = [
        helper.make_node("Conv", ["image", "weights", "bias"], ["key"]),
        helper.make_node("Clip", ["key", "zero", "one"], ["alpha"]),
    ]
    return _save(path, [weights, bias, *ends], nodes, size)


def trusted_in(config: Path, model: Path) -> None:
    """Put ``model`` into the trust store of the configuration folder ``config``, as the user's button does."""
    with mock.patch.dict(os.environ, {"OBS_BACKGROUND_FILTER_CONFIG": str(config)}):
        trust.trust_file(model)


def _save(path: Path, weights: list[onnx.TensorProto], nodes: list[onnx.NodeProto], size: tuple[int, int]) -> Path:
    """An ONNX file from ``image`` [1, 3, H, W] to ``alpha`` [1, 1, H, W]."""
    width, height = size
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, height, width])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path
