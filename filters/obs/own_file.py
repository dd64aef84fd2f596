# SPDX-License-Identifier: GPL-2.0-or-later
"""What the script's dialog asks about an ONNX file of the user's own: how it is fed, and which part of what it gives is
the mask. Each question is a list whose first entry leaves it to the engine's guess.

The answers are kept with those of ``models preview`` (:mod:`models.choices`), by the file's digest.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...models import trust
from ...models.catalog import CHANNELS, KINDS
from ...models.choices import Chosen
from ...models.onnx_ports import Port, Ports, planes_axis
from ..locale import text

AS_GUESSED, OTHER = "", "other"  # OTHER: something that ``models preview`` set, and no entry of the list says
SIZES = ("256x144", "320x192", "256x256", "320x320", "512x288", "512x512")
LAYOUTS = ("NCHW", "NHWC")
VALUES: dict[str, dict[str, Any]] = {
    "0_to_1": {"scale": 1 / 255, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
    "-1_to_1": {"scale": 1 / 127.5, "mean": [1.0, 1.0, 1.0], "std": [1.0, 1.0, 1.0]},
    "imagenet": {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "0_to_255": {"scale": 1.0, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
}
MAX_CHANNELS = 256
CHANNELS_IF_UNKNOWN = 21
MAX_SHORT = 20


class Facts(NamedTuple):
    """A file that passed the guard: its digest, its size in bytes, and what it takes and gives."""

    sha256: str
    size: int
    ports: Ports


class Guess(NamedTuple):
    """What the engine took for what, and why: the texts ``guess.about.*`` and ``guess.reason.*``, and the value."""

    about: str
    value: str
    reason: str


class Question(NamedTuple):
    """One list: its key (also of the script's settings), the entries (value, words), the answer, and why it is guessed
    so; no words where nothing is."""

    key: str
    entries: list[tuple[str, str]]
    answer: str
    why: str


def facts_of(path: Path) -> Facts:
    """Look at a file, once for as long as it does not change: a large one takes half a second, and OBS waits.

    Raises ModelRefused. Nothing here says that the file may run: the engine reads and hashes it again.
    """
    try:
        found = os.lstat(path)
        stamp: tuple[int, ...] = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    except OSError:
        stamp = ()
    return _facts_of(path, stamp)


@functools.lru_cache(maxsize=8)
def _facts_of(path: Path, _stamp: tuple[int, ...]) -> Facts:
    candidate = trust.look_at(path)
    return Facts(candidate.sha256, len(candidate.data), candidate.ports)


def questions(ports: Ports, guesses: Sequence[Guess], chosen: Chosen) -> list[Question]:
    """What can be asked about a file with these inputs and outputs. What its graph leaves no choice in is not asked."""
    guessed = {guess.about: guess for guess in guesses}
    picture = picture_of(ports, guessed)
    asked: list[tuple[str, str, list[tuple[str, str]]]] = []
    if picture is None or None in _sides(picture):
        asked.append(("own_size", "size", [(size, size) for size in SIZES]))
    if picture is None or planes_axis(picture.shape) is None:
        asked.append(("own_layout", "layout", [(layout, layout) for layout in LAYOUTS]))
    asked.append(("own_colours", "colours", [(order, order) for order in _colours(picture)]))
    asked.append(("own_values", "values", [(name, text(f"script.own_values.{name}")) for name in VALUES]))
    if len(ports.outputs) > 1:
        asked.append(("own_output", "output", [(port.name, str(port)) for port in ports.outputs]))
    asked.append(("own_kind", "kind", [(kind, text(f"script.own_kind.{kind}")) for kind in KINDS]))
    asked.append(("own_person", "person", _channels(ports)))
    return [_question(key, entries, guessed.get(about), chosen) for key, about, entries in asked]


def answered(answers: Mapping[str, str], before: Chosen) -> Chosen:
    """The choices that the answers (by key) mean; OTHER leaves what there was ``before``, and so does a key that is not
    there. Refuses (model.choices) what is no answer: settings are a file that anyone may have edited."""
    chosen: Chosen = {side: dict(before.get(side, {})) for side in ("input", "output")}
    for key, answer in answers.items():
        if answer == OTHER:
            continue
        side, names = _FIELDS[key]
        for name in names:
            chosen[side].pop(name, None)
        if answer != AS_GUESSED:
            try:
                chosen[side].update(_fields(key, answer))
            except (ValueError, KeyError):
                raise trust.ModelRefused("model.choices", file=key, detail=f"{answer!r:.50}") from None
    return {side: fields for side, fields in chosen.items() if fields}


def picture_of(ports: Ports, guessed: Mapping[str, Guess]) -> Port | None:
    """The input that takes the picture: the one that the engine says, or the only one."""
    named = [port for port in ports.inputs if "input" in guessed and port.name == guessed["input"].value]
    if named:
        return named[0]
    return ports.inputs[0] if len(ports.inputs) == 1 else None


_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "own_size": ("input", ("width", "height")),
    "own_layout": ("input", ("layout",)),
    "own_colours": ("input", ("channels",)),
    "own_values": ("input", ("scale", "mean", "std")),
    "own_output": ("output", ("tensor",)),
    "own_kind": ("output", ("kind",)),
    "own_person": ("output", ("channel", "inverted")),
}
KEYS = tuple(_FIELDS)


def _fields(key: str, answer: str) -> dict[str, Any]:
    if key == "own_size":
        width, height = answer.split("x")
        return {"width": int(width), "height": int(height)}
    if key == "own_values":
        return dict(VALUES[answer])
    if key == "own_person":
        number = answer.removeprefix("not ")
        return {"channel": int(number), "inverted": number != answer}
    return {_FIELDS[key][1][0]: answer}


def _question(key: str, entries: list[tuple[str, str]], guess: Guess | None, chosen: Chosen) -> Question:
    side, names = _FIELDS[key]
    present = {name: value for name, value in chosen.get(side, {}).items() if name in names}
    first, why = text("script.own_choice.guessed"), ""
    if guess and not present:
        why = text("script.own_choice.why", value=guess.value, reason=text(f"guess.reason.{guess.reason}"))
        first = text("script.own_choice.guessed_as", value=_short(guess))
    entries = [(AS_GUESSED, first), *entries]
    answer = next((value for value, _ in entries[1:] if _means(key, value, present)), OTHER) if present else AS_GUESSED
    if answer == OTHER:
        entries.append((OTHER, text("script.own_choice.other")))
    return Question(key, entries, answer, why)


def _short(guess: Guess) -> str:
    """A guess in few words: OBS makes the dialog as wide as the longest entry of a list."""
    if guess.about == "values":
        formulas = {
            f"(x * {each['scale']:.4g} - {each['mean']}) / {each['std']}": name for name, each in VALUES.items()
        }
        return text(f"script.own_values.{formulas[guess.value]}") if guess.value in formulas else "…"
    return guess.value if len(guess.value) <= MAX_SHORT else f"{guess.value[: MAX_SHORT - 1]}…"


def _means(key: str, answer: str, present: Mapping[str, Any]) -> bool:
    """Whether an entry says what was chosen; lists and tuples of numbers are alike."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in _fields(key, answer).items()}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in present.items()}
    return fields == {**({"inverted": False} if key == "own_person" else {}), **found}


def _sides(port: Port) -> tuple[int | None, ...]:
    """Height and width of a picture's input (None: any), as far as its layout is known; else all but the batch."""
    axis = planes_axis(port.shape)
    if axis is None:
        return port.shape[1:] if len(port.shape) == 4 else (None,)
    return port.shape[2:] if axis == 1 else port.shape[1:3]


def _colours(picture: Port | None) -> list[str]:
    """The orders of planes that the picture's input may have."""
    axis = planes_axis(picture.shape) if picture else None
    return [order for order in CHANNELS if picture is None or axis is None or len(order) == picture.shape[axis]]


def _channels(ports: Ports) -> list[tuple[str, str]]:
    """The numbers that the person may have, and for each that it is all but the person."""
    sides = [side for port in ports.outputs for side in _channel_sides(port)]
    count = max(sides, default=CHANNELS_IF_UNKNOWN)
    numbers = [str(number) for number in range(count if count > 1 else CHANNELS_IF_UNKNOWN)]
    return [*((number, number) for number in numbers), ("not 0", text("script.own_person.not_0"))]


def _channel_sides(port: Port) -> list[int]:
    """The sides of an output that can be a number of channels."""
    if len(port.shape) != 4:
        return []
    return sorted(side for side in (port.shape[1], port.shape[3]) if side is not None and side <= MAX_CHANNELS)[:1]
