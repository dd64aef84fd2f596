# SPDX-License-Identifier: GPL-2.0-or-later
"""A loaded graph's inputs and outputs: checked against a catalogue entry, or guessed for an own file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...models.catalog import InputSpec, OutputSpec
from ...models.trust import ModelRefused
from ..bridge.layout import MAX_SIDE_PX

DTYPES: dict[str, type[np.float32] | type[np.float16]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
SIZES_TO_TRY = ((256, 144), (256, 256), (320, 320), (512, 512))  # width, height, where a graph says none
RANGE_SLACK = 1e-3  # how far a probability may leave 0..1 through rounding
Dtype = type[np.float32] | type[np.float16]


def check_input(file: str, session: onnxruntime.InferenceSession, spec: InputSpec) -> tuple[str, Dtype]:
    """Name and dtype of the input that ``spec`` means; refuses (model.input_shape) if the graph differs."""
    port = _port(file, session.get_inputs(), spec.tensor, "model.input_shape")
    sides = (3, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, 3)
    expected = [1, *sides]
    found = [side if isinstance(side, int) else None for side in port.shape]
    fits = len(found) == 4 and all(side in (None, wanted) for side, wanted in zip(found, expected))
    if not fits or port.type not in DTYPES or len(session.get_inputs()) > 1:
        found_text = describe(session.get_inputs())
        raise ModelRefused("model.input_shape", file=file, expected=f"float {expected}", found=found_text)
    return port.name, DTYPES[port.type]


def output_name(file: str, session: onnxruntime.InferenceSession, spec: OutputSpec) -> str:
    """Name of the output that ``spec`` means; refuses (model.output_shape) if there is none such."""
    port = _port(file, session.get_outputs(), spec.tensor, "model.output_shape")
    axis = 1 if spec.layout == "NCHW" else 3
    channels = port.shape[axis] if len(port.shape) == 4 else 1
    if isinstance(channels, int) and spec.channel >= channels:
        expected = f"{spec.channel + 1} channels"
        raise ModelRefused("model.output_shape", file=file, expected=expected, found=describe([port]))
    return str(port.name)


def guess_inputs(file: str, session: onnxruntime.InferenceSession) -> tuple[str, Dtype, list[InputSpec]]:
    """Name, dtype and the specs to try of an own file's input: one RGB picture, values 0 to 1."""
    ports = session.get_inputs()
    shape = list(ports[0].shape) if ports else []
    layout = _guess_layout(shape)
    if len(ports) != 1 or layout is None or ports[0].type not in DTYPES:
        expected = "one float picture [1, 3, height, width] or [1, height, width, 3]"
        raise ModelRefused("model.input_shape", file=file, expected=expected, found=describe(ports))
    height, width = (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])
    sizes = [(_side(width, w), _side(height, h)) for w, h in SIZES_TO_TRY]
    sizes = [size for size in dict.fromkeys(sizes) if max(size) <= MAX_SIDE_PX]
    if not sizes:
        expected = f"sides of 1 to {MAX_SIDE_PX} pixels"
        raise ModelRefused("model.input_shape", file=file, expected=expected, found=describe(ports))
    ones = (1.0, 1.0, 1.0)
    specs = [InputSpec(None, w, h, layout, "RGB", 1 / 255, (0.0, 0.0, 0.0), ones) for w, h in sizes]
    return ports[0].name, DTYPES[ports[0].type], specs


def guess_output(
    file: str, session: onnxruntime.InferenceSession, outputs: list[NDArray[Any]]
) -> tuple[str, OutputSpec]:
    """Name and spec of the first output that can be a mask, from what the self-test picture gave."""
    for port, values in zip(session.get_outputs(), outputs):
        found = _guess_channels(values)
        if found is None:
            continue
        layout, channels = found
        in_range = float(values.min()) >= -RANGE_SLACK and float(values.max()) <= 1 + RANGE_SLACK
        kind = "probability" if in_range else "logits" if channels == 1 else "softmax_logits"
        return port.name, OutputSpec(None, kind, layout, channels - 1)
    expected = "a picture with 1 or 2 channels"
    found_text = describe(session.get_outputs())
    raise ModelRefused("model.output_shape", file=file, expected=expected, found=found_text)


def describe(ports: list[Any]) -> str:
    """Inputs or outputs as text, such as ``x float [1, 3, 144, 256]``."""
    texts = []
    for port in ports:
        sides = ", ".join(str(side) if isinstance(side, int) else "?" for side in port.shape)
        texts.append(f"{port.name} {str(port.type)[7:-1]} [{sides}]")
    return ", ".join(texts)[:200] or "none"


def _port(file: str, ports: list[Any], name: str | None, code: str) -> Any:
    for port in ports:
        if name is None or port.name == name:
            return port
    raise ModelRefused(code, file=file, expected=name or "a tensor", found=describe(ports))


def _guess_layout(shape: list[Any]) -> str | None:
    if len(shape) != 4 or (isinstance(shape[0], int) and shape[0] != 1):
        return None
    if shape[1] == 3:
        return "NCHW"
    return "NHWC" if shape[3] == 3 else None


def _side(found: Any, otherwise: int) -> int:
    return found if isinstance(found, int) and found > 0 else otherwise


def _guess_channels(values: NDArray[Any]) -> tuple[str, int] | None:
    """Layout and number of channels if an output can be a mask."""
    if values.dtype not in (np.float32, np.float16) or not np.isfinite(values).all():
        return None
    if values.ndim == 3 and values.shape[0] == 1 and min(values.shape[1:]) > 2:
        return "NCHW", 1
    if values.ndim == 4 and values.shape[0] == 1:
        if values.shape[1] <= 2 < min(values.shape[2:]):
            return "NCHW", values.shape[1]
        if values.shape[3] <= 2 < min(values.shape[1:3]):
            return "NHWC", values.shape[3]
    return None
