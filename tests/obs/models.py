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
    width, height = size
    zero = numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "zero")
    bias = numpy_helper.from_array(np.array([alpha], np.float32), "bias")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "zero", "bias"], ["alpha"])],
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, height, width])],
        [zero, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)
    return path


def trusted_in(config: Path, model: Path) -> None:
    """Put ``model`` into the trust store of the configuration folder ``config``, as the user's button does."""
    with mock.patch.dict(os.environ, {"OBS_BACKGROUND_FILTER_CONFIG": str(config)}):
        trust.trust_file(model)
