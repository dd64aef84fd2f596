# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks in memory: shared, verified anew for each wish, let go with the last user."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np

from background_filter.filters.bridge.segment import Segment
from background_filter.filters.bridge.status import State
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import OpenStream, Room, RunningEngine, Trust

BRIGHT = np.full((48, 64, 4), 255, np.uint8)


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
