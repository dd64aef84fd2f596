# SPDX-License-Identifier: GPL-2.0-or-later
"""8-bit copies of a float ONNX file, and the choice between them by measured quality.

Static quantisation (QDQ) with 8-bit activations and per-channel 7-bit weights, so that no processor without VNNI
saturates. Everything up to the first and from the last convolution on stays in float: with 3 and 1 channels they gain
nothing from 8 bits, and the logits keep their resolution. The ranges of the activations are found in several ways; a
copy ships only if it loses no more than `Bounds` allow on pictures that it was not calibrated on.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
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
    """Calibration data for ONNX Runtime: pictures as float32 [1,3,H,W], a few at a time."""

    def __init__(self, input_name: str, pictures: torch.Tensor) -> None:
        self._input_name, self._pictures = input_name, pictures
        self.set_range(0, len(pictures))

    def __len__(self) -> int:
        return len(self._pictures)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these pictures."""
        self._left = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Next feed, or None at the end of the range."""
        index = next(self._left, None)
        return None if index is None else {self._input_name: as_input(self._pictures[index])}


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


def quantise(source: Path, target: Path, pictures: torch.Tensor, method: CalibrationMethod) -> None:
    """Write the 8-bit copy of a float ONNX file, calibrated on uint8 pictures [N,3,H,W].

    CannotQuantiseError if ONNX Runtime fails on the graph, or it has no convolution left to quantise.
    """
    prepared = target.with_suffix(".prepared.onnx")
    count = len(pictures) - len(pictures) % FRAMES_AT_ONCE
    try:
        with _quiet():
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            quantize_static(
                str(prepared), str(target), Feeds(graph.input[0].name, pictures[:count]), quant_format=QuantFormat.QDQ,
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the quantiser prints and logs, which is for its developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def choose(folder: Path, float_file: Path, calibration: torch.Tensor, held_out: Samples, bounds: Bounds) -> Path:
    """Quantise in several ways into `folder`, measure each copy, print a line on each, and return the file to ship.

    That is the float file if every copy breaks a bound or none can be made.
    """
    reference = measure_file(float_file, held_out)
    print(f"held out: float            {reference}", flush=True)
    best, best_score = float_file, -1.0
    for method in METHODS:
        candidate = folder / f"int8-{method.name}.onnx"
        try:
            quantise(float_file, candidate, calibration, method)
        except CannotQuantiseError as reason:
            print(f"8 bits are not possible for this network: {reason}", flush=True)
            break
        quality = measure_file(candidate, held_out)
        broken = bounds.broken_by(quality, reference)
        verdict = f"  refused: {'; '.join(broken)}" if broken else ""
        print(f"held out: int8 {method.name:<11} {quality}{verdict}", flush=True)
        score = quality.person_iou + quality.boundary_f - quality.mad
        if not broken and score > best_score:
            best, best_score = candidate, score
    print(
        "the file holds 8-bit numbers" if best != float_file else "the file holds float32 numbers: no 8-bit copy ships"
    )
    return best
