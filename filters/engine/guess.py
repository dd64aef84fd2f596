# SPDX-License-Identifier: GPL-2.0-or-later
"""What an own file's network takes and gives: read from the graph, guessed by the rules below, said with reasons.

1. The picture is the input with four sides of which the second (NCHW) or the last (NHWC) is 3, or the one called like
   a picture; where the graph leaves these sides open, both layouts are tried.
2. An input called like an output, as r1i and r1o, is what the network remembers: zeros before the first frame.
   ``downsample_ratio`` is 1. Any other further input is refused.
3. The size is the graph's; sides that it leaves open are tried, smallest first.
4. Colours are red, green, blue. Values are 0 to 1; uint8 takes the bytes; seven equal one-channel outputs are U2-Net's,
   which takes ImageNet's mean and deviation.
5. The mask is an output with the picture's proportions and a number of channels that has a meaning (``PERSON_OF``); one
   that is called like a mask before others, then the largest, then the first.
6. Whole numbers are classes. Two or more channels that add up to 1 are probabilities, others are before the softmax.
   One channel is a probability if it stays within 0 to 1 on the test pictures, else a logit; U2-Net's is stretched.

What the file says of itself (``models.feeding``) takes the place of each of these, and what the user chose
(``choices``) the place of that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession as Session

from ...models.catalog import InputSpec, OutputSpec
from ...models.onnx_ports import planes_axis
from ...models.trust import ModelRefused
from ..bridge.layout import MAX_SIDE_PX
from ..locale import text
from .ports import Choices, Guess, Ports, State, describe, dtype_of, filled, find_port, refuse_unknown, said_by
from .prepare import Dtype, make_preparer
from .runtime_errors import plain_words
from .sample_pictures import noise_picture, self_test_picture

SIZES_TO_TRY = ((256, 144), (320, 192), (256, 256), (320, 320), (512, 512))  # width, height; multiples of 16, 64, 256…
PICTURE_NAMES = re.compile(r"src|image|img|picture|input|pixel_values|data|x", re.IGNORECASE)
MASK_NAMES = re.compile(r"pha|alpha|mask|matte|seg|prob|logit|d0|pred", re.IGNORECASE)
COLOUR_NAMES = re.compile(r"fgr|foreground|rgb|image", re.IGNORECASE)
STATE_NAMES = ((r"i$", "o"), (r"_in$", "_out"), (r"^in_", "out_"), (r"input", "output"), (r"past", "present"))
CONSTANTS = {"downsample_ratio": 1.0}  # RobustVideoMatting: our pictures are small already
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
U2NET_OUTPUTS = 7
RANGE_SLACK = 1e-3  # how far a probability may leave 0..1 through rounding
BYTE_MASK_FROM = 151  # a uint8 above any class number: a mask of 0 to 255
PROPORTION_SLACK = 0.2  # 33 of 257 is not quite an eighth
COARSEST = 40  # a mask may be this many times smaller than the picture


class Classes(NamedTuple):
    """What a number of channels usually means: which one is the person, or (``inverted``) the background."""

    channel: int
    reason: str
    inverted: bool = False


PERSON_OF = {
    1: Classes(0, "one_channel"),
    2: Classes(1, "two_channels"),
    6: Classes(0, "mediapipe_classes", inverted=True),
    19: Classes(11, "cityscapes_classes"),
    21: Classes(15, "voc_classes"),
    150: Classes(12, "ade_classes"),
}


class Trial(NamedTuple):
    """A way to feed the network that worked, and what each output said to the test pictures."""

    spec: InputSpec
    outputs: list[list[NDArray[Any]]]


class Candidate(NamedTuple):
    """An output that may be the mask."""

    port: Any
    layout: str
    channels: int
    values: list[NDArray[Any]]


class Told(NamedTuple):
    """What needs no guess about input or output: fields that the file says, and those that the user chose."""

    said: Mapping[str, Any]
    chosen: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """All of them; the user's word is the last."""
        return {**self.said, **self.chosen}

    def reasons(self, guesses: Mapping[str, Guess], belongs: Mapping[str, str]) -> list[Guess]:
        """The guesses, with the reason of those that were told; ``belongs`` names the guess that a field is part of."""
        reasons = dict.fromkeys((belongs.get(name, name) for name in self.said), "said")
        reasons |= dict.fromkeys((belongs.get(name, name) for name in self.chosen), "chosen")
        return [replace(guess, reason=reasons.get(name, guess.reason)) for name, guess in guesses.items()]


def guess_ports(file: str, session: Session, choices: Choices) -> Ports:
    """The ports of an own file's network, each guess with its reason.

    Refuses: model.input_rank, .input_shape, .input_type, .more_inputs, .open_size, .self_test, .no_mask, .choices,
    .feeding.
    """
    said = said_by(file, session)
    told_in, told_out = (Told(said.get(side, {}), choices.get(side, {})) for side in ("input", "output"))
    port = picture_port(file, session, told_in.values.get("tensor"))
    states, constants = other_inputs(file, session, port.name)
    dtype = dtype_of(file, port)
    specs = [replace(spec, **told_in.values) for spec in specs_to_try(file, session, port, dtype)]
    feed = {**constants, **{state.input: state.start for state in states}}
    trial = try_out(file, session, port, list(dict.fromkeys(specs)), dtype, feed)
    remembered = {state.output for state in states}
    output, reasons = guess_output(file, session, trial, remembered, told_out)
    guesses = [*input_guesses(port, trial.spec, dtype, session, told_in), *reasons]
    guesses += [Guess("remembers", f"{state.input}, {state.output}", "names") for state in states]
    guesses += [Guess("constant", f"{name} {CONSTANTS[name]}", "known_name") for name in constants]
    return Ports(port.name, str(output.tensor), trial.spec, output, dtype, states, constants, choices, tuple(guesses))


def in_words(guess: Guess) -> str:
    """A guess as one line for people."""
    return f"{text(f'guess.about.{guess.about}')}: {guess.value} ({text(f'guess.reason.{guess.reason}')})"


# What goes in


def picture_port(file: str, session: Session, name: str | None) -> Any:
    """Rule 1: the input that takes the picture."""
    ports = session.get_inputs()
    if name is not None:
        return find_port(file, ports, name, "model.input_shape")
    pictures = [port for port in ports if layouts_of(port.shape)]
    colours, with_mask = ([port for port in pictures if planes_in(port.shape) == planes] for planes in (3, 4))
    no_states = [port for port in pictures if not state_output(port.name, session, set())]
    likely = [port for port in with_mask if port in no_states]
    pool = colours or likely or no_states or pictures
    if pool:
        return next((port for port in pool if PICTURE_NAMES.match(port.name)), pool[0])
    if all(len(port.shape) != 4 for port in ports):
        ranks = ", ".join(str(len(port.shape)) for port in ports) or "0"
        raise ModelRefused("model.input_rank", file=file, sides=ranks, found=describe(ports))
    expected = "[1, 3, height, width] or [1, height, width, 3], with a mask 4 in place of 3"
    raise ModelRefused("model.input_shape", file=file, expected=expected, found=describe(ports))


def layouts_of(shape: list[Any]) -> tuple[str, ...]:
    """The layouts in which an input of this shape can be a picture: three colours, perhaps a mask beside them."""
    if len(shape) != 4 or (isinstance(shape[0], int) and shape[0] != 1):
        return ()
    axis = planes_axis(shape)
    if axis is not None:
        return ("NCHW",) if axis == 1 else ("NHWC",)
    can_be = (("NCHW", shape[1]), ("NHWC", shape[3]))
    return tuple(layout for layout, colours in can_be if not isinstance(colours, int))


def planes_in(shape: list[Any]) -> int | None:
    """How many planes a picture of this shape has, 3 or 4; None if the graph leaves it open."""
    axis = planes_axis(shape)
    return None if axis is None else int(shape[axis])


def other_inputs(file: str, session: Session, picture: str) -> tuple[tuple[State, ...], dict[str, NDArray[Any]]]:
    """Rule 2: what stands beside the picture; refuses (model.more_inputs) what no rule knows."""
    states: list[State] = []
    constants: dict[str, NDArray[Any]] = {}
    unknown, taken = [], {picture}
    for port in session.get_inputs():
        if port.name == picture:
            continue
        shape = tuple(side if isinstance(side, int) else 1 for side in port.shape)
        output = state_output(port.name, session, taken)
        if port.name in CONSTANTS:
            constants[port.name] = filled(file, port, shape, CONSTANTS[port.name])
        elif output is not None:
            taken.add(output)
            states.append(State(port.name, output, filled(file, port, shape, 0.0)))
        else:
            unknown.append(port)
    refuse_unknown(file, unknown)
    return tuple(states), constants


def state_output(name: str, session: Session, taken: set[str]) -> str | None:
    """The output that is called like the input ``name``, if there is one."""
    outputs = {port.name.partition(":")[0]: port.name for port in session.get_outputs() if port.name not in taken}
    base = name.partition(":")[0]
    for pattern, replacement in STATE_NAMES:
        renamed = re.sub(pattern, replacement, base)
        if renamed != base and renamed in outputs:
            return str(outputs[renamed])
    return None


def specs_to_try(file: str, session: Session, port: Any, dtype: Dtype) -> list[InputSpec]:
    """Rules 1, 3 and 4: the ways to feed a picture, the likeliest first."""
    scale, mean, std = 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if dtype is np.uint8:
        scale = 1.0
    elif is_u2net(session):
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    channels = "RGBM" if planes_in(port.shape) == 4 else "RGB"
    specs = []
    for layout in layouts_of(port.shape) or ("NCHW", "NHWC"):
        height, width = port.shape[2:] if layout == "NCHW" else port.shape[1:3]
        sizes = [(side_or(width, w), side_or(height, h)) for w, h in SIZES_TO_TRY]
        fitting = [(w, h) for w, h in sizes if max(w, h) <= MAX_SIDE_PX]
        specs += [InputSpec(None, w, h, layout, channels, scale, mean, std) for w, h in fitting]
    if not specs:
        expected = f"sides of 1 to {MAX_SIDE_PX} pixels"
        raise ModelRefused("model.input_shape", file=file, expected=expected, found=describe([port]))
    return specs


def side_or(found: Any, otherwise: int) -> int:
    """A side that the graph tells, or the other number where it leaves it open."""
    return found if isinstance(found, int) and found > 0 else otherwise


def is_u2net(session: Session) -> bool:
    """Whether the outputs are those of U2-Net (arXiv 2005.09007): d0 to d6, of one channel and one size."""
    shapes = [tuple(map(str, port.shape)) for port in session.get_outputs()]
    one_channel = all(len(port.shape) == 4 and port.shape[1] == 1 for port in session.get_outputs())
    same = all(shape[0] == shapes[0][0] and len(shape) == 4 for shape in shapes)
    return len(shapes) == U2NET_OUTPUTS and one_channel and same


def try_out(
    file: str, session: Session, port: Any, specs: list[InputSpec], dtype: Dtype, feed: dict[str, NDArray[Any]]
) -> Trial:
    """Feed the test pictures in each way until one works."""
    failure: Exception | None = None
    for spec in specs:
        preparer = make_preparer(spec, dtype)
        pictures = (self_test_picture(spec.width, spec.height), noise_picture(spec.width, spec.height))
        try:
            runs = [session.run(None, {**feed, port.name: preparer.fill(picture)}) for picture in pictures]
        except Exception as error:  # ONNX Runtime has no common base class: this way may not suit the graph
            failure = failure or error
            continue
        return Trial(spec, [list(values) for values in zip(*runs)])
    detail = plain_words(failure) if failure else ""
    if len(specs) == 1:
        raise ModelRefused("model.self_test", file=file, detail=detail)
    tried = ", ".join(dict.fromkeys(f"{spec.width}x{spec.height}" for spec in specs))
    raise ModelRefused("model.open_size", file=file, found=describe([port]), tried=tried, detail=detail)


def input_guesses(port: Any, spec: InputSpec, dtype: Dtype, session: Session, told: Told) -> list[Guess]:
    """Why the input is taken for what it is."""
    is_certain = len(layouts_of(port.shape)) == 1
    sides = port.shape[2:] if spec.layout == "NCHW" else port.shape[1:3]
    planes_reason = "colours_and_mask" if spec.takes_mask else "three_colours"
    size_reason = "graph" if all(isinstance(side, int) for side in sides) else "first_that_works"
    values = "bytes" if dtype is np.uint8 else "u2net" if is_u2net(session) else "usual"
    scale = f"(x * {spec.scale:.4g} - {list(spec.mean)}) / {list(spec.std)}"
    picked = {
        "tensor": Guess("input", port.name, "only_picture"),
        "layout": Guess("layout", spec.layout, planes_reason if is_certain else "first_that_works"),
        "width": Guess("size", f"{spec.width}x{spec.height}", size_reason),
        "channels": Guess("colours", spec.channels, planes_reason if spec.takes_mask else "usual"),
        "scale": Guess("values", scale, values),
    }
    return told.reasons(picked, {"height": "width", "mean": "scale", "std": "scale"})


# What comes out


def guess_output(
    file: str, session: Session, trial: Trial, remembered: set[str], told: Told
) -> tuple[OutputSpec, list[Guess]]:
    """Rules 5 and 6: the output that is the mask, and what its numbers mean."""
    chosen = told.values
    found = candidates(session, trial, remembered, chosen)
    if not found:
        raise ModelRefused("model.no_mask", file=file, found=describe(session.get_outputs()))
    best = max(found, key=likeness)  # the first of equals
    kind, kind_reason = kind_of(best, is_u2net(session))
    classes = classes_of(best, kind)
    spec = OutputSpec(best.port.name, kind, best.layout, classes.channel, classes.inverted)
    spec = replace(spec, **({"inverted": False} if "channel" in chosen else {}) | dict(chosen))
    top = best.channels if spec.kind != "classes" else 4096
    if spec.channel >= top:
        detail = f"channel {spec.channel} of {top}"
        raise ModelRefused("model.choices", file=file, detail=detail)
    which = "only_mask" if len(found) == 1 else "called_mask" if MASK_NAMES.search(best.port.name) else "largest_mask"
    person = f"{'not ' if spec.inverted else ''}{spec.channel}"
    reasons = {
        "tensor": Guess("output", best.port.name, which),
        "kind": Guess("kind", spec.kind, kind_reason),
        "channel": Guess("person", person, classes.reason),
    }
    return spec, told.reasons(reasons, {"inverted": "channel"})


def candidates(session: Session, trial: Trial, remembered: set[str], chosen: Mapping[str, Any]) -> list[Candidate]:
    """The outputs that can be a mask; with a choice, that one alone, whatever its number of channels."""
    found = []
    for port, values in zip(session.get_outputs(), trial.outputs):
        if chosen.get("tensor", port.name) != port.name or port.name in remembered:
            continue
        if not all(isinstance(value, np.ndarray) and is_sound(value) for value in values):
            continue
        planes = planes_of(values[0].shape, trial.spec)
        if planes and (planes[1] in PERSON_OF or "channel" in chosen):
            found.append(Candidate(port, *planes, values))
    return found


def is_sound(values: NDArray[Any]) -> bool:
    """Whether these are numbers, and finite."""
    return values.dtype.kind in "fiub" and bool(np.isfinite(values).all())


def planes_of(shape: tuple[int, ...], spec: InputSpec) -> tuple[str, int] | None:
    """Layout and number of channels of an output that has the picture's proportions."""
    if len(shape) == 4 and shape[0] != 1:
        return None
    sides = shape[1:] if len(shape) == 4 else shape
    if len(sides) == 2:
        return ("NCHW", 1) if has_proportions(sides, spec) else None
    if len(sides) != 3:
        return None
    if has_proportions(sides[1:], spec):
        return "NCHW", sides[0]
    return ("NHWC", sides[2]) if has_proportions(sides[:2], spec) else None


def has_proportions(sides: tuple[int, ...], spec: InputSpec) -> bool:
    """Whether a height and width are the picture's, or the same part of both."""
    rows, columns = spec.height / max(sides[0], 1), spec.width / max(sides[1], 1)
    return max(rows, columns) <= COARSEST and abs(rows / columns - 1) <= PROPORTION_SLACK


def likeness(candidate: Candidate) -> tuple[bool, bool, int]:
    """How much an output looks like the mask: greater is better."""
    name = candidate.port.name
    size = candidate.values[0].size // candidate.channels
    return bool(MASK_NAMES.search(name)), not COLOUR_NAMES.search(name), size


def kind_of(candidate: Candidate, is_u2: bool) -> tuple[str, str]:
    """Rule 6: what the numbers are, and why."""
    values = candidate.values
    least, most = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    if values[0].dtype.kind in "iub":
        is_mask = values[0].dtype == np.uint8 and most >= BYTE_MASK_FROM
        return ("probability", "bytes") if is_mask else ("classes", "whole_numbers")
    if is_u2:
        return "saliency", "u2net"
    in_range = least >= -RANGE_SLACK and most <= 1 + RANGE_SLACK
    if candidate.channels == 1:
        return ("probability", "within_0_1") if in_range else ("logits", "beyond_0_1")
    axis = -3 if candidate.layout == "NCHW" else -1
    adds_up = all(np.allclose(v.sum(axis=axis, dtype=np.float32), 1.0, atol=1e-2) for v in values)
    if in_range and adds_up:
        return "probability", "adds_up_to_1"
    is_apart = in_range and candidate.channels == 2
    return ("probability", "within_0_1") if is_apart else ("softmax_logits", "does_not_add_up")


def classes_of(candidate: Candidate, kind: str) -> Classes:
    """Rules 5 and 6: the person's channel, or its number."""
    if kind != "classes":
        return PERSON_OF.get(candidate.channels, Classes(0, "one_channel"))
    most = max(int(values.max()) for values in candidate.values)
    return Classes(15, "voc_numbers") if most > 1 else Classes(1, "two_numbers")
