# SPDX-License-Identifier: GPL-2.0-or-later
"""A TFLite file, read into plain Python: tensors, constants, operators. The flatbuffer is read by LiteRT's schema."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError

DTYPES: dict[str, type[np.generic]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
MAX_RANK = 8


@dataclass(frozen=True)
class Tensor:
    """A tensor: its name, type (a key of `DTYPES`), shape as in the file (channels last), and value if constant.

    A constant in 8 bits with a scale is float32 here.
    """

    name: str
    element: str
    shape: tuple[int, ...]
    value: NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """An operator by its name in the schema (of a custom one: its own), its tensors (-1: left out), its options.

    ``options`` is the schema's object, or a custom operator's bytes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True)
class Network:
    """A file's only graph."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@cache
def schema() -> Any:
    """LiteRT's description of the file format; CommandError if LiteRT is not installed."""
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError as error:
        message = f"TFLite files take Google's LiteRT, and Python package {error.name} is missing."
        raise CommandError(
            f"{message} Install ai-edge-litert (models/training/requirements.txt has its version)."
        ) from error


@cache
def names_of(enumeration: str) -> dict[int, str]:
    """The schema's names for the numbers of one of its enumerations."""
    values = vars(getattr(schema(), enumeration)).items()
    return {number: name for name, number in values if isinstance(number, int)}


def parse(data: bytes, file: str) -> Any:
    """The schema's object of a file, to be changed and packed again. CommandError if the file is damaged."""
    found = schema()
    try:
        return found.ModelT.InitFromObj(found.Model.GetRootAs(data, 0))
    except Exception as error:  # whatever a flatbuffer that points beyond its end makes NumPy and struct raise
        raise CommandError(f"{file} is cut off or damaged. Fetch it again.") from error


def read_network(data: bytes, file: str) -> Network:
    """Read a file. CommandError if it is damaged or has no graph or several."""
    model = parse(data, file)
    try:
        return _Reader(model, data, file).network()
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise CommandError(f"{file} is cut off or damaged: {error}. Fetch it again.") from error


class _Reader:
    def __init__(self, model: Any, data: bytes, file: str) -> None:
        self._model = model
        self._data = data
        self._file = file

    def network(self) -> Network:
        graphs = self._model.subgraphs or []
        if len(graphs) != 1:
            raise CommandError(f"{self._file} has {len(graphs)} graphs; only files with one can be converted.")
        (graph,) = graphs
        tensors = tuple(self._tensor(tensor, place) for place, tensor in enumerate(graph.tensors))
        operators = tuple(self._operator(operator) for operator in graph.operators)
        network = Network(tensors, operators, _indices(graph.inputs), _indices(graph.outputs))
        used = [*network.inputs, *network.outputs, *(i for each in operators for i in (*each.inputs, *each.outputs))]
        if not all(-1 <= index < len(tensors) for index in used):
            raise ValueError("an operator's tensor is not there")
        return network

    def _operator(self, operator: Any) -> Operator:
        code = self._model.operatorCodes[operator.opcodeIndex]
        # Files from before there were more than 127 operators have the number in the older field.
        name = names_of("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name != "CUSTOM":
            return Operator(name, _indices(operator.inputs), _indices(operator.outputs), operator.builtinOptions)
        custom = bytes(operator.customOptions) if operator.customOptions is not None else b""
        return Operator(_text(code.customCode), _indices(operator.inputs), _indices(operator.outputs), custom)

    def _tensor(self, tensor: Any, place: int) -> Tensor:
        shape = tuple(int(side) for side in tensor.shape) if tensor.shape is not None else ()
        if len(shape) > MAX_RANK or any(side < 0 for side in shape):
            raise ValueError(f"a tensor has the shape {list(shape)}")
        element = names_of("TensorType")[tensor.type]
        value = self._value(tensor, element, shape)
        name = _text(tensor.name) or f"tensor_{place}"
        return Tensor(name, "FLOAT32" if value is not None and value.dtype == np.float32 else element, shape, value)

    def _value(self, tensor: Any, element: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        raw = self._bytes_of(self._model.buffers[tensor.buffer])
        if not raw or element not in DTYPES:
            return None
        if tensor.sparsity is not None:
            raise CommandError(f"{self._file} holds sparse weights, which can't be converted. Take a dense file.")
        value = np.frombuffer(raw, DTYPES[element])
        if value.size != np.prod(shape, dtype=np.int64):
            raise ValueError("a constant is shorter than its shape")
        return _dequantised(value.reshape(shape), tensor.quantization)

    def _bytes_of(self, buffer: Any) -> bytes:
        if buffer.data is not None and len(buffer.data):
            return bytes(np.asarray(buffer.data, np.uint8))
        if buffer.offset and buffer.offset > 1:  # files over 2 GB keep constants behind the flatbuffer
            return self._data[buffer.offset : buffer.offset + buffer.size]
        return b""


def _dequantised(value: NDArray[Any], quantisation: Any) -> NDArray[Any]:
    scale = None if quantisation is None else quantisation.scale
    if scale is None or not len(scale) or value.dtype.kind not in "iu":
        return value
    zero = quantisation.zeroPoint if quantisation.zeroPoint is not None else np.zeros(1)
    sides = [1] * value.ndim
    if len(scale) > 1:
        sides[quantisation.quantizedDimension] = -1
    shifted = value.astype(np.float32) - np.asarray(zero, np.float32).reshape(sides)
    return np.asarray(shifted * np.asarray(scale, np.float32).reshape(sides), np.float32)


def _indices(found: Sequence[int] | None) -> tuple[int, ...]:
    return () if found is None else tuple(int(index) for index in found)


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "replace")
