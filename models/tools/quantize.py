# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a copy of a network in smaller numbers, and keep it only if the masks stay good.

    models quantize mediapipe_landscape landscape_int8.onnx --how static --pictures photographs

Four ways: 8-bit weights alone (`weights`), unpacked when the file is loaded, so that only the file is smaller; 16-bit
numbers (`fp16`), for graphics cards; 8-bit weights and numbers whose range is found frame by frame (`dynamic`); 8-bit
numbers with ranges from calibration pictures (`static`, see training/quantise.py).
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

from ...filters.cli.errors import CommandError
from ..training.manifest import positive
from ..training.manifest import share as share_of_one
from ..training.quantise import (
    Bounds,
    CannotQuantiseError,
    Feeds,
    Quality,
    at_least_opset,
    choose,
    declare_only_what_is_used,
    quietly,
)
from .compare import (
    Original,
    Sample,
    Version,
    check_target,
    cost_rows,
    open_copy,
    portrait,
    quality_of,
    quality_rows,
    read_original,
    read_samples,
    serialised,
    show,
    with_truth,
    write,
)

FEWEST_FOR_CALIBRATION = 4
BOUNDARY_FACTOR = 3  # boundary F moves about so much more than IoU for the same shift of an edge
# Where the channels of the result lie in an operator's weights; a matrix product has those of its second factor last.
CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
OPSET_WITH_OPTIONAL_SIZES = 13  # Resize
QUANTISED = {"DequantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
FEWEST_WEIGHTS = 256  # smaller tensors are not worth their scales


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `models quantize`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="an id of the catalogue, the name of a file in your folder of models, or a path")
    add("out", metavar="OUT", type=Path, help="ONNX file to write")
    ways = "weights: a smaller file, as fast; fp16: for graphics cards; static: faster, takes pictures; dynamic"
    add("--how", choices=list(WAYS), required=True, help=ways)
    add(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="pictures, or images/ and masks/ (img/ and mask/), to measure on",
    )
    add("--masks", type=Path, metavar="FOLDER", help="their masks, PNG files of the same names, if they lie elsewhere")
    add("--frames", type=positive, default=64, metavar="N", help="use at most so many of the pictures (%(default)s)")
    bound = "how much worse IoU and MAD may become; boundary F three times as much (%(default)s)"
    add("--bound", type=share_of_one, default=0.005, help=bound)
    add("--rounds", type=positive, default=10, help="rounds of timing (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Quantise, measure, and write the copy if it is good enough; 1 if it is not."""
    if options.masks and not options.pictures:
        raise CommandError("--masks: give the pictures that they belong to with --pictures.", 2)
    original = read_original(options.model)
    check_target(original, options.model, options.out)
    refuse_quantised(original)
    samples = find_samples(options, original.version)
    bounds = Bounds(options.bound, BOUNDARY_FACTOR * options.bound, options.bound)
    try:
        copy, held_out = WAYS[options.how](original, samples, bounds)
    except CannotQuantiseError as error:
        raise CommandError(f"{original.model.name} can't be had so: {error}.") from error
    before, after = quality_of(original.version, held_out), quality_of(copy, held_out)
    costs = cost_rows(original.version, copy, options.rounds)
    show([*costs, *quality_rows(before, after)])
    broken = bounds.broken_by(after, before)
    if broken:
        print(f"Refused, nothing was written: {'; '.join(broken)}. (--bound sets what is allowed.)")
        return 1
    write(copy, original, options.out)
    return 0


def refuse_quantised(original: Original) -> None:
    """CommandError for a network that is quantised already; the converters stumble over it, or do it twice."""
    operators = {node.op_type for node in onnx.load_from_string(original.model.data).graph.node}
    if operators & QUANTISED:
        raise CommandError(
            f"{original.model.name} holds 8-bit numbers already. Take the float network it was made from."
        )


def find_samples(options: argparse.Namespace, version: Version) -> list[Sample]:
    """The pictures to measure (and to calibrate) on, with what is taken for the truth; says what that is."""
    if not options.pictures:
        if options.how == "static":
            raise CommandError("--how static takes pictures to calibrate on: give a folder with --pictures.", 2)
        samples = [portrait(version.network)]
        print("Measured is the agreement with the original on one portrait. For more, give --pictures.")
    else:
        samples = read_samples(options.pictures, options.masks, options.frames, version.network)
        against = "the masks" if samples[0].truth is not None else "the original's masks, as there are no others"
        print(f"Measured is on {len(samples)} pictures against {against}.")
    return with_truth(samples, version)


Outcome = tuple[Version, list[Sample]]  # the copy, and the samples that it may be measured on


def static(original: Original, samples: list[Sample], bounds: Bounds) -> Outcome:
    """8-bit copy by the best of several calibrations on every other picture; measured on the others."""
    if len(samples) < FEWEST_FOR_CALIBRATION:
        raise CommandError(f"--pictures: expected at least {FEWEST_FOR_CALIBRATION} pictures, found {len(samples)}")
    calibration, held_out = samples[::2], samples[1::2]
    version = original.version
    feeds = Feeds(len(calibration), lambda place: version.feed(calibration[place].frame_rgba))

    @functools.cache
    def opened(path: Path) -> Version:
        return open_copy(serialised(tidied(onnx.load(path)), original, "models quantize --how static"), original)

    def measure(path: Path) -> Quality:
        return quality_of(opened(path), held_out)

    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "float.onnx"
        onnx.save(with_constants(onnx.load_from_string(original.model.data)), source)
        chosen = choose(Path(name), source, feeds, measure, bounds)
        if chosen == source:
            raise CommandError(
                "No copy in 8 bits is good enough, so nothing was written. (--bound sets what is allowed.)"
            )
        return opened(chosen), held_out


def made_by(make: Callable[[onnx.ModelProto], onnx.ModelProto], how: str) -> Callable[..., Outcome]:
    """The way that takes a function of the model alone."""

    def way(original: Original, samples: list[Sample], _bounds: Bounds) -> Outcome:
        try:
            with quietly():
                model = make(with_constants(onnx.load_from_string(original.model.data)))
        except CannotQuantiseError:
            raise
        except Exception as error:  # the converters have no common base class for their exceptions
            lines = str(error).splitlines() or [type(error).__name__]
            raise CannotQuantiseError(f"the converter failed: {lines[0]}") from error
        return open_copy(serialised(tidied(model), original, f"models quantize --how {how}"), original), samples

    return way


def with_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all its constants where the converters look for them: among the weights, and not as inputs.

    Old files list their weights as inputs as well, which may be replaced at run time, and so are no constants.
    """
    graph = model.graph
    others = []
    for node in graph.node:
        value = next((each.t for each in node.attribute if each.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
        else:
            others.append(node)
    del graph.node[:]
    graph.node.extend(others)
    known = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in known]
    del graph.input[:]
    graph.input.extend(inputs)
    return model


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, declaring nothing that it does not use."""
    declare_only_what_is_used(model)
    return model


def dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """8-bit weights, and activations brought to 8 bits by their range in each frame."""
    with tempfile.TemporaryDirectory() as name:
        target = Path(name) / "dynamic.onnx"
        # Unsigned weights: ONNX Runtime's integer convolution takes three times as long for signed ones.
        quantize_dynamic(model, target, weight_type=QuantType.QUInt8)
        return onnx.load(target)


def fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """16-bit numbers inside; inputs and outputs as they were."""
    if not any(each.data_type == TensorProto.FLOAT for each in model.graph.initializer):
        raise CannotQuantiseError("it has no 32-bit weights")
    model = at_least_opset(model, OPSET_WITH_OPTIONAL_SIZES)
    leave_out_empty(model.graph)
    converted: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    drop_repeated(converted.graph)
    return converted


def leave_out_empty(graph: onnx.GraphProto) -> None:
    """Take empty constants from the Resize operators that need none: the converter makes something of them."""
    empty = {each.name for each in graph.initializer if 0 in each.dims}
    for node in graph.node:
        if node.op_type == "Resize":
            node.input[:] = ["" if name in empty else name for name in node.input]


def drop_repeated(graph: onnx.GraphProto) -> None:
    """Take out nodes that give what one before gives: the converter adds a cast anew for each user of a constant."""
    given: set[str] = set()
    kept = []
    for node in graph.node:
        if not given.issuperset(node.output):
            kept.append(node)
        given.update(node.output)
    del graph.node[:]
    graph.node.extend(kept)


def weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights of convolutions and matrix products as int8 with a scale for each channel, computed with as float32.

    They are unpacked by a Cast and a Mul, which ONNX Runtime computes once when it loads the file. It would keep a
    DequantizeLinear and compute that for every frame, which doubles the time.
    """
    graph = model.graph
    axes = weight_axes(graph)
    unpacking: list[onnx.NodeProto] = []
    for tensor in [each for each in graph.initializer if each.name in axes and is_worth_it(each)]:
        packed, scale = packed_by_channel(numpy_helper.to_array(tensor), axes[tensor.name])
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.extend(
            [numpy_helper.from_array(packed, f"{name}/int8"), numpy_helper.from_array(scale, f"{name}/scale")]
        )
        unpacking += [
            helper.make_node("Cast", [f"{name}/int8"], [f"{name}/float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}/float", f"{name}/scale"], [name]),
        ]
    if not unpacking:
        raise CannotQuantiseError("it has no 32-bit weights of convolutions or matrix products")
    nodes = [*unpacking, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def weight_axes(graph: onnx.GraphProto) -> dict[str, int]:
    """The names of all that operators take as their weights, and the axis of the channels there."""
    axes = {}
    for node in graph.node:
        if node.op_type in CHANNEL_AXIS and len(node.input) > 1:
            is_turned = any(each.name == "transB" and each.i for each in node.attribute)
            axes[node.input[1]] = 0 if is_turned else CHANNEL_AXIS[node.op_type]
    return axes


def is_worth_it(tensor: onnx.TensorProto) -> bool:
    """Whether these are 32-bit weights of some size."""
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and np.prod(tensor.dims) >= FEWEST_WEIGHTS


def packed_by_channel(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as int8, and the scale of each channel, shaped so that the product of both is the weights again."""
    others = tuple(place for place in range(values.ndim) if place != axis % values.ndim)
    scale = np.abs(values).max(axis=others, keepdims=True) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(values / scale).clip(-127, 127).astype(np.int8), scale


WAYS: dict[str, Callable[[Original, list[Sample], Bounds], Outcome]] = {
    "weights": made_by(weights, "weights"),
    "fp16": made_by(fp16, "fp16"),
    "dynamic": made_by(dynamic, "dynamic"),
    "static": static,
}
