# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way in which a model can be wrong: named in the status, and the model that ran runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from background_filter.filters.bridge.status import State
from background_filter.models import trust
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import RunningEngine, RunningStream, Trust, wait_until

BRIGHT = np.full((48, 64, 4), 255, np.uint8)
GOOD = nets.brightness_net().SerializeToString()
OTHER = nets.brightness_net(width=32).SerializeToString()


def trusted_then(path: Path, changed: bytes | None) -> Path:
    """A file that was trusted as it was, and is no longer as it was."""
    path.write_bytes(GOOD)
    trust.trust_file(path)
    path.unlink()
    if changed is not None:
        path.write_bytes(changed)
    return path


def one_byte_changed(folder: Path) -> Path:
    middle = len(GOOD) // 2
    return trusted_then(folder / "changed.onnx", GOOD[:middle] + bytes([GOOD[middle] ^ 1]) + GOOD[middle + 1 :])


def truncated(folder: Path) -> Path:
    return trusted_then(folder / "truncated.onnx", GOOD[:-100])


def swapped(folder: Path) -> Path:
    return trusted_then(folder / "swapped.onnx", OTHER)


def gone(folder: Path) -> Path:
    return trusted_then(folder / "gone.onnx", None)


def never_trusted(folder: Path) -> Path:
    path = folder / "stranger.onnx"
    path.write_bytes(nets.brightness_net(height=32).SerializeToString())
    return path


def trusted_as_it_is(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data)
        trust.trust_file(path)
        return path

    return make


def takes_numbers() -> bytes:
    return nets.with_input_type(nets.brightness_net(), onnx.TensorProto.INT64).SerializeToString()


REFUSALS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a byte changed": (one_byte_changed, "model.digest_mismatch"),
    "truncated": (truncated, "model.digest_mismatch"),
    "swapped for another": (swapped, "model.digest_mismatch"),
    "no file": (gone, "model.missing"),
    "not trusted": (never_trusted, "model.untrusted"),
    "not ONNX": (trusted_as_it_is("text.onnx", b"this is no network" * 20), "model.not_onnx"),
    "empty": (trusted_as_it_is("empty.onnx", b""), "model.not_onnx"),
    "cut short, yet trusted": (trusted_as_it_is("short.onnx", GOOD[:-90]), "model.not_onnx"),
    "external data": (
        trusted_as_it_is("external.onnx", nets.with_external_data(nets.brightness_net()).SerializeToString()),
        "model.external_data",
    ),
    "custom domain": (
        trusted_as_it_is("custom.onnx", nets.with_custom_domain(nets.brightness_net()).SerializeToString()),
        "model.custom_domain",
    ),
    "two inputs": (trusted_as_it_is("two.onnx", nets.two_inputs().SerializeToString()), "model.more_inputs"),
    "input is of whole numbers": (trusted_as_it_is("numbers.onnx", takes_numbers()), "model.input_type"),
    "picture too large": (
        trusted_as_it_is("large.onnx", nets.brightness_net(width=2048, height=16).SerializeToString()),
        "model.input_shape",
    ),
    "no mask comes out": (
        trusted_as_it_is("number.onnx", nets.no_mask().SerializeToString()),
        "model.no_mask",
    ),
}


@pytest.fixture(scope="module")
def running(bright: str) -> Iterator[RunningStream]:
    """A stream whose network runs."""
    engine = RunningEngine()
    stream = RunningStream(engine, 1, bright)
    stream.wait_for_state(State.READY)
    yield stream
    stream.close()
    engine.process.kill()
    engine.process.wait()


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_and_the_model_before_runs_on(running: RunningStream, tmp_path: Path, case: str, bright: str) -> None:
    make, code = REFUSALS[case]
    path = make(tmp_path)
    running.choose(f"file:{path}")
    status = running.wait_for_problem(code)
    assert status.problem is not None and status.problem.params["file"] == path.name
    assert (status.state, status.model) == (State.READY, "bright.onnx")
    assert running.alpha_of(BRIGHT).min() >= 254
    running.choose(bright)
    wait_until(lambda: running.status.problem is None, "the problem to be forgotten")


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_as_the_first_model(running: RunningStream, tmp_path: Path, case: str) -> None:
    make, code = REFUSALS[case]
    stream = RunningStream(running.engine, 2, f"file:{make(tmp_path)}")
    status = stream.wait_for_state(State.REFUSED)
    assert status.problem is not None and status.problem.code == code
    stream.publish(BRIGHT)
    assert running.alpha_of(BRIGHT).min() >= 254  # a later frame has been served: the refused stream gave no mask
    assert stream._masks.take_new() == []
    running.engine.send({"op": "close", "stream": 2})
    stream.close()


def test_unknown_catalogue_id(running: RunningStream) -> None:
    running.choose("no_such_model")
    status = running.wait_for_problem("model.missing")
    assert status.problem is not None and status.problem.params["file"] == "no_such_model"


def test_next_good_model_clears_the_problem(running: RunningStream, tmp_path: Path, trusted: Trust) -> None:
    running.choose(f"file:{gone(tmp_path)}")
    running.wait_for_problem("model.missing")
    other = trusted("other.onnx", nets.brightness_net(width=32, height=32))
    running.choose(other)
    wait_until(lambda: running.status.input_width == 32, "the other model")
    assert running.status.problem is None and running.status.model == "other.onnx"
    assert running.alpha_of(np.full((32, 32, 4), 255, np.uint8)).min() >= 254
    running.choose(f"file:{Path(other[5:]).parent / 'bright.onnx'}")
    wait_until(lambda: running.status.input_width == 64, "the first model")
