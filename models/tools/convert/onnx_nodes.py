# SPDX-License-Identifier: GPL-2.0-or-later
"""What all ONNX operators need on their way to TFLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from ....filters.cli.errors import CommandError
from .tflite_graph import AXIS_IN_FIRST, TO_LAST
from .tflite_writer import LAST, Writer

# Where each axis of an ONNX tensor is in "last".
AXIS_IN_LAST = tuple(AXIS_IN_FIRST.index(axis) for axis in range(4))


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name, texts as str."""
    values = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def unsupported(writer: Writer, node: onnx.NodeProto, what: str) -> CommandError:
    """An error that names the operator and what about it has no TFLite."""
    return CommandError(f"{writer.file} can't be said in TFLite: operator {node.op_type}: {what}.")


def in_order(shape: Sequence[int], order: str) -> tuple[int, ...]:
    """An ONNX tensor's shape in an order."""
    return tuple(shape[axis] for axis in TO_LAST) if order == LAST else tuple(shape)


def out_shape(writer: Writer, node: onnx.NodeProto, order: str, place: int = 0) -> tuple[int, ...]:
    """The shape of a node's output in an order."""
    return in_order(writer.shapes[node.output[place]], order)


def axis_in(order: str, axis: int, rank: int) -> int:
    """An ONNX axis in an order."""
    axis %= rank
    return AXIS_IN_LAST[axis] if order == LAST else axis
