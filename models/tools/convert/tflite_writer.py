# SPDX-License-Identifier: GPL-2.0-or-later
"""A TFLite file in the making, from an ONNX graph: every tensor in the order of sides that is wanted.

The counterpart of tflite_graph.py. A tensor of rank 4 may be there as in the ONNX file ("as is") and with its second
side moved to the end ("last"), which is how TFLite's convolutions take it. An ONNX Transpose between the two costs
nothing here: it only says that one tensor in one order is another in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from .from_tflite import pack
from .tflite_file import DTYPES, names_of, schema
from .tflite_graph import TO_FIRST, TO_LAST

AS_IS, LAST = "as is", "last"
FILE_VERSION = 3
# The schema's class of options for each operator; those that are not here have none.
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "POW": "PowOptions",
    "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions",
    "TRANSPOSE": "TransposeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "MIRROR_PAD": "MirrorPadOptions",
    "SLICE": "SliceOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "SPLIT_V": "SplitVOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "BROADCAST_TO": "BroadcastToOptions",
    "EXP": "ExpOptions",
    "ABS": "AbsOptions",
    "NEG": "NegOptions",
    "HARD_SWISH": "HardSwishOptions",
}
# The first version of an operator that can do what is asked of it here, where that is not 1.
VERSIONS = {
    "BROADCAST_TO": 2,
    "TRANSPOSE_CONV": 3,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "DEPTHWISE_CONV_2D": 2,
}
FUSED = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "SUB", "MUL")  # LiteRT takes it of CONCATENATION too, and forgets it


class Writer:
    """Collects tensors and operators. ``shapes`` are those of all tensors of the ONNX graph."""

    def __init__(self, model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]], file: str) -> None:
        self.file = file
        self.shapes = shapes
        self._schema = schema()
        self._constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
        self._known: dict[tuple[str, str], int] = {}
        self._sides: list[tuple[int, ...]] = []
        self._makers: dict[int, Any] = {}
        self._codes: dict[str, int] = {}
        self._consumers: dict[str, int] = {}
        for name in (
            *(name for node in model.graph.node for name in node.input),
            *(o.name for o in model.graph.output),
        ):
            self._consumers[name] = self._consumers.get(name, 0) + 1
        self._graph = self._schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [self._schema.BufferT()]  # the first one is empty, by convention

    # What an operator asks

    def constant(self, name: str) -> NDArray[Any] | None:
        """An initializer's value."""
        return self._constants.get(name)

    def needed_constant(self, node: onnx.NodeProto, place: int) -> NDArray[Any]:
        """The value of an input; CommandError if it is computed while the network runs."""
        value = self._constants.get(node.input[place]) if len(node.input) > place else None
        if value is None:
            what = f"input {place} of an operator {node.op_type} is computed while the network runs"
            raise CommandError(f"{self.file} can't be said in TFLite: {what}.")
        return value

    def order(self, names: Sequence[str]) -> str:
        """The order in which an operator that does not care should take these inputs."""
        computed = [name for name in names if name not in self._constants]
        has_last = any((name, LAST) in self._known for name in computed)
        return LAST if has_last and all(len(self.shapes[name]) == 4 for name in computed) else AS_IS

    def sides(self, index: int) -> tuple[int, ...]:
        """The shape of a TFLite tensor."""
        return self._sides[index]

    def get(self, name: str, order: str) -> int:
        """The index of a tensor in an order, transposed now if it is there only in the other."""
        if (name, order) not in self._known:
            self._known[name, order] = self._make(name, order)
        return self._known[name, order]

    def _make(self, name: str, order: str) -> int:
        value = self._constants.get(name)
        if value is not None:
            if order == LAST:
                value = value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(TO_LAST)
            return self.number(value)
        axes, other = (TO_LAST, AS_IS) if order == LAST else (TO_FIRST, LAST)
        return self.transposed(self._known[name, other], axes)

    def put(self, name: str, index: int, order: str) -> None:
        """Say that a TFLite tensor is this ONNX tensor, in this order."""
        self._known[name, order] = index

    def same(self, source: str, target: str, orders: dict[str, str] | None = None) -> None:
        """Say that an ONNX tensor is another one, its orders renamed by ``orders``."""
        for old, new in (orders or {AS_IS: AS_IS, LAST: LAST}).items():
            if (source, old) in self._known:
                self._known[target, new] = self._known[source, old]

    def has(self, name: str, order: str) -> bool:
        """Whether a tensor is there in an order without being transposed."""
        return (name, order) in self._known

    # What an operator gives

    def tensor(self, shape: Sequence[int], element: str = "FLOAT32", name: str | None = None, buffer: int = 0) -> int:
        """A new tensor's index."""
        tensor = self._schema.TensorT()
        tensor.name = name or f"t{len(self._graph.tensors)}"
        tensor.shape = np.array(shape, np.int32)
        tensor.type = getattr(self._schema.TensorType, element)
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        self._sides.append(tuple(int(side) for side in shape))
        return len(self._graph.tensors) - 1

    def number(self, value: NDArray[Any]) -> int:
        """A constant's index; 64-bit numbers are kept in 32 bits, which is what TFLite's operators take."""
        if value.dtype in (np.int64, np.float64):
            value = value.astype(np.int32 if value.dtype == np.int64 else np.float32)
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self._buffers.append(buffer)
        element = next(name for name, dtype in DTYPES.items() if dtype == value.dtype)
        return self.tensor(value.shape, element, buffer=len(self._buffers) - 1)

    def integers(self, *values: int) -> int:
        """A constant of int32, one side."""
        return self.number(np.array(values, np.int32))

    def add(
        self, code: str, inputs: Sequence[int], shape: Sequence[int], element: str = "FLOAT32", **options: Any
    ) -> int:
        """Add an operator with one output, whose index is returned."""
        return self.add_many(code, inputs, [shape], element, **options)[0]

    def add_many(
        self,
        code: str,
        inputs: Sequence[int],
        shapes: Sequence[Sequence[int]],
        element: str = "FLOAT32",
        **options: Any,
    ) -> list[int]:
        """Add an operator with several outputs."""
        outputs = [self.tensor(shape, element) for shape in shapes]
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if code in OPTIONS:
            operator.builtinOptions = getattr(self._schema, f"{OPTIONS[code]}T")()
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, OPTIONS[code])
            for name, value in options.items():
                setattr(operator.builtinOptions, name, value)
        self._graph.operators.append(operator)
        self._makers.update(dict.fromkeys(outputs, (code, operator)))
        return outputs

    def transposed(self, index: int, axes: Sequence[int]) -> int:
        """A tensor with its axes in another order."""
        sides = self.sides(index)
        return self.add("TRANSPOSE", [index, self.integers(*axes)], [sides[axis] for axis in axes])

    def fuse(self, name: str, index: int, activation: str) -> bool:
        """Let the operator that makes a tensor also do an activation; False if it can't, or others need it without."""
        code, operator = self._makers.get(index, ("", None))
        if code not in FUSED or self._consumers.get(name) != 1 or operator.builtinOptions.fusedActivationFunction:
            return False
        operator.builtinOptions.fusedActivationFunction = getattr(self._schema.ActivationFunctionType, activation)
        return True

    # The end

    def finish(self, inputs: Sequence[int], outputs: Sequence[tuple[str, int]]) -> bytes:
        """The file's bytes; ``outputs`` are names and indices."""
        self._graph.inputs = np.array(inputs, np.int32)
        self._graph.outputs = np.array([index for _, index in outputs], np.int32)
        for name, index in outputs:
            self._graph.tensors[index].name = name
        self._graph.name = "main"
        numbers = {name: number for number, name in names_of("BuiltinOperator").items()}
        model = self._schema.ModelT()
        model.version, model.description = FILE_VERSION, "models convert"
        model.subgraphs, model.buffers, model.operatorCodes = [self._graph], self._buffers, []
        for code in self._codes:
            entry = self._schema.OperatorCodeT()
            # Numbers above 127 don't fit into the older field, which then says so.
            entry.builtinCode, entry.deprecatedBuiltinCode = numbers[code], min(numbers[code], 127)
            entry.version = VERSIONS.get(code, 1)
            model.operatorCodes.append(entry)
        return pack(model)
