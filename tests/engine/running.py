# SPDX-License-Identifier: GPL-2.0-or-later
"""A real engine process and the OBS side of real streams, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from background_filter.filters.bridge import messages
from background_filter.filters.bridge.frame_slots import FrameWriter
from background_filter.filters.bridge.layout import FLAG_ATTENTION
from background_filter.filters.bridge.mask_slots import Mask, MaskReader
from background_filter.filters.bridge.region import Region
from background_filter.filters.bridge.segment import Segment
from background_filter.filters.bridge.status import State, Status, StatusReader
from background_filter.filters.engine.control import ControlLine
from background_filter.filters.engine.events import Events
from background_filter.filters.engine.loop import Engine

TOP_SCRIPT = Path(__file__).resolve().parents[2] / "obs_background_filter.py"
PATIENCE_S = 20.0  # an upper bound for a hung test, not a measurement


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of ``condition``; fails the test if none comes."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"waited in vain for {what}")


class RunningEngine:
    """An engine process and its events."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(TOP_SCRIPT), "engine", "--log-level", "debug"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.events: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in iter(self.process.stdout.readline, b""):
            self.events.append(json.loads(line))

    def send(self, message: dict[str, Any]) -> None:
        """Send a control message."""
        self.send_raw(messages.encode(message))

    def send_raw(self, line: bytes) -> None:
        """Send bytes on the control line."""
        assert self.process.stdin
        self.process.stdin.write(line)

    def wait_for_event(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first event of that kind with those fields."""

        def find() -> dict[str, Any] | None:
            wanted = {"event": event, **fields}
            return next((e for e in self.events if wanted.items() <= e.items()), None)

        found: dict[str, Any] = wait_until(find, f"event {event} {fields}")
        return found

    def problems(self, stream: int) -> list[str]:
        """The codes of the problems reported for a stream, in order."""
        return [e["problem"]["code"] for e in self.events if e["event"] == "problem" and e["stream"] == stream]

    def end(self) -> int:
        """Close the control line and wait; returns the exit code."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)


class RunningStream:
    """What a filter does, by hand: publishes frames, reads masks and status."""

    def __init__(self, engine: RunningEngine, stream_id: int, model: str, device: str = "auto") -> None:
        self.engine = engine
        self.id = stream_id
        self.segment = Segment.create()
        self._frames = FrameWriter(self.segment)
        self._masks = MaskReader(self.segment)
        self._status = StatusReader(self.segment)
        self.frame_id = 0
        engine.send(
            {
                "op": "open",
                "stream": stream_id,
                "segment": self.segment.name,
                "model": model,
                "device": device,
            }
        )

    def choose(self, model: str, device: str = "auto") -> None:
        """Ask for another model."""
        self.engine.send({"op": "model", "stream": self.id, "model": model, "device": device})

    @property
    def status(self) -> Status:
        """The newest status."""
        return self._status.read()

    def pulse_ns(self) -> int:
        """The time of the last sign of life."""
        return self._status.pulse().heartbeat_ns

    def wait_for_state(self, state: int) -> Status:
        """Wait until the engine reports this state."""
        status: Status = wait_until(lambda: self.status.state == state and self.status, f"state {state}: {self.status}")
        return status

    def wait_for_problem(self, code: str) -> Status:
        """Wait until the status names this problem."""

        def named() -> Status | None:
            status = self.status
            return status if status.problem is not None and status.problem.code == code else None

        status: Status = wait_until(named, f"problem {code}: {self.status}")
        return status

    def publish(self, frame_rgba: NDArray[np.uint8], flags: int = 0) -> int:
        """Publish a frame, HxWx4 uint8, and wake the engine; returns the frame's id."""
        frame_rgba = np.ascontiguousarray(frame_rgba)
        height, width = frame_rgba.shape[:2]
        self.frame_id += 1
        address = frame_rgba.ctypes.data
        now_ns = time.monotonic_ns()
        self._frames.publish(address, width * 4, width, height, self.frame_id, now_ns, flags)
        self.engine.send_raw(messages.WAKE)
        return self.frame_id

    def publish_attentive(self, frame_rgba: NDArray[np.uint8], closer_rgba: NDArray[np.uint8], region: Region) -> int:
        """Publish a frame with a part of it, HxWx4 uint8 each, that asks to look closer; returns its id."""
        both = np.ascontiguousarray(np.vstack([frame_rgba, closer_rgba][: region.pictures]))
        height, width = frame_rgba.shape[:2]
        self.frame_id += 1
        facts = width * 4, width, height, self.frame_id, time.monotonic_ns()
        self._frames.publish(both.ctypes.data, *facts, flags=FLAG_ATTENTION, region=region)
        self.engine.send_raw(messages.WAKE)
        return self.frame_id

    def take_masks(self) -> list[Mask]:
        """The masks that came since the last call."""
        return self._masks.take_new()

    def next_mask(self) -> Mask:
        """Wait for the next mask."""
        masks: list[Mask] = wait_until(self._masks.take_new, f"a mask: {self.status}")
        return masks[-1]

    def alpha_of(self, frame_rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The engine's mask of this very frame, HxW uint8."""
        frame_id = self.publish(frame_rgba)
        mask = self.next_mask()
        assert mask.frame_id == frame_id
        rows = np.frombuffer(mask.pixels, np.uint8).reshape(mask.height, mask.row_bytes)
        return rows[:, : mask.width]

    def close(self) -> None:
        """Let go of the segment."""
        self.segment.close()


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

    def publish(self, stream: int, frame_rgba: NDArray[np.uint8], frame_id: int = 1) -> None:
        """Publish a frame of a stream, HxWx4 uint8."""
        height, width = frame_rgba.shape[:2]
        address, now_ns = frame_rgba.ctypes.data, time.monotonic_ns()
        FrameWriter(self.segments[stream]).publish(address, width * 4, width, height, frame_id, now_ns)

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


OpenStream = Callable[..., RunningStream]  # (model, device="auto")
Trust = Callable[[str, "onnx.ModelProto | bytes"], str]  # (file name, network): the name on the control line
