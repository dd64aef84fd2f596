# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks of other projects whose answers serve as labels or as a yardstick.

A teacher takes one picture (uint8 RGB, HxWx3) and gives a person alpha (float32, HxW, 0..1) of the same size. What a
network takes and gives is data: its entry in the models' catalogue. The files lie in a folder of the user's; none of
them is part of this repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from ...filters.cli.errors import CommandError
from ...filters.cli.models import words
from .. import feeding
from ..catalog import InputSpec, ModelEntry, OutputSpec, load_catalog
from ..refusal import ModelRefused
from .pictures import Alpha, Picture

Tensor = NDArray[np.float32]

FRAME_FOR_COST = (640, 360)  # what networks of any size are shown when their cost is measured
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


@dataclass(frozen=True)
class AnySize:
    """For networks that take any size: sides are multiples of `multiple`, the long one from `smallest` to `largest`."""

    smallest: int
    largest: int
    multiple: int


@dataclass(frozen=True)
class Description:
    """What a network takes and gives, in the catalogue's terms (`InputSpec`, `OutputSpec`), and its licence.

    `sizes` is for networks of any size, whose `input` has width and height 0. A recurrent network has `memory`, its
    state's input names by output names, and sees the same picture `passes` times: what it remembers settles.
    """

    file: str
    licence: str
    input: InputSpec
    output: OutputSpec
    sizes: AnySize | None = None
    memory: Mapping[str, str] = field(default_factory=dict)
    passes: int = 1


# Lin et al. 2022, Robust High-Resolution Video Matting (arXiv:2108.11515), in pictures of any shape.
RVM, RVM_ENTRY, RVM_SIZES = "rvm", "rvm_mobilenetv3_tf", AnySize(320, 448, 16)


def from_catalogue(entry: ModelEntry) -> Description:
    """A model of the catalogue as a teacher."""
    memory = {state.output: state.input for state in entry.recurrence}
    passes = 2 if memory else 1
    return Description(entry.file, entry.license, entry.input, entry.output, memory=memory, passes=passes)


def known_teachers() -> dict[str, Description]:
    """Robust Video Matting at any size, and all models of the catalogue that take nothing but pictures, by name."""
    known = {name: from_catalogue(entry) for name, entry in load_catalog().items() if not entry.constants}
    return {RVM: replace(known[RVM_ENTRY], sizes=RVM_SIZES), **known}


def describe(name: str) -> Description:
    """The description of a teacher; CommandError lists the known names."""
    known = known_teachers()
    if name in known:
        return known[name]
    raise CommandError(f"There is no teacher “{name}”. Known are {', '.join(known)}.", 2)


def as_it_says(session: onnxruntime.InferenceSession, description: Description) -> Description:
    """The description, corrected by what the file says itself of how it is fed; CommandError if that is damaged."""
    try:
        said = feeding.read(session.get_modelmeta().custom_metadata_map, description.file)
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal
    takes = replace(description.input, **said.get("input", {}))
    return replace(description, input=takes, output=replace(description.output, **said.get("output", {})))


def find_file(description: Description, models: Path) -> Path | None:
    """The teacher's file in the folder `models` or in one of those in it; None where there is none."""
    return next((path for path in (models / description.file, *sorted(models.glob(f"*/{description.file}")))
                 if path.is_file()), None)  # fmt: skip


def open_teacher(name: str, models: Path, threads: int = 1) -> Teacher:
    """A teacher by name, with its file from the folder `models`."""
    description = describe(name)
    path = find_file(description, models) or find_file(description, WEIGHTS)
    if path is None:
        missing = models / description.file
        raise CommandError(f"There is no file {missing}. Name the folder that holds it, with --models or in [distill].")
    return Teacher(path, description, threads)


def own_network(path: Path) -> Teacher:
    """A network that `train export` wrote, or any with one NCHW RGB input in 0..1 and logits; else CommandError."""
    try:
        shape = open_session(path).get_inputs()[0].shape
    except Exception as error:  # ONNX Runtime's have no common class of their own
        raise CommandError(f"{path}: can't be opened as an ONNX model: {str(error).splitlines()[0]}") from error
    if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape):
        raise CommandError(f"{path}: expected an input of [1, 3, height, width], found {shape}")
    takes = InputSpec(None, shape[3], shape[2], "NCHW", "RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    licence = next((each.value for each in onnx.load(path).metadata_props if each.key == "licence"), "?")
    return Teacher(path, Description(path.name, licence, takes, OutputSpec(None, "logits", "NCHW", 0)))


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU with a fixed number of threads that do not spin while idle."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Teacher:
    """A described network, ready to run; several threads may use one. Fits `evaluate.Measurable`.

    `session` is ONNX Runtime's, `input` the picture's input there, `input_shape` its sides as the file says them
    (numbers, or names where any size goes).
    """

    def __init__(self, path: Path, description: Description, threads: int = 1) -> None:
        self.path = path
        try:
            self.session = open_session(path, threads)
        except Exception as error:  # ONNX Runtime's have no common class of their own
            raise CommandError(f"{path} can't be opened as an ONNX model: {error}") from error
        self.description = description = as_it_says(self.session, description)
        inputs = {port.name: port for port in self.session.get_inputs()}
        name = description.input.tensor or next(iter(inputs))
        outputs = [port.name for port in self.session.get_outputs()]
        self._output = description.output.tensor or outputs[0]
        missing = {name, *description.memory.values()} - inputs.keys() | {self._output, *description.memory} - {
            *outputs
        }
        if missing:
            raise CommandError(f"{path} has no tensor {', '.join(sorted(missing))}: it is not the expected network.")
        self.input = inputs[name]

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()

    @property
    def licence(self) -> str:
        """The network's licence."""
        return self.description.licence

    @property
    def input_shape(self) -> list[int | str]:
        """The sides of the input tensor in the file."""
        return list(self.input.shape)

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height at which the network sees a picture of this size."""
        sizes = self.description.sizes
        if sizes is None:
            return self.description.input.width, self.description.input.height
        scale = float(np.clip(max(width, height), sizes.smallest, sizes.largest)) / max(width, height)
        step = sizes.multiple
        return max(step, round(width * scale / step) * step), max(step, round(height * scale / step) * step)

    def prepare(self, picture_rgb: Picture) -> Tensor:
        """The input tensor of a picture (uint8 RGB, HxWx3, any size)."""
        height, width = picture_rgb.shape[:2]
        size = self.input_size(width, height)
        sizes = self.description.sizes
        # The area filter, but where a network of any size gets no smaller picture.
        method = cv2.INTER_AREA if sizes is None or max(width, height) > sizes.largest else cv2.INTER_CUBIC
        small = np.asarray(cv2.resize(picture_rgb, size, interpolation=method), np.float32)
        spec = self.description.input
        small = small if spec.channels == "RGB" else small[:, :, ::-1]
        values = (small * np.float32(spec.scale) - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
        return np.ascontiguousarray((values if spec.layout == "NHWC" else values.transpose(2, 0, 1))[None], np.float32)

    def feed(self, tensor: Tensor) -> dict[str, Tensor]:
        """All inputs for one run: the tensor, and an empty memory where the network has one."""
        empty = np.zeros((1, 1, 1, 1), np.float32)
        return {self.input.name: tensor, **dict.fromkeys(self.description.memory.values(), empty)}

    def feed_for_cost(self) -> dict[str, Tensor]:
        """Inputs for one run: noise, and a recurrent network's memory as it is after a first frame."""
        width, height = FRAME_FOR_COST
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        feed = self.feed(self.prepare(noise))
        memory = self.description.memory
        if memory:
            feed.update(zip(memory.values(), self.session.run(list(memory), feed), strict=True))
        return feed

    def first_and_last(self, picture_rgb: Picture) -> tuple[Alpha, Alpha]:
        """The alphas after the first and after the last pass, float32 HxW in 0..1; the same if there is only one."""
        memory = self.description.memory
        names = [self._output, *memory]
        feed = self.feed(self.prepare(picture_rgb))
        results = []
        for _ in range(self.description.passes):
            answer, *state = self.session.run(names, feed)
            feed.update(zip(memory.values(), state, strict=True))
            results.append(answer)
        height, width = picture_rgb.shape[:2]
        last = _to_alpha(results[-1], self.description.output, (width, height))
        return (_to_alpha(results[0], self.description.output, (width, height)) if len(results) > 1 else last), last

    def predict(self, picture_rgb: Picture) -> Alpha:
        """Alpha of all people, float32 HxW in 0..1, for a picture (uint8 RGB, HxWx3)."""
        return self.first_and_last(picture_rgb)[1]

    __call__ = predict


def _to_alpha(answer: Tensor, spec: OutputSpec, size: tuple[int, int]) -> Alpha:
    """The person's channel of a network's answer as an alpha of `size` (width, height)."""
    channels = answer[0] if spec.layout == "NCHW" else answer[0].transpose(2, 0, 1)
    if spec.kind == "softmax_logits":
        powers = np.exp(channels - channels.max(axis=0))
        plane = powers[spec.channel] / powers.sum(axis=0)
    else:
        plane = channels[spec.channel]
    plane = cv2.resize(np.ascontiguousarray(plane, np.float32), size, interpolation=cv2.INTER_LINEAR)
    # One logit is enlarged before the sigmoid, as in the engine: edges stay sharper.
    alpha = 1 / (1 + np.exp(-np.clip(plane, -30, 30))) if spec.kind == "logits" else np.clip(plane, 0, 1)
    return np.asarray(alpha, np.float32)
