# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as a process: real pipes, real shared memory, a real network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.status import State
from background_filter.tests.engine import nets
from background_filter.tests.engine.running import PATIENCE_S, TOP_SCRIPT, OpenStream, RunningEngine, Trust, wait_until

BRIGHT = np.full((48, 64, 4), 255, np.uint8)
DARK = np.zeros((48, 64, 4), np.uint8)


OBS_THAT_STARTS_AN_ENGINE = """
import subprocess, sys, time
engine = subprocess.Popen([sys.executable, "-I", sys.argv[1], "engine"], stdin=subprocess.PIPE)
if sys.argv[2] == "held":  # another child that keeps the pipe open
    sleep = [sys.executable, "-c", "import time; time.sleep(30)"]
    subprocess.Popen(sleep, pass_fds=[engine.stdin.fileno()], stdout=subprocess.DEVNULL)
time.sleep(60)
"""


def half_bright() -> np.ndarray:
    """Bright on the right half."""
    frame = DARK.copy()
    frame[:, 32:] = 255
    return frame


def test_from_start_to_mask(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    hello = engine.wait_for_event("hello")
    assert hello["pid"] == engine.process.pid
    assert "CPUExecutionProvider" in hello["providers"]
    engine.wait_for_event("opened", stream=1)
    status = stream.wait_for_state(State.READY)
    assert (status.input_width, status.input_height) == (64, 48)
    assert (status.model, status.device, status.problem) == ("bright.onnx", "CPU", None)
    alpha = stream.alpha_of(half_bright())
    assert alpha.shape == (48, 64)
    assert alpha[:, :30].max() <= 1 and alpha[:, 34:].min() >= 254


def test_frame_before_the_model_is_there(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    frame_id = stream.publish(BRIGHT)  # at once: the engine has not even started
    assert stream.next_mask().frame_id == frame_id


def test_status_tells_figures(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)

    def figures() -> bool:
        stream.alpha_of(BRIGHT)
        return stream.status.masks_per_s > 0

    wait_until(figures, "a rate")
    status = stream.status
    assert min(status.prepare_ms, status.infer_ms, status.refine_ms) > 0
    assert status.round_trip_ms > status.infer_ms


def test_newest_frame_wins(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    os.kill(stream.engine.process.pid, signal.SIGSTOP)
    for _ in range(5):
        newest = stream.publish(BRIGHT)
    os.kill(stream.engine.process.pid, signal.SIGCONT)
    assert stream.next_mask().frame_id == newest


def test_frame_of_another_size_is_skipped(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    stream.publish(np.zeros((100, 100, 4), np.uint8))
    assert stream.alpha_of(BRIGHT).min() >= 254


def test_padded_rows(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    padded = np.zeros((48, 80, 4), np.uint8)
    padded[:, :64] = half_bright()
    stream.frame_id += 1
    stream._frames.publish(padded.ctypes.data, 320, 64, 48, stream.frame_id, time.monotonic_ns())
    stream.engine.send_raw(b"\n")
    mask = stream.next_mask()
    alpha = np.frombuffer(mask.pixels, np.uint8).reshape(48, 64)
    assert alpha[:, :30].max() <= 1 and alpha[:, 34:].min() >= 254


def test_controls_travel_with_the_frame(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    stream.publish(half_bright())
    assert stream.next_mask().pixel_format == layout.FORMAT_R8_ALPHA
    stream.publish(half_bright(), flags=layout.FLAG_SHARP_EDGES)
    assert stream.next_mask().pixel_format == layout.FORMAT_RGBA16F_FACTORS


def test_two_streams_one_process(open_stream: OpenStream, bright: str) -> None:
    first, second = open_stream(bright), open_stream(bright, "cpu")
    first.wait_for_state(State.READY)
    second.wait_for_state(State.READY)
    for _ in range(3):
        assert first.alpha_of(BRIGHT).min() >= 254
        assert second.alpha_of(DARK).max() <= 1


def test_sign_of_life_while_idle(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    before_ns = stream.pulse_ns()
    wait_until(lambda: stream.pulse_ns() > before_ns, "a sign of life without a frame")


def test_closing_a_stream_leaves_the_others(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    first, second = open_stream(bright), open_stream(bright)
    first.wait_for_state(State.READY)
    second.wait_for_state(State.READY)
    engine.send({"op": "close", "stream": 1})
    assert second.alpha_of(BRIGHT).min() >= 254


def test_bad_segment_is_a_problem_of_its_stream(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    good = open_stream(bright)
    good.wait_for_state(State.READY)
    name = f"obs-background-filter-1-{'0' * 16}"
    engine.send({"op": "open", "stream": 7, "segment": name, "model": bright, "device": "auto"})
    problem = engine.wait_for_event("problem", stream=7)["problem"]
    assert problem["code"] == "bridge.segment" and problem["name"] == name
    assert good.alpha_of(BRIGHT).min() >= 254


def test_garbage_in_a_slot_closes_its_stream_only(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    good, bad = open_stream(bright), open_stream(bright)
    good.wait_for_state(State.READY)
    bad.wait_for_state(State.READY)
    start = layout.FRAMES_OFFSET
    bad.segment.words[layout.word(start, layout.FRAME_SEQUENCE_BEGIN)] = 1
    bad.segment.words[layout.word(start, layout.FRAME_ID)] = 1
    bad.segment.words[layout.word(start, layout.FRAME_SEQUENCE_END)] = 1
    bad.segment.words[layout.word(layout.OBS_COUNTERS_OFFSET, layout.FRAMES_PUBLISHED)] = 1
    engine.send_raw(b"\n")
    problem = engine.wait_for_event("problem", stream=2)["problem"]
    assert problem["code"] == "bridge.field"
    assert good.alpha_of(BRIGHT).min() >= 254


@pytest.mark.parametrize("line", [b"{}\n", b'{"op":"dance"}\n', b"\xff\xfe\n", b"x" * 100_000 + b"\n"])
def test_bad_line_is_reported_and_survived(
    engine: RunningEngine, open_stream: OpenStream, bright: str, line: bytes
) -> None:
    stream = open_stream(bright)
    engine.send_raw(line)
    assert engine.wait_for_event("problem", stream=0)["problem"]["code"] == "bridge.message"
    stream.wait_for_state(State.READY)
    assert stream.alpha_of(BRIGHT).min() >= 254


def test_end_of_file_ends_it(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    open_stream(bright).wait_for_state(State.READY)
    assert engine.end() == 0


def test_end_of_file_before_it_has_started(engine: RunningEngine) -> None:
    assert engine.end() == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupt_is_for_obs_to_handle(engine: RunningEngine, open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    engine.process.send_signal(signal.SIGINT)
    assert stream.alpha_of(BRIGHT).min() >= 254


@pytest.mark.skipif(os.name == "nt", reason="POSIX priorities")
def test_steps_behind_obs(engine: RunningEngine) -> None:
    engine.wait_for_event("hello")
    assert os.getpriority(os.PRIO_PROCESS, engine.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_network_that_fails_on_a_frame(open_stream: OpenStream, bright: str, trusted: Trust) -> None:
    fragile = trusted("fragile.onnx", nets.brightness_net(nan_when_dark=True))
    stream, other = open_stream(fragile), open_stream(bright)
    stream.wait_for_state(State.READY)
    other.wait_for_state(State.READY)
    stream.alpha_of(BRIGHT)
    stream.publish(DARK)
    status = stream.wait_for_state(State.FAILED)
    assert status.problem is not None and status.problem.code == "model.run_failed"
    assert status.problem.params["file"] == "fragile.onnx"
    assert other.alpha_of(BRIGHT).min() >= 254
    stream.choose(bright)
    assert stream.wait_for_state(State.READY).problem is None
    assert stream.alpha_of(BRIGHT).min() >= 254


@pytest.mark.skipif(os.name == "nt", reason="the pipe can't be handed on like this")
@pytest.mark.parametrize("pipe", ["closed", "held"])
def test_obs_that_is_killed_takes_the_engine_with_it(pipe: str) -> None:
    command = [sys.executable, "-c", OBS_THAT_STARTS_AN_ENGINE, str(TOP_SCRIPT), pipe]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as obs:
        assert obs.stdout
        assert b"hello" in obs.stdout.readline()  # the engine's: it writes to the same pipe
        obs.kill()
        rest, _ = obs.communicate(timeout=PATIENCE_S)  # ends when the engine no longer holds the pipe
    assert rest == b""


def test_broken_environment_is_said_in_words() -> None:
    blocker = (
        "import sys; sys.modules['onnxruntime'] = None; sys.path.insert(0, sys.argv.pop(1));"
        "import obs_background_filter; from background_filter.filters.engine import main; sys.exit(main([]))"
    )
    root = str(TOP_SCRIPT.parent)
    result = subprocess.run(
        [sys.executable, "-c", blocker, root],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert b"engine.start_failed" in result.stdout and b"onnxruntime" in result.stdout
