# SPDX-License-Identifier: GPL-2.0-or-later
"""The known models. Each is one JSON file here, named after its id; nothing about a model is said in code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).resolve().parent
MAX_SIDE_PX = 1024

_ID = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}\.onnx")


class CatalogError(Exception):
    """A catalogue file is not what it must be; says which file and field."""


@dataclass(frozen=True)
class InputSpec:
    """What a model takes: one picture of ``height`` x ``width`` pixels, ``x = (pixel * scale - mean) / std``.

    ``tensor`` is the input's name in the graph (None: the first); ``layout`` NCHW or NHWC; ``channels`` RGB or BGR;
    ``mean`` and ``std`` have one number per channel, in that order.
    """

    tensor: str | None
    width: int
    height: int
    layout: str
    channels: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class OutputSpec:
    """What a model gives: ``kind`` is logits, probability or softmax_logits; ``channel`` is the person's.

    ``tensor`` is the output's name in the graph (None: the first); ``layout`` NCHW or NHWC.
    """

    tensor: str | None
    kind: str
    layout: str
    channel: int


@dataclass(frozen=True)
class ModelEntry:
    """One known model. ``file`` is a name in ``models/weights`` or in the user's folder of models."""

    id: str
    name: str
    file: str
    license: str
    source: str
    note: str
    input: InputSpec
    output: OutputSpec


def default_model_id() -> str:
    """The model that ships and runs when nobody chose another."""
    return "person_unet_256x144"


def load_catalog(folder: Path = FOLDER) -> dict[str, ModelEntry]:
    """All entries by id, in the order of their ids. Raises ``CatalogError`` for the first file that is wrong."""
    entries = {}
    for path in sorted(folder.glob("*.json")):
        entry = _load_entry(path)
        entries[entry.id] = entry
    return entries


def _load_entry(path: Path) -> ModelEntry:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        entry = _build(ModelEntry, values, _ENTRY_RULES)
    except (OSError, ValueError, RecursionError) as error:
        raise CatalogError(f"{path.name}: {error}") from None
    if entry.id != path.stem:
        raise CatalogError(f"{path.name}: id: expected {path.stem}, found {entry.id}")
    return entry


_Spec = TypeVar("_Spec", ModelEntry, InputSpec, OutputSpec)
_Rule = Callable[[Any], Any]  # returns the value, raises ValueError


def _build(kind: type[_Spec], values: object, rules: Mapping[str, _Rule]) -> _Spec:
    """A ``kind`` from a JSON object that has exactly its fields; ``ValueError`` names the field that is wrong."""
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, found {values!r:.50}")
    names = {field.name for field in fields(kind)}
    if odd := sorted(names ^ values.keys()):
        raise ValueError(f"{odd[0]}: {'missing' if odd[0] in names else 'unknown'}")
    checked = {}
    for name, rule in rules.items():
        try:
            checked[name] = rule(values[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return kind(**checked)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"expected a line of text, found {value!r:.50}")
    return value


def _matching(pattern: re.Pattern[str]) -> _Rule:
    def rule(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"expected {pattern.pattern}, found {value!r:.50}")
        return value

    return rule


def _one_of(*choices: str) -> _Rule:
    def rule(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, found {value!r:.50}")
        return str(value)

    return rule


def _whole(low: int, high: int) -> _Rule:
    def rule(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, found {value!r:.50}")
        return value

    return rule


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"expected a number, found {value!r:.50}")
    return float(value)


def _positive(value: Any) -> float:
    if _number(value) <= 0:
        raise ValueError(f"expected more than 0, found {value!r:.50}")
    return float(value)


def _three(rule: _Rule) -> _Rule:
    def three(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != 3:
            raise ValueError(f"expected three numbers, found {value!r:.50}")
        return tuple(rule(item) for item in value)

    return three


def _tensor_name(value: Any) -> str | None:
    return None if value is None else _text(value)


_LAYOUT = _one_of("NCHW", "NHWC")
_INPUT_RULES = {
    "tensor": _tensor_name,
    "width": _whole(1, MAX_SIDE_PX),
    "height": _whole(1, MAX_SIDE_PX),
    "layout": _LAYOUT,
    "channels": _one_of("RGB", "BGR"),
    "scale": _positive,
    "mean": _three(_number),
    "std": _three(_positive),
}
_OUTPUT_RULES = {
    "tensor": _tensor_name,
    "kind": _one_of("logits", "probability", "softmax_logits"),
    "layout": _LAYOUT,
    "channel": _whole(0, 4095),
}
_ENTRY_RULES = {
    "id": _matching(_ID),
    "name": _text,
    "file": _matching(_FILE),
    "license": _text,
    "source": _text,
    "note": _text,
    "input": lambda value: _build(InputSpec, value, _INPUT_RULES),
    "output": lambda value: _build(OutputSpec, value, _OUTPUT_RULES),
}
