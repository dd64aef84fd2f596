# SPDX-License-Identifier: GPL-2.0-or-later
"""A real engine process over the real bridge, fed as OBS feeds it, without OBS."""

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...models.catalog import default_model_id
from ..bridge.mask_slots import Mask
from ..bridge.segment import Segment
from ..obs.engine_process import EngineProcess
from ..obs.link import Link
from ..obs.settings import DEFAULTS
from .bench_processes import cpu_ns, resident_mb
from .bench_report import Figure, Section, Table, median, percentile
from .demo_pictures import portrait_frames
from .errors import CommandError

Picture = NDArray[np.uint8]

FPS = 30
STARTS = 7
PICTURES = 60
WARM_UP_S, PACED_S, IDLE_S = 3.0, 20.0, 10.0
FIRST_MASK_WITHIN_S = 20.0


class Trip(NamedTuple):
    """One frame's way: milliseconds from before its publication until its mask was read, and of the stages."""

    whole_ms: float
    prepare_ms: float
    infer_ms: float
    refine_ms: float
    publish_ms: float
    read_ms: float


class Feed:
    """An engine with one stream, as OBS has it; a context manager."""

    def __init__(self, python: Path, pictures_bgr: list[Picture]) -> None:
        self._pictures_bgr = pictures_bgr
        self._frames_rgba: list[Picture] = []
        self._ids = itertools.count(1)
        self._publish_ms: dict[int, float] = {}
        self.start_ns = time.monotonic_ns()
        self.process = EngineProcess(python, threading.Event())
        self._segment = Segment.create()
        message = {"op": "open", "stream": 1, "segment": self._segment.name}
        self.process.send({**message, "model": default_model_id(), "device": "cpu"})
        self.link = Link(self._segment, self.process)

    def __enter__(self) -> "Feed":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.close()
        if not self.process.wait(5.0):
            self.process.kill()
        self.link.close()

    def hello(self) -> dict[str, Any]:
        """What the engine said about itself."""
        while not self.process.events.empty():
            event = self.process.events.get()
            if event.get("event") == "hello":
                return event
        return {}

    def first_mask_s(self) -> float:
        """Seconds from before the process was started until its first mask was published."""
        masks: list[Mask] = []
        end_s = time.monotonic() + FIRST_MASK_WITHIN_S
        for _ in paced(FIRST_MASK_WITHIN_S):
            masks = self.link.take_masks()
            if masks or self.process.exit_code() is not None:
                break
            if self._frames_rgba or self._learn_size():
                self._publish()
        if not masks:
            raise CommandError(f"No mask came within {FIRST_MASK_WITHIN_S - max(0.0, end_s - time.monotonic()):.0f} s")
        return (masks[0].publish_ns - self.start_ns) / 1e9

    def run(self, seconds: float) -> list[Trip]:
        """Feed frames at 30 per second; gives the way of each that came back."""
        self.link.take_masks()
        trips: list[Trip] = []
        for _ in paced(seconds):
            begin_ns = time.perf_counter_ns()
            masks = self.link.take_masks()
            read_ms = (time.perf_counter_ns() - begin_ns) / 1e6
            trips += [self._trip(mask, read_ms / len(masks)) for mask in masks]
            self._publish()
        return trips

    def _trip(self, mask: Mask, read_ms: float) -> Trip:
        way_ms = (mask.publish_ns - mask.capture_ns) / 1e6
        publish_ms = self._publish_ms.pop(mask.frame_id, 0.0)
        return Trip(way_ms + read_ms, mask.prepare_ms, mask.infer_ms, mask.refine_ms, publish_ms, read_ms)

    def _publish(self) -> None:
        frame_id = next(self._ids)
        frame_rgba = self._frames_rgba[frame_id % len(self._frames_rgba)]
        height, width = frame_rgba.shape[:2]
        capture_ns = time.monotonic_ns()
        flags = DEFAULTS.flags()
        self.link.frames.publish(frame_rgba.ctypes.data, width * 4, width, height, frame_id, capture_ns, flags)
        self.link.wake()
        self._publish_ms[frame_id] = (time.monotonic_ns() - capture_ns) / 1e6

    def _learn_size(self) -> bool:
        """Whether the engine has said what size it wants; then the pictures have it."""
        status = self.link.status()
        size = (status.input_width, status.input_height)
        if all(size):
            there = [np.ascontiguousarray(to_rgba(each, size)) for each in self._pictures_bgr]
            self._frames_rgba = [*there, *there[-2:0:-1]]
        return all(size)


def paced(seconds: float) -> Any:
    """Yield 30 times a second; a late turn is not made up for."""
    next_s = time.monotonic()
    end_s = next_s + seconds
    while next_s < end_s:
        yield
        next_s = max(next_s + 1 / FPS, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))


def to_rgba(picture_bgr: Picture, size: tuple[int, int]) -> Picture:
    """A picture (uint8 H x W x 3, BGR) in the size (width, height) that the engine takes, as RGBA."""
    return np.asarray(cv2.cvtColor(cv2.resize(picture_bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGBA))


def cpu_share(pid: int, act: Callable[[], Any]) -> tuple[float, Any]:
    """Percent of one core that a process takes while ``act`` runs; and what ``act`` gives."""
    begin_ns, begin_s = cpu_ns(pid), time.monotonic()
    result = act()
    return (cpu_ns(pid) - begin_ns) / 1e7 / (time.monotonic() - begin_s), result


def measure_engine(python: Path) -> tuple[Section, dict[str, str]]:
    """All figures of the engine alone, and what there is to say about it."""
    print(f"The engine: {STARTS} starts, {PACED_S:g} s at {FPS} frames per second, {IDLE_S:g} s idle", flush=True)
    pictures_bgr = [
        np.asarray(cv2.resize(each, (640, 360)), np.uint8) for each in itertools.islice(portrait_frames(), PICTURES)
    ]
    starts_s = []
    for _ in range(STARTS):
        with Feed(python, pictures_bgr) as feed:
            starts_s.append(feed.first_mask_s())
    with Feed(python, pictures_bgr) as feed:
        feed.first_mask_s()
        found = {"ONNX Runtime": str(feed.hello().get("onnxruntime", "unknown"))}
        feed.run(WARM_UP_S)
        status = feed.link.status()
        found["model"] = f"{status.model}, {status.input_width}x{status.input_height}, on {status.device}"
        pid = feed.process.pid
        busy_percent, trips = cpu_share(pid, lambda: feed.run(PACED_S))
        memory_mb = resident_mb(pid)
        idle_percent, _ = cpu_share(pid, lambda: time.sleep(IDLE_S))
    whole_ms = [trip.whole_ms for trip in trips]
    figures = [
        Figure("start of the process to the first mask, median", median(starts_s), "s", 2, 1.0, above=True),
        Figure("the same, slowest of the starts", max(starts_s), "s", 2),
        Figure("round trip at 30 Hz, p50", median(whole_ms), "ms", 2, 3.0),
        Figure("round trip at 30 Hz, p95", percentile(whole_ms, 95), "ms", 2, 5.0),
        Figure("masks per frame", len(trips) / (PACED_S * FPS), "", 2),
        Figure("processor at 30 masks per second, share of a core", busy_percent, "%", 1, 15.0, above=True),
        Figure("processor idle (source hidden), share of a core", idle_percent, "%", 2, 1.0, above=True),
        Figure("memory (resident)", memory_mb, "MB", 0, 150.0, above=True),
    ]
    note = (
        "A real engine process, started and fed as OBS does it (same code, same segment, default settings, sharp edges "
        "included), with a moving portrait. A round trip begins before the frame is copied into the "
        "shared memory and ends when its mask has been copied out of it; the wait for OBS's next frame is not in it."
    )
    return Section("Engine", note, figures, [stages(trips)]), found


def stages(trips: list[Trip]) -> Table:
    """Where a round trip's time goes."""
    parts: dict[str, list[float]] = {
        "publish the frame and wake (in OBS)": [each.publish_ms for each in trips],
        "prepare": [each.prepare_ms for each in trips],
        "infer": [each.infer_ms for each in trips],
        "refine": [each.refine_ms for each in trips],
        "read the mask (in OBS)": [each.read_ms for each in trips],
    }
    known_ms = [each.publish_ms + each.prepare_ms + each.infer_ms + each.refine_ms + each.read_ms for each in trips]
    parts["rest: waking up, copies in the engine"] = [
        max(each.whole_ms - known, 0.0) for each, known in zip(trips, known_ms)
    ]
    rows = [(name, f"{median(values):.2f} ms", f"{percentile(values, 95):.2f} ms") for name, values in parts.items()]
    return Table(("stage", "p50", "p95"), rows)
