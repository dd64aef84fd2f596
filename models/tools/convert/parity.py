# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a converted network computes what the original does: both get the same pictures, and must answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from ....filters.cli.models import words
from ....filters.cli.preview import SAMPLE
from ....filters.cli.table import table
from ....filters.engine.guess import guess_ports
from ....filters.engine.output import AlphaDecoder, OutputError
from ....filters.engine.ports import Ports, ports_of_entry
from ....filters.engine.prepare import make_preparer
from ....filters.engine.sample_pictures import noise_picture, self_test_picture
from ...catalog import ModelEntry
from ...refusal import ModelRefused
from ...training.pictures import PictureError, read_picture, resize
from .source import Feed

MASK_THRESHOLD = 128  # of 255
LEAST_RANGE = 1e-3  # an output that is nearly zero everywhere is all rounding
NOISE_FEEDS = 3
ELEMENTS: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}

Answers = Sequence[NDArray[Any]]


class Bounds(NamedTuple):
    """How far answers may be apart: part of an output's largest value, and part of the mask's pixels."""

    difference: float
    flips: float


@dataclass(frozen=True)
class OutputParity:
    """One output over all pictures: largest and mean absolute difference, and the largest absolute value expected."""

    name: str
    largest: float
    mean: float
    range: float

    def is_within(self, bounds: Bounds) -> bool:
        """Written so that a difference that is no number is not within."""
        return self.largest <= bounds.difference * max(LEAST_RANGE, self.range)


@dataclass(frozen=True)
class Parity:
    """How two runtimes compare; ``flips`` is the share of mask pixels that change sides at .5, None without a mask."""

    outputs: tuple[OutputParity, ...]
    flips: float | None
    feeds: int

    def is_within(self, bounds: Bounds) -> bool:
        """Whether no output and no mask is further apart than allowed."""
        return all(output.is_within(bounds) for output in self.outputs) and (self.flips or 0.0) <= bounds.flips

    def __str__(self) -> str:
        rows = [("output", "largest difference", "mean difference", "largest value")]
        rows += [(each.name, f"{each.largest:.1e}", f"{each.mean:.1e}", f"{each.range:.3g}") for each in self.outputs]
        flips = (
            "no mask was found in the outputs" if self.flips is None else f"{self.flips:.4%} of the mask's pixels flip"
        )
        return f"{table(rows, numbers=(1, 2, 3))}\n{flips}"


class Examples(NamedTuple):
    """What a network is tried on, and how its mask is read (None: nobody knows)."""

    feeds: list[Feed]
    ports: Ports | None
    about: str


def make_examples(
    session: onnxruntime.InferenceSession, file: str, entry: ModelEntry | None, pictures: Sequence[Path]
) -> Examples:
    """Feeds for a network: pictures if it takes a picture as the engine would give it, otherwise seeded noise.

    ``entry`` says how it is fed; without one that is guessed as for an own file. A recurrent network gets each picture
    twice: the second time with what it remembers of the first. CommandError for a picture that can't be read, and for a
    network that does not fit its entry.
    """
    try:
        ports = ports_of_entry(file, session, entry) if entry else guess_ports(file, session, {})
    except ModelRefused as refusal:
        if entry or pictures:
            raise CommandError(f"The result can't be fed with pictures. {words(refusal)}") from refusal
        return Examples(noise_feeds(session), None, f"{NOISE_FEEDS} tensors of noise")
    frames = frames_of(ports, pictures)
    preparer = make_preparer(ports.input, ports.dtype)
    feeds: list[Feed] = []
    for frame in frames:
        feed = {**ports.constants, ports.input_name: np.array(preparer.fill(frame))}
        feed |= {state.input: state.start for state in ports.states}
        feeds.append(feed)
        if ports.states:
            remembered = session.run([state.output for state in ports.states], feed)
            feeds.append(feed | {state.input: value for state, value in zip(ports.states, remembered)})
    return Examples(feeds, ports, f"{len(frames)} pictures")


def frames_of(ports: Ports, pictures: Sequence[Path]) -> list[NDArray[np.uint8]]:
    """The pictures as RGBA frames of the input's size; without any the demo's portrait, a drawn person and noise."""
    width, height = ports.input.width, ports.input.height
    try:
        frames = [
            np.asarray(cv2.cvtColor(resize(read_picture(path), (width, height)), cv2.COLOR_BGR2RGBA), np.uint8)
            for path in pictures or [SAMPLE]
        ]
    except PictureError as error:
        raise CommandError(str(error)) from error
    return frames if pictures else [*frames, self_test_picture(width, height), noise_picture(width, height)]


def noise_feeds(session: onnxruntime.InferenceSession) -> list[Feed]:
    """Seeded noise in 0..1 (whole numbers: 0..255) for each input; sides that are open are 1."""
    random = np.random.default_rng(0)

    def tensor(port: Any) -> NDArray[Any]:
        shape = [side if isinstance(side, int) and side > 0 else 1 for side in port.shape]
        dtype = np.dtype(ELEMENTS.get(port.type, np.float32))
        return (random.random(shape) * (255 if dtype.kind in "iu" else 1)).astype(dtype)

    return [{port.name: tensor(port) for port in session.get_inputs()} for _ in range(NOISE_FEEDS)]


def compare(names: Sequence[str], expected: Sequence[Answers], found: Sequence[Answers], ports: Ports | None) -> Parity:
    """Compare the answers to each feed, output by output, and the masks they make.

    CommandError if an answer has another shape than expected.
    """
    outputs = []
    for place, name in enumerate(names):
        pairs = [
            (np.asarray(one[place], np.float64), np.asarray(other[place], np.float64))
            for one, other in zip(expected, found)
        ]
        for one, other in pairs:
            if one.shape != other.shape:
                sides = f"expected {list(one.shape)}, found {list(other.shape)}"
                raise CommandError(f"The converted network's output {name} has another shape: {sides}")
        differences = [np.abs(one - other) for one, other in pairs]
        outputs.append(
            OutputParity(
                name,
                float(np.max([difference.max(initial=0) for difference in differences])),
                float(np.mean([difference.mean() for difference in differences])),
                float(np.max([np.abs(one).max(initial=0) for one, _ in pairs])),
            )
        )
    return Parity(tuple(outputs), share_of_flips(names, expected, found, ports), len(expected))


def share_of_flips(
    names: Sequence[str], expected: Sequence[Answers], found: Sequence[Answers], ports: Ports | None
) -> float | None:
    """The share of pixels, over all masks, that are person in one and background in the other; None without masks."""
    if ports is None or ports.output_name not in names:
        return None
    place = list(names).index(ports.output_name)
    decoder = AlphaDecoder(ports.output, ports.input.width, ports.input.height)
    try:
        flips = [
            np.mean(
                np.array(decoder.decode(one[place]) >= MASK_THRESHOLD)
                != (decoder.decode(other[place]) >= MASK_THRESHOLD)
            )
            for one, other in zip(expected, found)
        ]
    except OutputError as error:
        raise CommandError(f"The converted network's mask can't be read: {error}") from error
    return float(np.mean(flips))
