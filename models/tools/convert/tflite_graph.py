# SPDX-License-Identifier: GPL-2.0-or-later
"""An ONNX graph in the making, from a TFLite network: every tensor in the order of sides that is wanted.

TFLite keeps the channels last, ONNX's convolutions want them second. Each tensor of rank 4 may be there in both orders:
"last" as in the file, "first" as NCHW. It is transposed when an operator asks for the order that is not there yet, and
operators that don't care take the one that is. So a whole network is transposed at its ends only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ....filters.cli.errors import CommandError
from .source import OPSET
from .tflite_file import DTYPES, Network, Operator, Tensor

LAST, FIRST = "last", "first"
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
AXIS_IN_FIRST = (0, 2, 3, 1)  # where each side of "last" is in "first"


class Graph:
    """Collects nodes and initializers; tensors are named by their index in the TFLite file and their order."""

    def __init__(self, network: Network, file: str) -> None:
        self.network = network
        self.file = file
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, NDArray[Any]] = {}
        self._known: dict[tuple[int, str], str] = {}
        self._constants = {i: tensor.value for i, tensor in enumerate(network.tensors) if tensor.value is not None}
        for index in network.inputs:
            self._known[index, LAST] = self.tensor(index).name

    # What an operator asks

    def tensor(self, index: int) -> Tensor:
        """The tensor as the file has it."""
        return self.network.tensors[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """Its sides, channels last."""
        return self.tensor(index).shape

    def constant(self, index: int) -> NDArray[Any] | None:
        """Its value, channels last, if that is known now."""
        return self._constants.get(index)

    def needed_constant(self, operator: Operator, place: int) -> NDArray[Any]:
        """The value of an operator's input; CommandError if it is computed while the network runs."""
        value = self.constant(operator.inputs[place])
        if value is None:
            what = f"input {place} of an operator {operator.name} is computed while the network runs"
            raise CommandError(f"{self.file} can't be converted: {what}; only constants are known here.")
        return value

    def order(self, indices: Sequence[int]) -> str:
        """The order in which an operator that does not care should take these inputs."""
        computed = [index for index in indices if self.constant(index) is None]
        has_first = any((index, FIRST) in self._known for index in computed)
        return FIRST if has_first and all(len(self.shape(index)) == 4 for index in computed) else LAST

    def get(self, index: int, order: str) -> str:
        """The ONNX name of a tensor in an order, transposed now if it is there only in the other."""
        if (index, order) not in self._known:
            self._known[index, order] = self._make(index, order)
        return self._known[index, order]

    def _make(self, index: int, order: str) -> str:
        value = self.constant(index)
        if value is not None:
            if order == FIRST:
                value = np.transpose(value.reshape((1,) * (4 - value.ndim) + value.shape), TO_FIRST)
            return self.initializer(value)
        other = self._known.get((index, LAST if order == FIRST else FIRST))
        if other is None:
            raise CommandError(
                f"{self.file} is damaged: the tensor {self.tensor(index).name} is used before it is made."
            )
        return self.node("Transpose", [other], perm=TO_FIRST if order == FIRST else TO_LAST)

    # What an operator gives

    def put(self, index: int, name: str, order: str) -> None:
        """Say that an ONNX tensor is this TFLite tensor, in this order."""
        self._known[index, order] = name

    def put_constant(self, index: int, value: NDArray[Any]) -> None:
        """Say that a tensor's value is known already."""
        self._constants[index] = value

    def initializer(self, value: NDArray[Any]) -> str:
        """A constant's name."""
        name = f"constant_{len(self._initializers)}"
        self._initializers[name] = np.ascontiguousarray(value)
        return name

    def node(self, operator: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its output (of the first of several: `nth` gives the others)."""
        base = f"{operator.lower()}_{len(self._nodes)}"
        names = [base, *(nth(base, place) for place in range(1, outputs))]
        node = helper.make_node(operator, list(inputs), names, name=base, **attributes)
        self._nodes.append(node)
        return base

    # The end

    def model(self) -> onnx.ModelProto:
        """The whole graph as an ONNX model, with the inputs and outputs of the TFLite file."""
        outputs = [self._output(index) for index in self.network.outputs]
        names = set()
        for port in (*self._inputs(), *outputs):
            if port.name in names:
                raise CommandError(
                    f"{self.file} can't be converted: two of its inputs and outputs are called {port.name}."
                )
            names.add(port.name)
        initializers = [numpy_helper.from_array(value, name) for name, value in self._initializers.items()]
        graph = helper.make_graph(self._nodes, "from_tflite", self._inputs(), outputs, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="models convert")

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        return [_port(self.tensor(index)) for index in self.network.inputs]

    def _output(self, index: int) -> onnx.ValueInfoProto:
        tensor = self.tensor(index)
        self._nodes.append(helper.make_node("Identity", [self.get(index, LAST)], [tensor.name], name=f"output_{index}"))
        return _port(tensor)


def nth(name: str, place: int) -> str:
    """The name of a node's further output."""
    return name if place == 0 else f"{name}_{place}"


def element_of(name: str, file: str) -> int:
    """ONNX's number for a TFLite element type; CommandError if there is none."""
    if name not in DTYPES:
        raise CommandError(f"{file} can't be converted: a tensor has the element type {name}.")
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[name])))


def _port(tensor: Tensor) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES.get(tensor.element, np.float32)))
    return helper.make_tensor_value_info(tensor.name, element, list(tensor.shape))
