# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine says about a stream: its state, model, device, timings and problem; and that it is alive."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from . import layout
from .checks import check_ms, check_range, field_error
from .fence import Fence
from .problems import Problem, problem_from_json
from .segment import Segment

TRIES = 3
_MAX_RATE = 1e6
_BODY = layout.packer(layout.STATUS_BODY)
_BODY_OFFSET = layout.STATUS_OFFSET + layout.STATUS_BODY[0].offset
_BEGIN = layout.word(layout.STATUS_OFFSET, layout.STATUS_SEQUENCE_BEGIN)
_END = layout.word(layout.STATUS_OFFSET, layout.STATUS_SEQUENCE_END)
_IN_HAND = layout.word(layout.ENGINE_COUNTERS_OFFSET, layout.FRAME_IN_HAND_ID)
_HEARTBEAT = layout.word(layout.ENGINE_COUNTERS_OFFSET, layout.HEARTBEAT_NS)
_MASKS = layout.word(layout.ENGINE_COUNTERS_OFFSET, layout.MASKS_PUBLISHED)


class State(enum.IntEnum):
    """Where a stream stands."""

    STARTING = 0
    LOADING = 1
    READY = 2
    REFUSED = 3  # no model runs
    FAILED = 4


@dataclass(frozen=True)
class Status:
    """One look at a stream. Sizes are the model's input in pixels (0: none yet), times moving medians in ms.

    ``round_trip_ms`` is from capture to publication.
    """

    state: State = State.STARTING
    input_width: int = 0
    input_height: int = 0
    masks_per_s: float = 0.0
    prepare_ms: float = 0.0
    infer_ms: float = 0.0
    refine_ms: float = 0.0
    round_trip_ms: float = 0.0
    model: str = ""
    device: str = ""
    problem: Problem | None = None


class Pulse(NamedTuple):
    """Signs of life: the frame being worked on (0 none), when the engine last said so, how many masks so far."""

    frame_in_hand_id: int
    heartbeat_ns: int
    masks_published: int


class StatusWriter:
    """The engine's side; for one thread."""

    def __init__(self, segment: Segment) -> None:
        self._bytes = segment.bytes
        self._words = segment.words
        self._fence = Fence()
        self._written = 0
        self._status = Status()

    def write(self, **fields: Any) -> None:
        """Change these fields of ``Status`` and publish them all. Long texts are cut to what the layout holds.

        Raises ``TypeError`` for an unknown field, ``BridgeError`` (``bridge.field``) for a value out of range.
        """
        status = replace(self._status, **fields)
        body = _pack(status)
        self._status = status
        self._written += 1
        self._words[_BEGIN] = self._written
        self._fence()
        self._bytes[_BODY_OFFSET : _BODY_OFFSET + len(body)] = body
        self._fence()
        self._words[_END] = self._written

    def take_in_hand(self, frame_id: int) -> None:
        """Say which frame is being worked on (0: none) and that the engine is alive."""
        self._words[_IN_HAND] = frame_id
        self.beat()

    def beat(self) -> None:
        """Say that the engine is alive."""
        self._words[_HEARTBEAT] = time.monotonic_ns()


class StatusReader:
    """OBS's side; for one thread."""

    def __init__(self, segment: Segment) -> None:
        self._bytes = segment.bytes
        self._words = segment.words
        self._fence = Fence()
        self._sequence = 0
        self._status = Status()

    def read(self) -> Status:
        """The newest whole status; the last one while a new one is being written. Cheap when nothing changed.

        Raises ``BridgeError`` (``bridge.field``) when a whole status holds values the layout doesn't allow.
        """
        for _ in range(TRIES):
            sequence = self._words[_END]
            if sequence == self._sequence:
                break
            self._fence()
            body = bytes(self._bytes[_BODY_OFFSET : _BODY_OFFSET + _BODY.size])
            self._fence()
            if self._words[_BEGIN] == sequence == self._words[_END]:
                self._status = _unpack(body)
                self._sequence = sequence
                break
        return self._status

    def pulse(self) -> Pulse:
        """The signs of life, as they stand now."""
        words = self._words
        return Pulse(words[_IN_HAND], words[_HEARTBEAT], words[_MASKS])


def _pack(status: Status) -> bytes:
    _check(status)
    problem = status.problem.to_json(layout.STATUS_PROBLEM.size) if status.problem is not None else b""
    return _BODY.pack(
        status.state,
        status.input_width,
        status.input_height,
        status.masks_per_s,
        status.prepare_ms,
        status.infer_ms,
        status.refine_ms,
        status.round_trip_ms,
        _cut(status.model, layout.STATUS_MODEL.size),
        _cut(status.device, layout.STATUS_DEVICE.size),
        problem,
    )


def _unpack(body: bytes) -> Status:
    number, width, height, rate, prepare_ms, infer_ms, refine_ms, round_trip_ms, *texts = _BODY.unpack(body)
    model, device, problem = texts
    try:
        state = State(number)
    except ValueError:
        raise field_error("state", f"0 to {max(State)}", number) from None
    line = problem.rstrip(b"\0")
    status = Status(
        state,
        width,
        height,
        rate,
        prepare_ms,
        infer_ms,
        refine_ms,
        round_trip_ms,
        model=_text("model", model),
        device=_text("device", device),
        problem=problem_from_json(line) if line else None,
    )
    _check(status)
    return status


def _check(status: Status) -> None:
    check_range("state", status.state, 0, max(State))
    check_range("input_width", status.input_width, 0, layout.MAX_SIDE_PX)
    check_range("input_height", status.input_height, 0, layout.MAX_SIDE_PX)
    check_range("masks_per_s", status.masks_per_s, 0, _MAX_RATE)
    for name in ("prepare_ms", "infer_ms", "refine_ms", "round_trip_ms"):
        check_ms(name, getattr(status, name))


def _cut(text: str, size: int) -> bytes:
    """UTF-8 of at most ``size`` bytes, never ending within a character; zeros, which end a text, become spaces."""
    raw = text.replace("\0", " ").encode("utf-8", "replace")
    return raw if len(raw) <= size else raw[:size].decode("utf-8", "ignore").encode("utf-8")


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        raise field_error(name, "UTF-8", raw[:32].hex()) from None
