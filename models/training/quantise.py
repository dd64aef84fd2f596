# SPDX-License-Identifier: GPL-2.0-or-later
"""8-bit copies of a float ONNX file, and the choice between them by measured quality.

Static quantisation (QDQ) with 8-bit activations and per-channel 7-bit weights, so that no processor without VNNI
saturates. Everything up to the first and from the last convolution on stays in float: with 3 and 1 channels they gain
nothing from 8 bits, and the logits keep their resolution. The ranges of the activations are found in several ways; a
copy ships only if it loses no more than `Bounds` allow on pictures that it was not calibrated on. `train export` uses
this for our networks, `models quantize` for any.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from .metrics import MaskMetrics
from .repeat import double_by_repeating
from .teachers import open_session

METHODS = (CalibrationMethod.MinMax, CalibrationMethod.Percentile, CalibrationMethod.Entropy)
# Calibration keeps all activations of this many frames in memory; for a large U-Net some 500 MB each.
FRAMES_AT_ONCE = 2
CONVOLUTIONS = ("Conv", "ConvTranspose")
OPSET_PER_CHANNEL = 13  # the first with a scale for each channel
NEWEST_IR = 10  # of the file format; older runtimes refuse newer ones

Feed = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Samples:
    """Pictures uint8 RGB [N,3,H,W] of the network's input size and targets uint8 [N,1,h,w], alpha 0..255."""

    pictures: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Quality:
    """Means over pictures, all in 0..1: person IoU, boundary F at 2 pixels, mean absolute difference."""

    person_iou: float
    boundary_f: float
    mad: float

    def __str__(self) -> str:
        return f"IoU {self.person_iou:.4f}  boundary F {self.boundary_f:.4f}  MAD {1000 * self.mad:5.1f}"


@dataclass(frozen=True)
class Bounds:
    """How much worse than the float network an 8-bit copy may be, in each measure."""

    person_iou: float = 0.003
    boundary_f: float = 0.01
    mad: float = 0.002

    def broken_by(self, found: Quality, reference: Quality) -> list[str]:
        """The measures in which `found` falls too far behind `reference`, in words; empty if it may ship."""
        losses = {
            "IoU": (reference.person_iou - found.person_iou, self.person_iou),
            "boundary F": (reference.boundary_f - found.boundary_f, self.boundary_f),
            "MAD": (found.mad - reference.mad, self.mad),
        }
        # Written so that a loss that is no number breaks the bound.
        return [
            f"{name} worse by {loss:.4f}, allowed {bound:.4f}"
            for name, (loss, bound) in losses.items()
            if not loss <= bound
        ]


class CannotQuantiseError(Exception):
    """ONNX Runtime can't make an 8-bit copy of this network; says why."""


class Feeds(CalibrationDataReader):  # type: ignore[misc]  # comes untyped
    """Calibration data for ONNX Runtime, a few at a time: `feed_of(place)` is all inputs of one run, by name.

    Of `count` feeds, those are left out that don't fill a whole turn of `FRAMES_AT_ONCE`.
    """

    def __init__(self, count: int, feed_of: Callable[[int], Feed]) -> None:
        self._count, self._feed_of = count - count % FRAMES_AT_ONCE, feed_of
        self.set_range(0, self._count)

    def __len__(self) -> int:
        return self._count

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these."""
        self._left = iter(range(start_index, end_index))

    def get_next(self) -> Feed | None:
        """Next feed, or None at the end of the range."""
        index = next(self._left, None)
        return None if index is None else self._feed_of(index)


def feeds_of(model: Path, pictures: torch.Tensor) -> Feeds:
    """Feeds for a file of `train export`: uint8 pictures [N,3,H,W]."""
    name = onnx.load(model).graph.input[0].name
    return Feeds(len(pictures), lambda index: {name: as_input(pictures[index])})


def as_input(picture: torch.Tensor) -> NDArray[np.float32]:
    """What the network takes, float32 [1,3,H,W] in 0..1, of a uint8 picture [3,H,W]."""
    return np.asarray(picture.numpy()[None], np.float32) / np.float32(255)


def run_onnx(model: Path, pictures: torch.Tensor) -> torch.Tensor:
    """Logits float32 [N,1,h,w] of an ONNX file for uint8 pictures [N,3,H,W], one by one on one thread."""
    session = open_session(model)
    name = session.get_inputs()[0].name
    return torch.from_numpy(np.concatenate([session.run(None, {name: as_input(one)})[0] for one in pictures]))


def measure_file(model: Path, samples: Samples) -> Quality:
    """Quality of an ONNX file on pictures with targets; the logits are upsampled before the sigmoid."""
    metrics = MaskMetrics()
    for start in range(0, len(samples.pictures), 32):
        part = slice(start, start + 32)
        metrics.update(run_onnx(model, samples.pictures[part]), samples.targets[part])
    found = metrics.compute()
    return Quality(*(found.get(name, float("nan")) for name in ("person_iou", "boundary_f", "mad")))


def quantise(source: Path, target: Path, feeds: Feeds, method: CalibrationMethod) -> None:
    """Write the 8-bit copy of a float ONNX file, calibrated on `feeds`.

    CannotQuantiseError if ONNX Runtime fails on the graph, or it has no convolution left to quantise.
    """
    prepared = target.with_suffix(".prepared.onnx")
    feeds.set_range(0, len(feeds))
    try:
        with quietly():
            onnx.save(at_least_opset(onnx.load(source), OPSET_PER_CHANNEL), prepared)
            quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            quantize_static(
                str(prepared), str(target), feeds, quant_format=QuantFormat.QDQ,
                per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                nodes_to_exclude=nodes_in_float(graph), calibrate_method=method,
                extra_options={"CalibStridedMinMax": FRAMES_AT_ONCE},
            )  # fmt: skip
        model = onnx.load(target)
        double_by_repeating(model)
        onnx.save(model, target)
        open_session(target)
    except CannotQuantiseError:
        raise
    except Exception as error:  # ONNX Runtime's quantiser has no common base class for its exceptions
        lines = str(error).splitlines() or [type(error).__name__]
        raise CannotQuantiseError(f"ONNX Runtime's quantiser failed: {lines[0]}") from error
    finally:
        prepared.unlink(missing_ok=True)


def nodes_in_float(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes up to the first convolution and from the last one on; CannotQuantiseError if that is all."""
    places = [place for place, node in enumerate(graph.node) if node.op_type in CONVOLUTIONS]
    if len(places) < 3:
        raise CannotQuantiseError(f"it has {len(places)} convolutions, and the first and the last stay in float")
    return [node.name for place, node in enumerate(graph.node) if not places[0] < place < places[-1]]


def at_least_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model itself, or if its operator set is older, one that computes the same in that set."""
    found = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    return model if found >= opset else onnx.version_converter.convert_version(model, opset)


def declare_only_what_is_used(model: onnx.ModelProto) -> None:
    """Take out operator sets that no node uses: the quantiser declares some that older runtimes don't know."""
    used = {"", "ai.onnx"} | {node.domain for node in model.graph.node}
    versions = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(versions)
    model.ir_version = min(model.ir_version, NEWEST_IR)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without what the quantiser prints and logs, which is for its developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def choose(folder: Path, float_file: Path, feeds: Feeds, measure: Callable[[Path], Quality], bounds: Bounds) -> Path:
    """Quantise in several ways into `folder`, measure each copy, print a line on each, and return the best.

    That is the float file if every copy breaks a bound or none can be made. `measure` gives a file's quality on
    pictures that are not among the `feeds`.
    """
    reference = measure(float_file)
    print(f"held out: float            {reference}", flush=True)
    best, best_score = float_file, -1.0
    for method in METHODS:
        candidate = folder / f"int8-{method.name}.onnx"
        try:
            quantise(float_file, candidate, feeds, method)
        except CannotQuantiseError as reason:
            print(f"8 bits are not possible for this network: {reason}", flush=True)
            break
        quality = measure(candidate)
        broken = bounds.broken_by(quality, reference)
        verdict = f"  refused: {'; '.join(broken)}" if broken else ""
        print(f"held out: int8 {method.name:<11} {quality}{verdict}", flush=True)
        score = quality.person_iou + quality.boundary_f - quality.mad
        if not broken and score > best_score:
            best, best_score = candidate, score
    return best
