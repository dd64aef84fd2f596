# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ONNX network costs: multiply-accumulates, counted in its graph, and milliseconds, measured side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray

from ..tools.turns import Row, in_turns, processor_ms

Feed = Mapping[str, NDArray[Any]]


def count_macs(model: onnx.ModelProto, feed: Feed) -> int:
    """Multiply-accumulates of all convolutions and matrix products for inputs as in `feed`.

    The sides come from a run of the unoptimised graph with those inputs, so that graphs with open sides count as well.
    Activations, normalisations, additions and resizing are not counted, as is usual.
    """
    nodes = [node for node in model.graph.node if node.op_type in _COUNTERS]
    shapes = _shapes(model, {name for node in nodes for name in (node.input[0], node.input[1], node.output[0])}, feed)
    return sum(_COUNTERS[node.op_type](*_operands(node, shapes)) for node in nodes)


Shape = tuple[int, ...]


def _convolution(_picture: Shape, weights: Shape, result: Shape) -> int:
    """Each output pixel takes one product per weight of its channel."""
    return prod(result) * prod(weights[1:])


def _transposed(picture: Shape, weights: Shape, _result: Shape) -> int:
    """Each input pixel is spread by the weights of its channel."""
    return prod(picture) * prod(weights[1:])


def _product(left: Shape, _right: Shape, result: Shape) -> int:
    return prod(result) * left[-1]


_COUNTERS = {"Conv": _convolution, "ConvTranspose": _transposed, "MatMul": _product, "Gemm": _product}


def _operands(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> tuple[Shape, Shape, Shape]:
    return shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]


def _shapes(model: onnx.ModelProto, names: set[str], feed: Feed) -> dict[str, Shape]:
    """The shapes that tensors of a graph have in one run; constants are read from the file."""
    known = {each.name: tuple(each.dims) for each in model.graph.initializer}
    known |= {name: tuple(values.shape) for name, values in feed.items()}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    existing = {output.name for output in watched.graph.output}
    wanted = sorted(names - known.keys())
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in existing)
    if not wanted:
        return known
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results = session.run(wanted, dict(feed))
    return known | {name: tuple(value.shape) for name, value in zip(wanted, results, strict=True)}


@dataclass(frozen=True)
class Timing:
    """Median milliseconds (of the processor) of one run on one thread, and the median ratio to the yardstick's."""

    ms: float
    ratio: float | None


def time_side_by_side(
    runners: Mapping[str, tuple[onnxruntime.InferenceSession, Feed]], yardstick: str | None, rounds: int
) -> dict[str, Timing]:
    """Run the bare networks in turns, `rounds` times, so that what else the machine does hits them all alike.

    Time is that of the processor, so that other work on the machine hardly counts. A ratio is taken within each round
    and its median reported: it says more than the milliseconds.
    """
    for session, feed in runners.values():
        session.run(None, dict(feed))
    found = in_turns({name: _timed(*runner) for name, runner in runners.items()}, rounds)
    times = {name: [ms for (ms,) in rows] for name, rows in found.items()}
    if yardstick is None or yardstick not in times:
        return {name: Timing(statistics.median(own), None) for name, own in times.items()}
    ratios = {name: [a / b for a, b in zip(own, times[yardstick], strict=True)] for name, own in times.items()}
    return {name: Timing(statistics.median(own), statistics.median(ratios[name])) for name, own in times.items()}


def _timed(session: onnxruntime.InferenceSession, feed: Feed) -> Callable[[], Row]:
    """Runs a network once and gives the milliseconds."""

    def run() -> Row:
        start_ms = processor_ms()
        session.run(None, dict(feed))
        return (processor_ms() - start_ms,)

    return run
