# SPDX-License-Identifier: GPL-2.0-or-later
"""From one network to another while frames come: masks never stop, and it is said what is on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from background_filter.filters.bridge.status import State
from background_filter.filters.engine.network import InferenceError, Network
from background_filter.filters.engine.stream import SWITCH_WITHIN_S
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import OpenStream, Room, RunningEngine, Trust, wait_until

SMALL, LARGE = np.full((48, 64, 4), 255, np.uint8), np.full((96, 128, 4), 255, np.uint8)


def test_no_frame_of_either_size_is_left_without_a_mask(open_stream: OpenStream, bright: str, trusted: Trust) -> None:
    """A filter sends the old size for some frames more: until it has read the status."""
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    stream.choose(trusted("large.onnx", nets.brightness_net(128, 96)))
    while stream.status.input_width == 64:
        assert stream.alpha_of(SMALL).shape == (48, 64)
    for _ in range(8):
        assert stream.alpha_of(SMALL).shape == (48, 64)
    for _ in range(3):
        assert stream.alpha_of(LARGE).shape == (96, 128)
    before = stream.publish(SMALL)
    assert stream.alpha_of(LARGE).min() >= 254
    assert stream.frame_id == before + 1


def test_old_network_goes_with_the_first_new_frame_or_after_a_while(
    room: Room, bright: str, trusted: Trust, monkeypatch: Any
) -> None:
    room.open(1, bright)
    stream = room.engine._streams[1]
    now_s = 0.0
    monkeypatch.setattr("background_filter.filters.engine.stream.time.monotonic", lambda: now_s)
    room.obey(
        {"op": "model", "stream": 1, "model": trusted("large.onnx", nets.brightness_net(128, 96)), "device": "auto"}
    )
    while stream.waits:
        room.control.post(lambda: None)
        room.engine.turn()
    assert stream._outgoing is not None and stream._outgoing.network.width == 64
    now_s = SWITCH_WITHIN_S + 1
    stream.beat()
    assert stream._outgoing is None


def test_old_network_that_fails_meanwhile_takes_nothing_along(
    room: Room, bright: str, trusted: Trust, monkeypatch: Any
) -> None:
    room.open(1, bright)
    old = room.engine._streams[1].network
    model = trusted("large.onnx", nets.brightness_net(128, 96))
    room.obey({"op": "model", "stream": 1, "model": model, "device": "auto"})
    room.turn_until(lambda: not room.engine._streams[1].waits)

    def fail(*_: Any) -> Any:
        raise InferenceError("broken")

    stream = room.engine._streams[1]
    assert stream._outgoing is not None and isinstance(old, Network)
    monkeypatch.setattr(stream._outgoing, "segment", fail)
    room.publish(1, SMALL)
    room.turn_until(lambda: stream._outgoing is None)
    assert room.status(1).state == State.READY


def test_a_refused_model_leaves_the_one_that_runs_and_going_back_works(
    open_stream: OpenStream, bright: str, tmp_path: Path
) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    stream.choose(f"file:{tmp_path / 'nowhere.onnx'}")
    stream.wait_for_problem("model.missing")
    assert stream.alpha_of(SMALL).min() >= 254
    stream.choose(bright)
    wait_until(lambda: stream.status.problem is None, "the end of the problem")
    assert stream.alpha_of(SMALL).min() >= 254


def test_the_steps_of_loading_are_told(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    engine.wait_for_event("loading", stream=1, step="")
    told = [(event["model"], event["step"]) for event in engine.events if event["event"] == "loading"]
    assert told == [("bright.onnx", step) for step in ("checking", "loading", "warming", "")]


def test_filters_with_models_of_their_own(room: Room, bright: str, trusted: Trust) -> None:
    """Two filters, two networks; each is let go with its last user."""
    other = trusted("large.onnx", nets.brightness_net(128, 96))
    room.open(1, bright)
    room.open(2, other)
    room.open(3, other)
    library = room.engine._library
    assert {wish.model for wish in library._in_memory} == {bright, other}
    room.obey({"op": "close", "stream": 2})
    assert {wish.model for wish in library._in_memory} == {bright, other}
    room.obey({"op": "model", "stream": 3, "model": bright, "device": "auto"})
    room.turn_until(lambda: not room.engine._streams[3].waits)
    assert {wish.model for wish in library._in_memory} == {bright}
    assert room.engine._streams[1].network is room.engine._streams[3].network


def test_guesses_about_an_own_file_are_told_and_odd_names_end_nothing(
    engine: RunningEngine, open_stream: OpenStream, bright: str, trusted: Trust
) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    guesses = engine.wait_for_event("guesses")["guesses"]
    assert ["size", "64x48", "graph"] in guesses
    odd = nets.brightness_net()
    odd.graph.input[0].name = odd.graph.node[0].input[0] = "\x7f" * 2000
    odd.graph.output[0].name = odd.graph.node[-1].output[0] = "mask" + "\x7f" * 2000
    stream.choose(trusted("odd.onnx", odd))
    wait_until(lambda: stream.status.model == "odd.onnx", "the other network")
    assert stream.alpha_of(SMALL).min() >= 254
