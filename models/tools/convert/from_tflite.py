# SPDX-License-Identifier: GPL-2.0-or-later
"""TFLite to ONNX, MediaPipe's own operator included; LiteRT's interpreter is the witness.

A converter of our own: those on PyPI are no longer kept (tflite2onnx, 2022), or don't know MediaPipe's operator and
bring TensorFlow along (tf2onnx). It knows the operators that segmentation networks use and names those that it doesn't.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from ...choices import Chosen
from .source import Feed, hushed
from .tflite_file import Network, names_of, parse, read_network, schema
from .tflite_graph import Graph
from .tflite_operators import OPERATORS
from .tflite_windows import MEDIAPIPE_TRANSPOSE, transpose_bias_options


class TFLiteSource:
    """A TFLite file."""

    def __init__(self, path: Path) -> None:
        self._file = path.name
        self._data = path.read_bytes()
        self._network = read_network(self._data, self._file)
        self._interpreter: Any = None

    @property
    def feeding(self) -> Chosen:
        """The file does not tell."""
        return {}

    @property
    def runtime(self) -> str:
        """LiteRT with its version."""
        return self.runtime_name()

    @staticmethod
    def runtime_name() -> str:
        """LiteRT with its version, where no file is open."""
        return f"LiteRT {version('ai-edge-litert')}"

    def to_onnx(self) -> onnx.ModelProto:
        """The same network as ONNX; CommandError names the operators that are not known here."""
        return to_onnx(self._network, self._file)

    def run(self, feed: Feed) -> list[NDArray[Any]]:
        """What LiteRT answers."""
        if self._interpreter is None:
            self._interpreter = open_interpreter(without_mediapipe_operator(self._data, self._file), self._file)
        return run_interpreter(self._interpreter, feed)


def to_onnx(network: Network, file: str) -> onnx.ModelProto:
    """Say a network in ONNX, operator by operator."""
    unknown = sorted({operator.name for operator in network.operators} - set(OPERATORS))
    if unknown:
        raise CommandError(
            f"{file} can't be converted: it uses operators that are not known here: {', '.join(unknown)}."
        )
    graph = Graph(network, file)
    for operator in network.operators:
        try:
            OPERATORS[operator.name](graph, operator)
        except (IndexError, AttributeError, TypeError, ValueError, ZeroDivisionError) as error:
            raise CommandError(f"{file} is damaged: operator {operator.name}: {error}") from error
    return graph.model()


def without_mediapipe_operator(data: bytes, file: str) -> bytes:
    """The file with the standard TRANSPOSE_CONV in place of MediaPipe's operator, so that LiteRT alone can run it.

    The weights lie the same way in both; the bias is an input of TRANSPOSE_CONV since its version 3.
    """
    model = parse(data, file)
    codes = model.operatorCodes
    own = [place for place, code in enumerate(codes) if code.customCode == MEDIAPIPE_TRANSPOSE.encode()]
    if not own:
        return data
    found = schema()
    number = next(n for n, name in names_of("BuiltinOperator").items() if name == "TRANSPOSE_CONV")
    for place in own:
        codes[place].customCode, codes[place].version = None, 3
        codes[place].builtinCode = codes[place].deprecatedBuiltinCode = number
    (graph,) = model.subgraphs
    for operator in graph.operators:
        if operator.opcodeIndex not in own:
            continue
        is_same, stride_h, stride_w = transpose_bias_options(bytes(operator.customOptions))
        options = found.TransposeConvOptionsT()
        options.padding = found.Padding.SAME if is_same else found.Padding.VALID
        options.strideH, options.strideW = stride_h, stride_w
        operator.builtinOptions, operator.builtinOptionsType = options, found.BuiltinOptions.TransposeConvOptions
        operator.customOptions = None
        picture, weights, bias = (int(index) for index in operator.inputs)
        shape = _add_shape(model, graph, graph.tensors[int(operator.outputs[0])].shape)
        operator.inputs = np.array([shape, weights, picture, bias], np.int32)
    return pack(model)


def _add_shape(model: Any, graph: Any, shape: Any) -> int:
    """Add a constant int32 tensor; its index."""
    found = schema()
    buffer, tensor = found.BufferT(), found.TensorT()
    buffer.data = np.frombuffer(np.asarray(shape, np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.shape, tensor.type, tensor.buffer = (
        np.array([len(shape)], np.int32),
        found.TensorType.INT32,
        len(model.buffers) - 1,
    )
    tensor.name = f"shape_{len(graph.tensors)}".encode()
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def pack(model: Any) -> bytes:
    """The bytes of a TFLite file with this contents."""
    flatbuffers: Any = importlib.import_module("flatbuffers")
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def open_interpreter(data: bytes, file: str) -> Any:
    """LiteRT's interpreter of a file's bytes, on one thread; CommandError if it does not take them."""
    runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
    try:
        with hushed():
            interpreter = runtime.Interpreter(model_content=data, num_threads=1)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise CommandError(f"LiteRT can't run {file}: {str(error).strip().splitlines()[0]}") from error
    return interpreter


def run_interpreter(interpreter: Any, feed: Feed) -> list[NDArray[Any]]:
    """Its outputs, in their order, of inputs by name."""
    for port in interpreter.get_input_details():
        interpreter.set_tensor(port["index"], feed[port["name"]])
    interpreter.invoke()
    return [interpreter.get_tensor(port["index"]) for port in interpreter.get_output_details()]
