# SPDX-License-Identifier: GPL-2.0-or-later
"""What a value in a catalogue file must look like: each rule returns the value, or raises ``ValueError``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

Rule = Callable[[Any], Any]
_Spec = TypeVar("_Spec")


def build(kind: type[_Spec], values: object, rules: Mapping[str, Rule]) -> _Spec:
    """A dataclass from a JSON object that has its fields; those with a default may be left out.

    ``ValueError`` names the field that is wrong.
    """
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, found {values!r:.50}")
    known = fields(kind)  # type: ignore[arg-type]
    needed = {field.name for field in known if field.default is MISSING}
    if missing := sorted(needed - values.keys()):
        raise ValueError(f"{missing[0]}: missing")
    if unknown := sorted(values.keys() - {field.name for field in known}):
        raise ValueError(f"{unknown[0]}: unknown")
    checked = {}
    for name, value in values.items():
        try:
            checked[name] = rules[name](value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return kind(**checked)


def text(value: Any) -> str:
    """One line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"expected a line of text, found {value!r:.50}")
    return value


def matching(pattern: str) -> Rule:
    """Text that the whole of ``pattern`` fits."""

    def rule(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"expected {pattern}, found {value!r:.50}")
        return value

    return rule


def one_of(*choices: str) -> Rule:
    """One of some words."""

    def rule(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, found {value!r:.50}")
        return str(value)

    return rule


def whole(low: int, high: int) -> Rule:
    """A whole number from ``low`` to ``high``."""

    def rule(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, found {value!r:.50}")
        return value

    return rule


def number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"expected a number, found {value!r:.50}")
    return float(value)


def positive(value: Any) -> float:
    """A finite number above zero."""
    if number(value) <= 0:
        raise ValueError(f"expected more than 0, found {value!r:.50}")
    return float(value)


def share(value: Any) -> float:
    """A number from 0 to 1."""
    if not 0 <= number(value) <= 1:
        raise ValueError(f"expected 0 to 1, found {value!r:.50}")
    return float(value)


def yes_or_no(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {value!r:.50}")
    return value


def three(rule: Rule) -> Rule:
    """Three of what ``rule`` takes."""

    def rule_of_three(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != 3:
            raise ValueError(f"expected three numbers, found {value!r:.50}")
        return tuple(rule(item) for item in value)

    return rule_of_three


def several(rule: Rule, most: int) -> Rule:
    """A list of up to ``most`` of what ``rule`` takes."""

    def rule_of_several(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"expected a list of up to {most}, found {value!r:.50}")
        return tuple(rule(item) for item in value)

    return rule_of_several


def optional(rule: Rule) -> Rule:
    """null, or what ``rule`` takes."""

    def rule_or_null(value: Any) -> Any:
        return None if value is None else rule(value)

    return rule_or_null
