# SPDX-License-Identifier: GPL-2.0-or-later
"""A look at an ONNX file before ONNX Runtime sees it: it may compute, and nothing else.

Refused are tensors kept in other files or at memory addresses, operators from unknown domains, operators that load
other files, newer operator sets, ONNX Runtime's own file format, and whatever is no protobuf. The walk goes by the
field numbers of onnx.proto. Wherever protobuf would merge or let the last one win, every occurrence is looked at, so
that nothing hides behind a repetition.
"""

from __future__ import annotations

from typing import NamedTuple

from .refusal import ModelRefused
from .wire import BYTES, VARINT, Reader, WireError, readable

MAX_OPSET = 24
MAX_DEPTH = 100  # messages within messages; protobuf's own limit
MAX_FIELDS = 300_000  # of all messages; ordinary models have less than ten thousand
ALLOWED_DOMAINS = (b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft")
FILE_OPERATORS = (b"EPContext",)  # of com.microsoft: loads a compiled graph from a path of its choice

_DEFAULT_DOMAINS = (b"", b"ai.onnx")
_ORT_FORMAT_MARK = b"ORTM"  # at byte 4: a flatbuffer that ONNX Runtime would take without asking

# Fields that hold messages, by kind of message.
_CHILDREN = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
_MODEL_IR_VERSION = ("model", 1)
_NODE_OPERATOR = ("node", 4)
_NODE_DOMAIN = ("node", 7)
_FUNCTION_DOMAIN = ("function", 10)
_TENSOR_NAME = ("tensor", 8)
_TENSOR_EXTERNAL_DATA = ("tensor", 13)
_TENSOR_DATA_LOCATION = ("tensor", 14)
_OPSET_DOMAIN = ("opset", 1)
_OPSET_VERSION = ("opset", 2)
_WIRE_TYPES = {
    _MODEL_IR_VERSION: VARINT,
    _NODE_OPERATOR: BYTES,
    _NODE_DOMAIN: BYTES,
    _FUNCTION_DOMAIN: BYTES,
    _TENSOR_NAME: BYTES,
    _TENSOR_EXTERNAL_DATA: BYTES,
    _TENSOR_DATA_LOCATION: VARINT,
    _OPSET_DOMAIN: BYTES,
    _OPSET_VERSION: VARINT,
}


class _Message(NamedTuple):
    """A message still to be looked at: ``data[start:end]``."""

    kind: str
    start: int
    end: int
    depth: int


def check(data: bytes, file: str = "") -> None:
    """Raise ``ModelRefused`` unless ``data`` is an ONNX model that can do nothing but compute.

    Codes: ``model.not_onnx``, ``model.external_data``, ``model.custom_domain``, ``model.opset``; ``file`` is in all.
    The time is bounded: every field is read once, and there may be ``MAX_FIELDS``.
    """
    try:
        _Walk(data, file).run()
    except WireError as error:
        raise ModelRefused("model.not_onnx", file=file, detail=str(error)) from None


class _Walk:
    def __init__(self, data: bytes, file: str) -> None:
        self._data = data
        self._file = file
        self._reader = Reader(data, MAX_FIELDS)
        self._seen: set[tuple[str, int]] = set()

    def run(self) -> None:
        if self._data[4:8] == _ORT_FORMAT_MARK:
            raise self._not_onnx("it is in ONNX Runtime's own format")
        pending = [_Message("model", 0, len(self._data), 0)]
        while pending:
            message = pending.pop()
            if message.depth > MAX_DEPTH:
                raise self._not_onnx("it is nested too deeply")
            pending += self._look_at(message)
        if _MODEL_IR_VERSION not in self._seen:
            raise self._not_onnx("it has no version")
        if ("graph", 1) not in self._seen:
            raise self._not_onnx("it has no graph")

    def _look_at(self, message: _Message) -> list[_Message]:
        """Check the fields of one message; returns the messages within it."""
        children = _CHILDREN[message.kind]
        found = []
        texts: dict[int, list[bytes]] = {}
        numbers: dict[int, list[int]] = {}
        for field in self._reader.fields(message.start, message.end):
            key = (message.kind, field.number)
            child = children.get(field.number)
            expected = BYTES if child else _WIRE_TYPES.get(key)
            if expected is None:
                continue
            if field.wire_type != expected:
                raise self._not_onnx(f"field {field.number} of a {message.kind} has the wrong type")
            self._seen.add(key)
            if child:
                found.append(_Message(child, field.start, field.end, message.depth + 1))
            elif expected == BYTES:
                texts.setdefault(field.number, []).append(self._data[field.start : field.end])
            else:
                numbers.setdefault(field.number, []).append(field.value)
        self._judge(message.kind, texts, numbers)
        return found

    def _judge(self, kind: str, texts: dict[int, list[bytes]], numbers: dict[int, list[int]]) -> None:
        if kind == "node":
            self._check_domains(texts.get(_NODE_DOMAIN[1], []))
            self._check_operators(texts.get(_NODE_OPERATOR[1], []))
        elif kind == "function":
            self._check_domains(texts.get(_FUNCTION_DOMAIN[1], []))
        elif kind == "tensor":
            outside = _TENSOR_EXTERNAL_DATA[1] in texts or any(numbers.get(_TENSOR_DATA_LOCATION[1], []))
            if outside:
                name = texts.get(_TENSOR_NAME[1], [b""])[-1]
                raise ModelRefused("model.external_data", file=self._file, where=readable(name) or "a tensor")
        elif kind == "opset":
            domains = texts.get(_OPSET_DOMAIN[1], [b""])
            self._check_opset(domains, max(numbers.get(_OPSET_VERSION[1], [0])))

    def _check_domains(self, domains: list[bytes]) -> None:
        for domain in domains:
            if domain not in ALLOWED_DOMAINS:
                raise ModelRefused("model.custom_domain", file=self._file, domain=readable(domain))

    def _check_operators(self, operators: list[bytes]) -> None:
        for operator in operators:
            if operator in FILE_OPERATORS:
                where = f"the operator {readable(operator)}"
                raise ModelRefused("model.external_data", file=self._file, where=where)

    def _check_opset(self, domains: list[bytes], version: int) -> None:
        if version > MAX_OPSET and any(domain in _DEFAULT_DOMAINS for domain in domains):
            raise ModelRefused("model.opset", file=self._file, expected=MAX_OPSET, found=version)

    def _not_onnx(self, reason: str) -> ModelRefused:
        return ModelRefused("model.not_onnx", file=self._file, detail=reason)
