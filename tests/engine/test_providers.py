# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that aren't there, fail or disagree: dropped with a reason, and the CPU goes on."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from background_filter.filters.bridge.frame_slots import FrameWriter
from background_filter.filters.bridge.messages import DEVICES as WIRE_DEVICES
from background_filter.filters.bridge.segment import Segment
from background_filter.filters.bridge.status import State, StatusReader
from background_filter.filters.engine import providers
from background_filter.filters.engine.control import ControlLine
from background_filter.filters.engine.events import Events
from background_filter.filters.engine.library import Wish, verify
from background_filter.filters.engine.loop import Engine, problem_of_dropped
from background_filter.filters.engine.network import Network, find_ports
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import OpenStream, RunningEngine, Trust, wait_until

DATA = nets.brightness_net().SerializeToString()
BRIGHT = np.full((48, 64, 4), 255, np.uint8)
no_nvidia = pytest.mark.skipif(providers.missing_nvidia_driver() is None, reason="an NVIDIA driver is here")


def mean_of(session: onnxruntime.InferenceSession) -> NDArray[np.uint8]:
    """A stand-in for the self-test: the network's answer to a grey picture, as one value."""
    logits = session.run(None, {"picture": np.full((1, 3, 48, 64), 0.6, np.float32)})[0]
    return (255 / (1 + np.exp(-logits[0, 0]))).astype(np.uint8)


def test_every_device_of_the_control_line_is_known() -> None:
    assert set(WIRE_DEVICES) == {"auto", *providers.DEVICES}


@no_nvidia
def test_cuda_without_a_driver_is_said_in_words(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright, "cuda")
    status = stream.wait_for_state(State.READY)
    assert status.device == "CPU"
    assert status.problem is not None and status.problem.code == "device.unavailable"
    assert status.problem.params["device"] == "CUDA"
    assert "NVIDIA driver" in str(status.problem.params["reason"])
    assert engine.wait_for_event("log", level="info")["text"].startswith("Device not used: CUDA: the NVIDIA driver")
    assert stream.alpha_of(BRIGHT).min() >= 254


@no_nvidia
def test_auto_says_nothing_where_nothing_is_missing(open_stream: OpenStream, bright: str) -> None:
    status = open_stream(bright, "auto").wait_for_state(State.READY)
    assert (status.device, status.problem) == ("CPU", None)


@pytest.mark.parametrize("device", ["directml", "coreml", "openvino"])
def test_device_that_is_not_built_in(open_stream: OpenStream, bright: str, device: str) -> None:
    if providers.DEVICES[device].provider in onnxruntime.get_available_providers():
        pytest.skip("it is built in here")
    status = open_stream(bright, device).wait_for_state(State.READY)
    assert status.device == "CPU"
    assert status.problem is not None and "built without it" in str(status.problem.params["reason"])


def test_device_that_disagrees_is_dropped() -> None:
    expected = np.full((24, 32), 10, np.uint8)
    outcome = providers.try_device(DATA, "cpu", mean_of, expected)
    assert isinstance(outcome, providers.Dropped)
    assert outcome.difference is not None and outcome.difference > 0.5
    problem = problem_of_dropped(Wish("m", "cpu"), (outcome,))
    assert problem is not None and problem.code == "device.disagrees"
    assert problem.params["difference"] == pytest.approx(outcome.difference, abs=0.001)


def test_device_that_agrees_is_taken() -> None:
    expected = mean_of(providers.open_session(DATA, "cpu"))
    assert isinstance(providers.try_device(DATA, "cpu", mean_of, expected), onnxruntime.InferenceSession)


def test_device_that_throws_is_dropped() -> None:
    def explode(session: onnxruntime.InferenceSession) -> NDArray[np.uint8]:
        raise RuntimeError("CUDA error 700\nand a long trace")

    outcome = providers.try_device(DATA, "cpu", explode, np.zeros((24, 32), np.uint8))
    assert outcome == providers.Dropped("cpu", "CUDA error 700")


def test_device_that_fails_later_is_replaced_by_the_cpu(trusted: Trust) -> None:
    """A session on the CPU that claims to be CUDA stands for a driver that breaks in the middle of a show."""
    model = trusted("fragile_device.onnx", nets.brightness_net(nan_when_dark=True))
    line, _keeps_it_open = os.pipe()
    control = ControlLine(line)
    engine = Engine(control, Events(os.open(os.devnull, os.O_WRONLY), "error"))
    segment = Segment.create()
    status = StatusReader(segment)
    engine._open({"stream": 1, "segment": segment.name, "model": model, "device": "cuda"})
    turn_until(engine, lambda: status.read().state == State.READY)
    stream = engine._streams[1]
    verified = verify(model)
    session = providers.open_session(verified.data, "cpu")
    stream.use(Network(verified.sha256, find_ports(verified, session), session, "cuda"), None)
    assert status.read().device == "CUDA"

    dark = np.zeros((48, 64, 4), np.uint8)
    FrameWriter(segment).publish(dark.ctypes.data, 256, 64, 48, 1, 1)
    turn_until(engine, lambda: status.read().state == State.FAILED)
    turn_until(engine, lambda: status.read().state == State.READY)
    after = status.read()
    assert after.device == "CPU"
    assert after.problem is not None and after.problem.code == "model.run_failed"
    assert after.problem.params["device"] == "CUDA"
    segment.close()


def turn_until(engine: Engine, condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""

    def turned() -> bool:
        engine._control.post(lambda: None)
        return engine.turn() and condition()

    wait_until(turned, "the loop")
