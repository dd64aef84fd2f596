# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks in memory: shared, verified anew for each wish, let go with the last user."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from background_filter.filters.bridge.segment import Segment
from background_filter.filters.bridge.status import State, Status, StatusReader
from background_filter.filters.engine.control import ControlLine
from background_filter.filters.engine.events import Events
from background_filter.filters.engine.loop import Engine
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import OpenStream, RunningEngine, Trust, wait_until

BRIGHT = np.full((48, 64, 4), 255, np.uint8)


class Room:
    """An engine without a process, turned by hand, and its streams' segments."""

    def __init__(self) -> None:
        self.line, self.other_end = os.pipe()
        self.control = ControlLine(self.line)
        self.engine = Engine(self.control, Events(os.open(os.devnull, os.O_WRONLY), "error"))
        self.segments: dict[int, Segment] = {}

    def open(self, stream: int, model: str, device: str = "auto") -> None:
        """Open a stream and wait until its network runs or is refused."""
        self.segments[stream] = segment = Segment.create()
        self.obey({"op": "open", "stream": stream, "segment": segment.name, "model": model, "device": device})
        self.turn_until(lambda: self.status(stream).state in (State.READY, State.REFUSED))

    def obey(self, message: dict[str, object]) -> None:
        """Do what a control message says."""
        self.engine._command(message)

    def status(self, stream: int) -> Status:
        """A stream's status."""
        return StatusReader(self.segments[stream]).read()

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until the condition holds."""

        def turned() -> bool:
            self.control.post(lambda: None)
            return self.engine.turn() and condition()

        wait_until(turned, "the loop")


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    for segment in made.segments.values():
        segment.close()
    os.close(made.line)
    os.close(made.other_end)


def test_same_wish_is_one_network(room: Room, bright: str) -> None:
    room.open(1, bright)
    room.open(2, bright)
    assert room.engine._streams[1].network is room.engine._streams[2].network


def test_auto_and_cpu_are_one_network_where_they_mean_the_same(room: Room, bright: str) -> None:
    room.open(1, bright, "cpu")
    room.open(2, bright, "coreml")
    assert room.status(2).device == "CPU"
    assert room.engine._streams[1].network is room.engine._streams[2].network


def test_network_goes_with_its_last_user(room: Room, bright: str) -> None:
    room.open(1, bright)
    room.open(2, bright)
    network = weakref.ref(room.engine._streams[1].network)
    room.obey({"op": "close", "stream": 1})
    gc.collect()
    assert network() is not None
    room.obey({"op": "close", "stream": 2})
    gc.collect()
    assert network() is None


def test_file_that_changed_is_refused_for_who_asks_now(room: Room, trusted: Trust) -> None:
    data = nets.brightness_net(height=40).SerializeToString()
    model = trusted("changing.onnx", data)
    room.open(1, model)
    Path(model[5:]).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    room.open(2, model)
    second = room.status(2)
    assert second.state == State.REFUSED
    assert second.problem is not None and second.problem.code == "model.digest_mismatch"
    first = room.status(1)
    assert (first.state, first.problem) == (State.READY, None)


def test_last_wish_counts(room: Room, bright: str, trusted: Trust) -> None:
    other = trusted("wide.onnx", nets.brightness_net(width=80))
    room.open(1, bright)
    for model in (other, bright, other):
        room.obey({"op": "model", "stream": 1, "model": model, "device": "auto"})
    room.turn_until(lambda: not room.engine._streams[1].waits)
    assert room.status(1).model == "wide.onnx"


def test_stream_that_closes_while_its_network_loads(room: Room, bright: str) -> None:
    room.segments[1] = segment = Segment.create()
    room.obey({"op": "open", "stream": 1, "segment": segment.name, "model": bright, "device": "auto"})
    room.obey({"op": "close", "stream": 1})
    room.turn_until(lambda: not room.engine._library._loading)
    assert room.engine._library._in_memory == {}


def test_masks_flow_while_another_network_loads(
    engine: RunningEngine, open_stream: OpenStream, bright: str, trusted: Trust
) -> None:
    slow = trusted("slow.onnx", nets.brightness_net(width=1000, height=1000))
    first = open_stream(bright)
    first.wait_for_state(State.READY)
    second = open_stream(slow)
    masks = 0
    while second.status.state != State.READY:
        assert first.alpha_of(BRIGHT).min() >= 254
        masks += 1
    assert masks >= 1
