# SPDX-License-Identifier: GPL-2.0-or-later
"""How to talk to a network: the names in its graph, and what goes in and comes out there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...models import feeding
from ...models.catalog import ConstantSpec, InputSpec, ModelEntry, OutputSpec, StateSpec
from ...models.choices import Chosen
from ...models.trust import ModelRefused
from .prepare import Dtype

DTYPES: dict[str, Dtype] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
TYPES_IN_WORDS = "float32, float16 or uint8"
AS_BYTES = (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # scale, mean and std of an input that takes the bytes themselves

Choices = Mapping[str, Mapping[str, Any]]  # see ``choices.Chosen``


@dataclass(frozen=True)
class State:
    """One thing that a recurrent network remembers: the output that becomes an input, and what stands there first."""

    input: str
    output: str
    start: NDArray[Any]


@dataclass(frozen=True)
class Guess:
    """One thing about an own file that nobody told us: the texts ``guess.about.*`` and ``guess.reason.*``, and it."""

    about: str
    value: str
    reason: str


@dataclass(frozen=True)
class Ports:
    """Names and meaning of a network's inputs and outputs.

    For an own file ``choices`` is what the user said of it, and ``guesses`` where everything is from.
    """

    input_name: str
    output_name: str
    input: InputSpec
    output: OutputSpec
    dtype: Dtype
    states: tuple[State, ...] = ()
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)
    guesses: tuple[Guess, ...] = ()

    @property
    def remembers(self) -> bool:
        """Whether what a frame leaves goes into the next: states, or its mask."""
        return bool(self.states) or self.input.takes_mask


def ports_of_entry(file: str, session: onnxruntime.InferenceSession, entry: ModelEntry) -> Ports:
    """The ports that a catalogue entry tells, and before it the file itself; refuses what the graph does not confirm.

    Codes: model.feeding, model.input_shape, model.input_type, model.more_inputs, model.output_shape.
    """
    said = said_by(file, session)
    takes, gives = replace(entry.input, **said.get("input", {})), replace(entry.output, **said.get("output", {}))
    name, dtype = check_input(file, session, takes)
    states = tuple(check_state(file, session, spec) for spec in entry.recurrence)
    constants = {spec.input: check_constant(file, session, spec) for spec in entry.constants}
    known = {name, *constants, *(state.input for state in states)}
    refuse_unknown(file, [port for port in session.get_inputs() if port.name not in known])
    return Ports(name, output_name(file, session, gives), takes, gives, dtype, states, constants)


def said_by(file: str, session: onnxruntime.InferenceSession) -> Chosen:
    """What the file says itself of how it is fed and read; refuses (model.feeding) what can't be used."""
    return feeding.read(session.get_modelmeta().custom_metadata_map, file)


def as_choices(ports: Ports) -> Chosen:
    """Everything that can be chosen of an own file, or said by a file of itself, as these ports have it."""
    takes, gives = ports.input, ports.output
    return {
        "input": {
            "tensor": ports.input_name,
            "width": takes.width,
            "height": takes.height,
            "layout": takes.layout,
            "channels": takes.channels,
            "scale": takes.scale,
            "mean": takes.mean,
            "std": takes.std,
        },
        "output": {
            "tensor": ports.output_name,
            "kind": gives.kind,
            "layout": gives.layout,
            "channel": gives.channel,
            "inverted": gives.inverted,
        },
    }


def check_input(file: str, session: onnxruntime.InferenceSession, spec: InputSpec) -> tuple[str, Dtype]:
    """Name and dtype of the input that ``spec`` means; refuses model.input_shape, .input_type."""
    port = find_port(file, session.get_inputs(), spec.tensor, "model.input_shape")
    planes = len(spec.channels)
    sides = (planes, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, planes)
    expected = [1, *sides]
    found = [side if isinstance(side, int) else None for side in port.shape]
    if len(found) != 4 or any(side not in (None, wanted) for side, wanted in zip(found, expected)):
        raise ModelRefused("model.input_shape", file=file, expected=str(expected), found=describe([port]))
    dtype = dtype_of(file, port)
    if dtype is np.uint8 and (spec.scale, spec.mean, spec.std) != AS_BYTES:
        raise ModelRefused("model.input_type", file=file, expected="float32 or float16", found=describe([port]))
    return port.name, dtype


def dtype_of(file: str, port: Any) -> Dtype:
    """The type of number that an input takes; refuses (model.input_type) what can't be given."""
    if port.type not in DTYPES:
        raise ModelRefused("model.input_type", file=file, expected=TYPES_IN_WORDS, found=describe([port]))
    return DTYPES[port.type]


def check_state(file: str, session: onnxruntime.InferenceSession, spec: StateSpec) -> State:
    """What the entry says that the network remembers, found in the graph; its first value is zeros."""
    port = find_port(file, session.get_inputs(), spec.input, "model.input_shape")
    find_port(file, session.get_outputs(), spec.output, "model.output_shape")
    return State(spec.input, spec.output, filled(file, port, spec.shape, 0.0))


def check_constant(file: str, session: onnxruntime.InferenceSession, spec: ConstantSpec) -> NDArray[Any]:
    """The tensor for an input that never changes."""
    port = find_port(file, session.get_inputs(), spec.input, "model.input_shape")
    return filled(file, port, spec.shape, spec.value)


def filled(file: str, port: Any, shape: tuple[int, ...], value: float) -> NDArray[Any]:
    """``shape`` full of ``value``, in the type that the input takes; refuses (model.input_shape) what it does not."""
    fits = len(shape) == len(port.shape) and all(not isinstance(s, int) or s == w for s, w in zip(port.shape, shape))
    if not fits:
        raise ModelRefused("model.input_shape", file=file, expected=str(list(shape)), found=describe([port]))
    return np.full(shape, value, dtype_of(file, port))


def refuse_unknown(file: str, ports: list[Any]) -> None:
    """Refuse (model.more_inputs) a network that wants more than we can give."""
    if ports:
        raise ModelRefused("model.more_inputs", file=file, found=describe(ports))


def output_name(file: str, session: onnxruntime.InferenceSession, spec: OutputSpec) -> str:
    """Name of the output that ``spec`` means; refuses (model.output_shape) if there is none such."""
    port = find_port(file, session.get_outputs(), spec.tensor, "model.output_shape")
    axis = 1 if spec.layout == "NCHW" else 3
    channels = port.shape[axis] if len(port.shape) == 4 and spec.kind != "classes" else None
    if isinstance(channels, int) and spec.channel >= channels:
        expected = f"{spec.channel + 1} channels"
        raise ModelRefused("model.output_shape", file=file, expected=expected, found=describe([port]))
    return str(port.name)


def find_port(file: str, ports: list[Any], name: str | None, code: str) -> Any:
    """The port of that name, or the first without one; refuses with ``code`` if there is none such."""
    for port in ports:
        if name is None or port.name == name:
            return port
    raise ModelRefused(code, file=file, expected=name or "a tensor", found=describe(ports))


def describe(ports: list[Any]) -> str:
    """Inputs or outputs as text, such as ``x float [1, 3, 144, 256]``."""
    texts = []
    for port in ports:
        sides = ", ".join(str(side) if isinstance(side, int) else "?" for side in port.shape)
        texts.append(f"{port.name} {str(port.type)[7:-1]} [{sides}]")
    return ", ".join(texts)[:200] or "none"
