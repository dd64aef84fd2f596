# SPDX-License-Identifier: GPL-2.0-or-later
"""The last steps to an ONNX file that the engine takes: shapes, versions, what it was made of, the guard's look."""

from __future__ import annotations

import onnx
import onnxruntime

from ....filters.cli import models as commands
from ....filters.cli.errors import CommandError
from ....filters.engine import providers
from ....filters.engine.runtime_errors import load_refusal
from ... import onnx_guard
from ...refusal import ModelRefused
from .source import NEWEST_IR


def finished(model: onnx.ModelProto, made_of: dict[str, str]) -> bytes:
    """The bytes of a model with all shapes inferred, checked, in deterministic order.

    ``made_of`` is what the file says about its origin. CommandError if the model is no valid ONNX.
    """
    used = {node.domain for node in model.graph.node}
    versions = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(versions)
    model.ir_version = min(model.ir_version, NEWEST_IR)
    onnx.helper.set_model_props(model, made_of)
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise CommandError(f"The result is no valid ONNX: {first_line(error)}") from error
    return bytes(model.SerializeToString(deterministic=True))


def open_as_engine(data: bytes, file: str) -> onnxruntime.InferenceSession:
    """A session on the CPU of what the engine would not refuse. CommandError says why it would."""
    try:
        onnx_guard.check(data, file)
        try:
            return providers.open_session(data, "cpu")
        except Exception as error:  # ONNX Runtime has no common base class for its exceptions
            raise load_refusal(file, error) from None
    except ModelRefused as refusal:
        raise CommandError(f"The engine would refuse the result. {commands.words(refusal)}") from refusal


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
