# SPDX-License-Identifier: GPL-2.0-or-later
"""What went wrong, untranslated: a code for the locale files and the numbers and names to put into their sentence."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

Param = str | int | float

_CODE = re.compile(r"(?=.{3,80}$)[a-z]+(\.[a-z_]+)+")
_PARAM_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MAX_NUMBER = 2**64
_ELLIPSIS = "…"


class BridgeError(Exception):
    """The other side's bytes are not what the bridge allows.

    ``code`` is ``bridge.…``; ``params`` names what was expected and what was found. Codes and parameters:
    ``bridge.magic``, ``bridge.version`` (expected, found); ``bridge.size``, ``bridge.field`` (field, expected, found);
    ``bridge.owner`` (expected, found); ``bridge.segment`` (name, reason); ``bridge.space`` (needed_mb, free_mb);
    ``bridge.message`` (reason, text).
    """

    def __init__(self, code: str, **params: Param) -> None:
        super().__init__(code, params)
        self.code = code
        self.params: dict[str, Param] = params

    def __str__(self) -> str:
        return f"{self.code}: " + ", ".join(f"{name} {value}" for name, value in self.params.items())


@dataclass(frozen=True)
class Problem:
    """A problem on its way to the user: locale key ``problem.<code>``, and parameters for ``str.format``."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_problem(self.as_dict())

    def as_dict(self) -> dict[str, Param]:
        """One flat object: ``{"code": …, parameter: value, …}``."""
        return {"code": self.code, **self.params}

    def to_json(self, max_bytes: int) -> bytes:
        """UTF-8 JSON of at most ``max_bytes``: long texts are cut short, the longest first."""
        values = self.as_dict()
        while len(line := _json_bytes(values)) > max_bytes:
            name = max((key for key in values if key != "code"), key=lambda key: len(str(values[key])), default=None)
            text = str(values[name]) if name is not None else ""
            if name is None or len(text) < 2:
                return _json_bytes({"code": self.code})[:max_bytes]
            keep = max(len(text) - max(len(line) - max_bytes, 8), len(text) // 2) - 1
            values[name] = text[: max(keep, 0)] + _ELLIPSIS
        return line


def problem_from_json(line: bytes) -> Problem:
    """The problem in ``line`` (UTF-8 JSON); ``bridge.field`` if it is anything else."""
    try:
        values = load_json(line.decode("utf-8"))
    except ValueError as error:
        raise BridgeError("bridge.field", field="problem", expected="JSON", found=str(error)[:100]) from None
    return problem_from_dict(values)


def problem_from_dict(values: object) -> Problem:
    """The problem in a decoded JSON object; ``bridge.field`` if it isn't one."""
    checked = check_problem(values)
    params = {name: value for name, value in checked.items() if name != "code"}
    return Problem(str(checked["code"]), params)


def check_problem(values: object) -> dict[str, Param]:
    """``values`` if it is a flat object with a code and parameters; ``bridge.field`` otherwise."""
    if not isinstance(values, dict):
        _refuse("an object", type(values).__name__)
    code = values.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        _refuse("a code like device.unavailable", repr(code))
    for name, value in values.items():
        if not isinstance(name, str) or not _PARAM_NAME.fullmatch(name):
            _refuse("names of small letters", repr(name))
        if not _is_param(value):
            _refuse(f"text or a finite number as {name}", repr(value))
    return values


def _refuse(expected: str, found: str) -> NoReturn:
    raise BridgeError("bridge.field", field="problem", expected=expected, found=found[:100])


def _is_param(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return -_MAX_NUMBER <= value <= _MAX_NUMBER and math.isfinite(value)
    return isinstance(value, str)


def _json_bytes(values: Mapping[str, Param]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")


def load_json(text: str) -> Any:
    """``json.loads`` that raises ``ValueError`` for everything it can't take: nesting bombs, NaN, endless digits."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
