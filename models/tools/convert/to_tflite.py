# SPDX-License-Identifier: GPL-2.0-or-later
"""ONNX to TFLite, float32, channels last; ONNX Runtime is the witness.

A converter of our own for the operators of segmentation networks: the kept one on PyPI (onnx2tf) wants Python 3.12 and
seventeen packages in exactly its versions. It needs LiteRT only, which checks the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import onnxslim
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from ...catalog import ModelEntry
from ...sizes import parse_size
from ...training.quantise import quietly
from .finish import first_line, open_as_engine
from .from_tflite import TFLiteSource, open_interpreter, run_interpreter
from .onnx_nodes import in_order
from .onnx_operators import OPERATORS
from .parity import Parity, compare, make_examples
from .source import Feed
from .tflite_graph import TO_FIRST, TO_LAST
from .tflite_writer import AS_IS, LAST, Writer


class About(NamedTuple):
    """What was compared with what, and on what, for people."""

    found: str
    expected: str
    examples: str


def to_tflite(
    path: Path, size: str | None, entry: ModelEntry | None, pictures: Sequence[Path]
) -> tuple[bytes, Parity, About]:
    """The TFLite file's bytes and how it compares; ``entry`` says how it is fed.

    CommandError names what TFLite can't say.
    """
    original = path.read_bytes()
    open_as_engine(original, path.name)
    model = simplified(with_sides(load(original, path), size, path), path)
    data = written(model, path.name)
    session = open_as_engine(model.SerializeToString(), path.name)
    examples = make_examples(session, path.name, entry, pictures)
    names = [port.name for port in session.get_outputs()]
    expected = [session.run(names, dict(feed)) for feed in examples.feeds]
    interpreter = open_interpreter(data, path.name)
    found = [run_like_onnx(interpreter, model, feed) for feed in examples.feeds]
    about = About(TFLiteSource.runtime_name(), f"ONNX Runtime {onnxruntime.__version__}", examples.about)
    return data, compare(names, expected, found, examples.ports), about


def load(data: bytes, path: Path) -> onnx.ModelProto:
    """Parse a file that the engine would take."""
    model = onnx.load_from_string(data)
    used = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if used:
        raise CommandError(f"{path} uses operators of {', '.join(sorted(used))}, which TFLite does not have.")
    return model


def with_sides(model: onnx.ModelProto, size: str | None, path: Path) -> onnx.ModelProto:
    """The model with every side of its inputs fixed: the batch is 1, the picture's are those that were asked for."""
    constants = {each.name for each in model.graph.initializer}
    changed = False
    for port in model.graph.input:
        sides = port.type.tensor_type.shape.dim
        if port.name in constants or all(side.dim_value for side in sides):
            continue
        changed = True
        if not sides[0].dim_value:
            sides[0].dim_value = 1
        free = [place for place, side in enumerate(sides) if not side.dim_value]
        if free and free not in ([1, 2], [2, 3]):
            raise CommandError(f"{path}: the sides of its input {port.name} are open, and TFLite needs all of them.")
        if free and size is None:
            raise CommandError(f"{path} takes pictures of any size. Give the one that you want: --size 256x144.")
        if size is not None and free:
            for place, side in zip(free, parse_size(size)[::-1]):
                sides[place].dim_value = side
    if changed:
        del model.graph.value_info[:]
        for port in model.graph.output:
            port.type.tensor_type.ClearField("shape")
    return model


def simplified(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with everything folded that is known beforehand, and all shapes inferred."""
    try:
        with quietly():
            model = onnxslim.slim(model)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # onnxslim has no common base class for its exceptions
        raise CommandError(f"{path} can't be simplified, which must come first: {first_line(error)}") from error


def written(model: onnx.ModelProto, file: str) -> bytes:
    """Say a simplified model in TFLite."""
    used = {node.op_type for node in model.graph.node}
    if used & {"QuantizeLinear", "DequantizeLinear", "ConvInteger", "QLinearConv"}:
        raise CommandError(
            f"{file} can't be said in TFLite: it computes in 8 bits. Take the float version of this network."
        )
    unknown = sorted(used - set(OPERATORS))
    if unknown:
        raise CommandError(
            f"{file} can't be said in TFLite: it uses operators that are not known here: {', '.join(unknown)}."
        )
    writer = Writer(model, shapes_of(model, file), file)
    constants = {each.name for each in model.graph.initializer}
    inputs = [add_input(writer, port) for port in model.graph.input if port.name not in constants]
    for node in model.graph.node:
        try:
            OPERATORS[node.op_type](writer, node)
        except (KeyError, IndexError, ValueError) as error:
            raise CommandError(f"{file} can't be said in TFLite: operator {node.op_type}: {error!r}.") from error
    outputs = [(port.name, writer.get(port.name, order_of(port))) for port in model.graph.output]
    return writer.finish(inputs, outputs)


def shapes_of(model: onnx.ModelProto, file: str) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors; CommandError if one is not known, or is no float."""
    shapes: dict[str, tuple[int, ...]] = {each.name: tuple(each.dims) for each in model.graph.initializer}
    for port in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        tensor = port.type.tensor_type
        shapes[port.name] = tuple(side.dim_value for side in tensor.shape.dim)
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            raise CommandError(
                f"{file} can't be said in TFLite: the tensor {port.name} is not float32. Take a float file."
            )
    open_ones = [name for node in model.graph.node for name in node.output if name and not all(shapes.get(name, (0,)))]
    if open_ones:
        raise CommandError(
            f"{file} can't be said in TFLite: the shape of the tensor {open_ones[0]} is not known beforehand."
        )
    return shapes


def shape_of(port: onnx.ValueInfoProto) -> tuple[int, ...]:
    """An input's or output's sides."""
    return tuple(side.dim_value for side in port.type.tensor_type.shape.dim)


def order_of(port: onnx.ValueInfoProto) -> str:
    """The order of an input or output in the TFLite file: channels last, as usual there."""
    shape = shape_of(port)
    return LAST if len(shape) == 4 and shape[1] < shape[3] else AS_IS


def add_input(writer: Writer, port: onnx.ValueInfoProto) -> int:
    """An input's tensor."""
    order = order_of(port)
    index = writer.tensor(in_order(shape_of(port), order), name=port.name)
    writer.put(port.name, index, order)
    return index


def run_like_onnx(interpreter: Any, model: onnx.ModelProto, feed: Feed) -> list[NDArray[Any]]:
    """What the TFLite file answers, with inputs and outputs in the ONNX file's order of sides."""
    ports = {port.name: port for port in model.graph.input}
    turned = {
        name: np.ascontiguousarray(value.transpose(TO_LAST)) if order_of(ports[name]) == LAST else value
        for name, value in feed.items()
    }
    answers = run_interpreter(interpreter, turned)
    return [
        answer.transpose(TO_FIRST) if order_of(port) == LAST else answer
        for port, answer in zip(model.graph.output, answers)
    ]
