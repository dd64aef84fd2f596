# SPDX-License-Identifier: GPL-2.0-or-later
"""What ONNX Runtime says when it can't load or run a model, in plain words."""

from __future__ import annotations

import re

import onnxruntime

from ...models.refusal import ModelRefused

MOST_LETTERS = 200

MISSING_OPERATOR = (
    re.compile(r"No Op registered for (?P<operator>\w+)"),
    re.compile(r"(?:Fatal error: )?(?P<operator>\S+) is not a registered function/op"),
    re.compile(r"Could not find an implementation for (?P<operator>\w+\(\d+\))"),
)
CLUTTER = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:This is an invalid model\. )?"
    r"|\S+\.(?:h|cc|cpp):\d+ .*?\) "  # where in its source, and in which function
    r"|Non-zero status code returned while (?=running)|Status Message: "
)
NEWER_OPSET = re.compile(r"Opset (?P<found>\d+) is under development.*?till opset (?P<expected>\d+)", re.DOTALL)
NEWER_FORMAT = re.compile(r"Unsupported model IR version: (?P<found>\d+), max supported IR version: (?P<expected>\d+)")


def load_refusal(file: str, error: Exception) -> ModelRefused:
    """The refusal that tells why a model did not load: model.operator, .opset, .ir_version, .load_failed."""
    text = str(error)
    if found := NEWER_FORMAT.search(text):
        return ModelRefused("model.ir_version", file=file, **found.groupdict())
    if found := NEWER_OPSET.search(text):
        return ModelRefused("model.opset", file=file, **found.groupdict())
    for pattern in MISSING_OPERATOR:
        if found := pattern.search(text):
            version = onnxruntime.__version__
            return ModelRefused("model.operator", file=file, operator=found["operator"], version=version)
    return ModelRefused("model.load_failed", file=file, detail=plain_words(error))


def plain_words(error: BaseException) -> str:
    """An exception as one short line, without codes and places in source files."""
    line = (str(error).strip().splitlines() or [""])[0]
    return CLUTTER.sub("", line)[:MOST_LETTERS] or type(error).__name__
