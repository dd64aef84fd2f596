# SPDX-License-Identifier: GPL-2.0-or-later
"""A user's own folder with trusted networks in it, and engines that look there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from background_filter.models import trust
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import OpenStream, Room, RunningEngine, RunningStream, Trust


@pytest.fixture(autouse=True, scope="session")
def own_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the real user's trust store out of it; engine processes inherit this."""
    folder = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(folder))
        yield folder


@pytest.fixture(scope="session")
def trusted(own_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """Writes a network to a file, trusts it, and returns the name that the control line knows it by."""
    folder = tmp_path_factory.mktemp("models")

    def write(name: str, model: onnx.ModelProto | bytes) -> str:
        path = folder / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        trust.trust_file(path)
        return f"file:{path}"

    return write


@pytest.fixture(scope="session")
def bright(trusted: Trust) -> str:
    """A trusted network that calls bright pixels person, 64x48."""
    return trusted("bright.onnx", nets.brightness_net())


@pytest.fixture
def engine() -> Iterator[RunningEngine]:
    """An engine process."""
    running = RunningEngine()
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture
def open_stream(engine: RunningEngine) -> Iterator[OpenStream]:
    """Opens streams in the engine: ``open_stream(model, device="auto")``."""
    streams: list[RunningStream] = []

    def open_one(model: str, device: str = "auto") -> RunningStream:
        streams.append(RunningStream(engine, len(streams) + 1, model, device))
        return streams[-1]

    yield open_one
    for stream in streams:
        stream.close()


@pytest.fixture
def room() -> Iterator[Room]:
    """An engine without a process."""
    made = Room()
    yield made
    for segment in made.segments.values():
        segment.close()
    os.close(made.line)
    os.close(made.other_end)
