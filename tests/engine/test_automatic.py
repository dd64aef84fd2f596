# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice "Automatic": measured once, remembered, decided by the rule, and never by a file that says nonsense."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from background_filter.filters.bridge.status import State
from background_filter.filters.engine.speeds import key_of, load_speeds, save_speeds, store_path
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import OpenStream, Room, RunningEngine, wait_until

# Files that ship with nothing: what stands under their names here is small and fast.
STAND_INS = ("mediapipe_general", "mediapipe_landscape")


@pytest.fixture
def rated(own_config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Two trusted models with a measured quality, by id their digests, in the user's folder; no others are rated."""
    folder = own_config / "models"
    folder.mkdir(exist_ok=True)
    digests = {}
    for name in STAND_INS:
        entry = load_catalog()[name]
        path = folder / entry.file
        network = nets.brightness_net(entry.input.width, entry.input.height, "NHWC", "probability", half_size=False)
        path.write_bytes(network.SerializeToString())
        digests[name] = trust.trust_file(path).sha256
    yield digests
    shutil.rmtree(folder)
    store_path().unlink(missing_ok=True)


def rated_that_ship() -> set[str]:
    """The models with a measured quality that are there anyway."""
    from background_filter.filters.engine.automatic import rated_models

    return {entry.id for entry, _ in rated_models()}


def best(names: set[str]) -> str:
    """The one of the best measured quality."""
    entries = load_catalog()
    return max(names, key=lambda name: (entries[name].measured or pytest.fail(name)).quality or 0.0)


def write_speeds(rated: dict[str, str], speeds_ms: dict[str, float]) -> None:
    """Figures as an earlier engine would have kept them; those of other models say that they are far too slow."""
    digests = {name: trust.read_model(load_catalog()[name]).sha256 for name in rated_that_ship()}
    save_speeds(
        store_path(), {key_of(digest, "cpu"): speeds_ms.get(name, 1e5) for name, digest in {**digests, **rated}.items()}
    )


def measured(engine: RunningEngine) -> set[str]:
    """The models that the engine has said it measures."""
    return {event["model"] for event in engine.events if event["event"] == "loading" and event["step"] == "measuring"}


def test_models_are_measured_once_and_the_best_one_runs(
    engine: RunningEngine, open_stream: OpenStream, rated: dict[str, str]
) -> None:
    everything = rated_that_ship()
    assert set(STAND_INS) <= everything
    engine.send({"op": "video", "fps": 1})
    stream = open_stream("auto", "cpu")
    status = stream.wait_for_state(State.READY)
    assert status.model == f"auto:{best(everything)}"
    assert measured(engine) == everything
    assert engine.wait_for_event("suggestion")["model"] == best(everything)
    speeds = load_speeds(store_path())
    assert set(speeds) >= {key_of(digest, "cpu") for digest in rated.values()}
    again = RunningEngine()
    try:
        again.send({"op": "video", "fps": 1})
        again.send({"op": "measure", "device": "cpu"})  # on request: anew
        again.wait_for_event("suggestion", model=best(everything))
    finally:
        again.process.kill()
        again.process.wait()


def test_figures_of_an_earlier_run_choose_without_measuring_and_the_frame_rate_counts(
    engine: RunningEngine, open_stream: OpenStream, rated: dict[str, str]
) -> None:
    better = best(set(STAND_INS))
    (worse,) = set(STAND_INS) - {better}
    write_speeds(rated, {better: 20.0, worse: 1.0})
    engine.send({"op": "video", "fps": 25})
    stream = open_stream("auto", "cpu")
    assert stream.wait_for_state(State.READY).model == f"auto:{better}"
    engine.send({"op": "video", "fps": 60})
    wait_until(lambda: stream.status.model == f"auto:{worse}", "the faster one")
    engine.send({"op": "video", "fps": 25})
    wait_until(lambda: stream.status.model == f"auto:{better}", "the better one")
    assert measured(engine) == set()


def test_where_nothing_is_fast_enough_it_is_the_default(
    engine: RunningEngine, open_stream: OpenStream, rated: dict[str, str]
) -> None:
    write_speeds(rated, {})
    engine.send({"op": "video", "fps": 30})
    stream = open_stream("auto", "cpu")
    assert stream.wait_for_state(State.READY).model == f"auto:{default_model_id()}"
    assert engine.wait_for_event("suggestion")["model"] == ""


def test_another_choice_meanwhile_counts(room: Room, bright: str, rated: dict[str, str]) -> None:
    write_speeds(rated, {})
    room.open(1, bright)
    room.obey({"op": "model", "stream": 1, "model": "auto", "device": "cpu"})
    room.obey({"op": "model", "stream": 1, "model": bright, "device": "cpu"})
    room.turn_until(lambda: not room.engine._automatic._asked and not room.engine._streams[1].waits)
    assert room.status(1).model == "bright.onnx"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format": 2, "speeds_ms": {}}',
        b'{"format": 1}',
        b'{"format": 1, "speeds_ms": {"x": 1.0}}',
        b'{"format": 1, "speeds_ms": {"%s cpu 1.0": -1}}' % (b"a" * 64),
        b'{"format": 1, "speeds_ms": {"%s cpu 1.0": NaN}}' % (b"a" * 64),
        b'{"format": 1, "speeds_ms": {"%s cpu 1.0": "1"}}' % (b"a" * 64),
        b'{"format": 1, "speeds_ms": {}}' + b" " * 2**20,
    ],
)
def test_a_file_that_says_nonsense_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "speeds.json"
    path.write_bytes(content)
    assert load_speeds(path) == {}
    kept: dict[str, Any] = {f"{'a' * 64} cuda+cpu 1.31.0": 1.5}
    save_speeds(path, kept)
    assert load_speeds(path) == kept
    assert json.loads(path.read_text())["format"] == 1
