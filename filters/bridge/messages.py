# SPDX-License-Identifier: GPL-2.0-or-later
"""The control line: one JSON object per line, ASCII, from OBS to the engine (``op``) and back (``event``)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .problems import BridgeError, Problem, check_problem, load_json
from .segment import check_name

MAX_LINE = 4000  # bytes, with the line's end
WAKE = b"\n"  # an empty line: look at the frame slots
DEVICES = ("auto", "cpu", "cuda", "tensorrt", "directml", "coreml", "openvino")
LOG_LEVELS = ("error", "warning", "info", "debug")
AUTOMATIC = "auto"  # as a model: the engine chooses one; before its id in the status: it was chosen so
STEPS = ("measuring", "checking", "loading", "warming", "")  # on a model's way into memory; the last: it is over
MAX_FPS = 1000.0

_MAX_TEXT = 3000
_MAX_STREAM = 2**31 - 1
_PROBLEM_BYTES = 1000  # in UTF-8


def encode(message: Mapping[str, Any]) -> bytes:
    """The line for ``message``. The text of a log event and the parameters of a problem are cut to fit.

    Raises ``BridgeError`` (``bridge.message``) for what ``decode`` would refuse.
    """
    values = dict(message)
    if values.get("event") == "log" and isinstance(values.get("text"), str):
        values["text"] = _cut_ascii(values["text"], MAX_LINE - 100)
    if isinstance(values.get("problem"), Problem):
        values["problem"] = _cut_problem(values["problem"], MAX_LINE - 100)
    _check(values)
    line = json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + WAKE
    if len(line) > MAX_LINE:
        raise _error(f"longer than {MAX_LINE} bytes", line)
    return line


def decode(line: bytes) -> dict[str, Any]:
    """The message in ``line``, every field checked; an empty dict for an empty line, the wake-up.

    Raises ``BridgeError`` (``bridge.message``) for anything else.
    """
    if len(line) > MAX_LINE:
        raise _error(f"longer than {MAX_LINE} bytes", line)
    if not line.strip():
        return {}
    try:
        values = load_json(line.decode("ascii"))
    except ValueError as error:
        raise _error(str(error), line) from None
    if not isinstance(values, dict):
        raise _error("not an object", line)
    _check(values)
    return values


def _is_stream(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MAX_STREAM


def _is_stream_or_none(value: object) -> bool:
    return (value == 0 and type(value) is int) or _is_stream(value)


def _is_pid(value: object) -> bool:
    return type(value) is int and 0 < value < 2**32


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_model(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.removeprefix("file:") != ""


def _is_fps(value: object) -> bool:
    return type(value) in (int, float) and 1 <= value <= MAX_FPS  # type: ignore[operator]


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _is_guesses(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_texts(item) and len(item) == 3 for item in value)


def _is_segment(value: object) -> bool:
    return isinstance(value, str) and _passes(check_name, value)


def _is_problem(value: object) -> bool:
    return _passes(check_problem, value)


def _passes(check: Callable[[Any], object], value: object) -> bool:
    try:
        check(value)
    except BridgeError:
        return False
    return True


_Form = dict[str, Callable[[Any], bool]]
_STREAM: _Form = {"stream": _is_stream}
_MODEL: _Form = {"model": _is_model, "device": DEVICES.__contains__}
_FORMS: dict[tuple[str, str], _Form] = {
    ("op", "open"): {**_STREAM, "segment": _is_segment, **_MODEL},
    ("op", "model"): {**_STREAM, **_MODEL},
    ("op", "close"): _STREAM,
    ("op", "video"): {"fps": _is_fps},
    ("op", "measure"): {"device": DEVICES.__contains__},
    ("event", "hello"): {
        "pid": _is_pid,
        "version": _is_text,
        "onnxruntime": _is_text,
        "providers": _is_texts,
    },
    ("event", "opened"): _STREAM,
    ("event", "problem"): {"stream": _is_stream_or_none, "problem": _is_problem},
    ("event", "loading"): {**_STREAM, "model": _is_text, "step": STEPS.__contains__},
    ("event", "guesses"): {"sha256": _is_digest, "guesses": _is_guesses},
    ("event", "suggestion"): {"model": _is_text, "fps": _is_fps},
    ("event", "log"): {"level": LOG_LEVELS.__contains__, "text": _is_text},
}


def _check(values: Mapping[str, Any]) -> None:
    """``bridge.message`` unless ``values`` has exactly the fields of one form, each as it must be."""
    kind = "op" if "op" in values else "event"
    name = values.get(kind)
    form = _FORMS.get((kind, name)) if isinstance(name, str) else None
    if form is None:
        raise _error(f"unknown {kind}", values)
    if odd := sorted(values.keys() ^ {kind, *form}):
        raise _error(f"missing or unknown field {odd[0][:50]}", values)
    for field, is_right in form.items():
        if not is_right(values[field]):
            raise _error(f"bad {field}", values)


def _cut_ascii(text: str, size: int) -> str:
    """``text``, cut so that its JSON in ASCII is at most ``size`` bytes long."""
    while len(json.dumps(text)) > size:
        text = text[: len(text) * size // (len(json.dumps(text)) + 1)]
    return text


def _cut_problem(problem: Problem, size: int) -> Any:
    """``problem`` as an object whose JSON in ASCII, up to six times as long as in UTF-8, is at most ``size`` long."""
    utf8_bytes = _PROBLEM_BYTES
    while len(json.dumps(cut := json.loads(problem.to_json(utf8_bytes)))) > size:
        utf8_bytes = utf8_bytes * 3 // 4
    return cut


def _error(reason: str, found: object) -> BridgeError:
    return BridgeError("bridge.message", reason=reason[:100], text=repr(found)[:100])
