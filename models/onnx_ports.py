# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ONNX file says it takes and gives, read with the standard library: to show before anybody trusts or runs it.

The field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .onnx_guard import MAX_FIELDS
from .refusal import ModelRefused
from .wire import BYTES, VARINT, Field, Reader, WireError, readable

MAX_PORTS, MAX_DIMENSIONS = 64, 16  # more are not shown

_MODEL_PRODUCER, _MODEL_GRAPH, _MODEL_OPSET = 2, 7, 8
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 1, 2
_SHAPE_DIMENSION, _DIMENSION_VALUE, _DIMENSION_NAME = 1, 1, 2
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_ELEMENTS = {1: "float", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "double"}


class Port(NamedTuple):
    """An input or output: its name, its element type, its sides (None: any)."""

    name: str
    element: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {self.element} [{sides}]"


def planes_axis(shape: Sequence[Any]) -> int | None:
    """The axis of a picture's input that its planes are on, 1 or 3: colours, perhaps a mask. None if that is open."""
    sides = [(planes, axis) for planes in (3, 4) for axis in (1, 3)] if len(shape) == 4 else []
    return next((axis for planes, axis in sides if shape[axis] == planes), None)


class Ports(NamedTuple):
    """A graph's inputs (without those that have a value already) and outputs, its operator set, what wrote the file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    producer: str


def read_ports(data: bytes, file: str = "") -> Ports:
    """Look for the ports in an ONNX file's bytes; ``model.not_onnx`` if they can't be read."""
    try:
        return _Model(data).ports()
    except WireError as error:
        raise ModelRefused("model.not_onnx", file=file, detail=str(error)) from None


class _Model:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._reader = Reader(data, MAX_FIELDS)
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []
        self._initializers: set[str] = set()
        self._opset = 0
        self._producer = ""

    def ports(self) -> Ports:
        for field in self._reader.fields(0, len(self._data)):
            if field.number == _MODEL_GRAPH:
                self._read_graph(field)
            elif field.number == _MODEL_OPSET:
                self._read_opset(field)
            elif field.number == _MODEL_PRODUCER:
                self._producer = self._text(field)
        inputs = tuple(port for port in self._inputs if port.name not in self._initializers)
        return Ports(inputs[:MAX_PORTS], tuple(self._outputs[:MAX_PORTS]), self._opset, self._producer)

    def _read_graph(self, graph: Field) -> None:
        for field in self._within(graph):
            if field.number == _GRAPH_INPUT:
                self._inputs.append(self._port(field))
            elif field.number == _GRAPH_OUTPUT:
                self._outputs.append(self._port(field))
            elif field.number == _GRAPH_INITIALIZER:
                self._initializers |= {self._text(name) for name in self._within(field, _TENSOR_NAME)}

    def _read_opset(self, opset: Field) -> None:
        parts = list(self._within(opset))
        domains = [self._text(part) for part in parts if part.number == _OPSET_DOMAIN]
        if all(domain in ("", "ai.onnx") for domain in domains):
            self._opset = max([self._opset, *(part.value for part in parts if part.number == _OPSET_VERSION)])

    def _port(self, value: Field) -> Port:
        name, element = "", "?"
        shape: tuple[int | None, ...] = ()
        for field in self._within(value):
            if field.number == _VALUE_NAME:
                name = self._text(field)
            elif field.number == _VALUE_TYPE:
                for tensor in self._within(field, _TYPE_TENSOR):
                    element, shape = self._tensor(tensor)
        return Port(name, element, shape)

    def _tensor(self, tensor: Field) -> tuple[str, tuple[int | None, ...]]:
        element = "?"
        shape: list[int | None] = []
        for field in self._within(tensor):
            if field.number == _TENSOR_TYPE_ELEMENT:
                element = _ELEMENTS.get(field.value, f"type {field.value}")
            elif field.number == _TENSOR_TYPE_SHAPE:
                shape = [self._side(side) for side in self._within(field, _SHAPE_DIMENSION)]
        return element, tuple(shape[:MAX_DIMENSIONS])

    def _side(self, dimension: Field) -> int | None:
        values = [field.value for field in self._within(dimension, _DIMENSION_VALUE) if field.wire_type == VARINT]
        return values[-1] if values and 0 < values[-1] < 2**31 else None

    def _within(self, message: Field, number: int | None = None) -> Iterator[Field]:
        """The fields of a message within another, all or those with ``number``; none if it is no message."""
        if message.wire_type == BYTES:
            for field in self._reader.fields(message.start, message.end):
                if number is None or field.number == number:
                    yield field

    def _text(self, field: Field) -> str:
        return readable(self._data[field.start : field.end]) if field.wire_type == BYTES else ""
