# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user knows better about an own file than the rules of ``guess``: kept beside the trust store, by digest.

A choice is no trust: it only says how verified bytes are fed and read.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..filters.environment.folders import config_folder
from .atomic import replace_file
from .catalog import FEEDING_RULES, KINDS, rules
from .refusal import ModelRefused

FORMAT = 1
MAX_BYTES = 2**20

Chosen = dict[str, dict[str, Any]]  # {"input": fields of InputSpec, "output": fields of OutputSpec}

RULES: dict[str, dict[str, rules.Rule]] = {
    "input": {"tensor": rules.text, **FEEDING_RULES},
    "output": {
        "tensor": rules.text,
        "kind": rules.one_of(*dict.fromkeys((*KINDS, "saliency"))),
        "layout": FEEDING_RULES["layout"],
        "channel": rules.whole(0, 4095),
        "inverted": rules.yes_or_no,
    },
}


def store_path() -> Path:
    """Where the choices are kept."""
    return config_folder() / "choices.json"


def load_choices(sha256: str) -> Chosen:
    """What was chosen for the file of this digest; refuses (model.choices) a store that can't be used."""
    return _load().get(sha256, {})


def save_choices(sha256: str, chosen: Chosen) -> None:
    """Keep these choices for the file of this digest, in one step; an empty object forgets them.

    Refuses (model.choices) what the rules don't allow, and a store that can't be read or written.
    """
    path = store_path()
    store = _load()
    store[sha256] = checked(path.name, chosen)
    kept = {digest: item for digest, item in store.items() if item}
    content = json.dumps({"format": FORMAT, "choices": kept}, indent=2) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content.encode("ascii"))
    except OSError as error:
        raise ModelRefused("model.choices", file=path.name, detail=_reason(error)) from None


def parse_choice(text: str) -> Chosen:
    """One choice as a person writes it: ``input.channels=BGR``, ``output.channel=15``, ``input.mean=0.5,0.5,0.5``.

    Refuses (model.choices) what can't be chosen.
    """
    place, _, value = text.partition("=")
    side, _, name = place.strip().partition(".")
    if name not in RULES.get(side, {}):
        known = ", ".join(f"{side}.{name}" for side, fields in RULES.items() for name in fields)
        raise ModelRefused("model.choices", file=place, detail=f"expected one of {known}")
    return checked(place, {side: {name: _plain(value.strip())}})


def _plain(text: str) -> Any:
    """A number, a yes or no, a list of numbers, or the text as it is."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(f"[{text}]" if "," in text else text)
    return text


def _load() -> dict[str, Chosen]:
    path = store_path()
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ValueError("too large")
        store = json.loads(raw.decode("utf-8"))
        if not isinstance(store, dict) or store.get("format") != FORMAT or not isinstance(store.get("choices"), dict):
            raise ValueError(f"expected format {FORMAT}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused("model.choices", file=path.name, detail=_reason(error)) from None
    return {digest: checked(path.name, chosen) for digest, chosen in store["choices"].items()}


def checked(file: str, chosen: Mapping[str, Any]) -> Chosen:
    """The choices, each as its rule returns it."""
    checked: Chosen = {}
    if not isinstance(chosen, Mapping):
        raise ModelRefused("model.choices", file=file, detail=f"expected an object, found {chosen!r:.50}")
    for side, fields in chosen.items():
        if side not in RULES or not isinstance(fields, Mapping):
            raise ModelRefused("model.choices", file=file, detail=f"{side}: unknown")
        checked[side] = {}
        for name, value in fields.items():
            try:
                if name not in RULES[side]:
                    raise ValueError("unknown")
                value = list(value) if isinstance(value, tuple) else value
                checked[side][name] = RULES[side][name](value)
            except ValueError as error:
                raise ModelRefused("model.choices", file=file, detail=f"{side}.{name}: {error}") from None
    return checked


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) or type(error).__name__
