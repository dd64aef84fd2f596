# SPDX-License-Identifier: GPL-2.0-or-later
"""What a frame costs here with each model on each device: the half of `models benchmark` that runs as the engine does.

It needs what the engine's environment has, and nothing else, for that is where it must run: there is the ONNX Runtime
that OBS gets its masks from, perhaps one for a graphics card.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...filters.cli.bench_processes import resident_mb
from ...filters.cli.errors import CommandError
from ...filters.cli.machine import machine
from ...filters.cli.models import words
from ...filters.cli.progress import Progress
from ...filters.engine import providers
from ...filters.engine.network import InferenceError, Network, load_network
from ...filters.engine.sample_pictures import self_test_picture
from .. import trust
from ..catalog import ModelEntry
from ..refusal import ModelRefused
from .turns import Row, in_turns, medians, processor_ms, wall_ms

ROUNDS = 10
FRAME_NS = 33_000_000  # between the frames that a network which remembers is shown


@dataclass
class ModelSpeed:
    """One model here. ``ms`` is by device: of a whole frame (prepare, run, decode), and of the bare network's run.

    ``absent`` says by device why it does not run there. ``memory_mb`` is the most that loading and running it on the
    CPU took, where the system tells. ``sha256`` is of the bytes that ran, ``input`` its width and height in pixels.
    """

    name: str
    sha256: str
    bytes: int
    input: tuple[int, int]
    ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    memory_mb: float | None = None


@dataclass
class Speeds:
    """All that was measured: what computer this is, the devices, and each model; ``refused`` says which can't run."""

    machine: dict[str, str]
    devices: list[str]
    models: list[ModelSpeed]
    refused: dict[str, str]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Speeds:
        """From ``dataclasses.asdict``, as it comes back from JSON."""
        return cls(**{**values, "models": [ModelSpeed(**each) for each in values["models"]]})


class Watched:
    """A session that notes how long its last run took."""

    def __init__(self, session: onnxruntime.InferenceSession, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self.run_ms = 0.0

    def run(self, names: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> Any:
        """As the session's."""
        start_ms = self._clock()
        outputs = self._session.run(names, feed)
        self.run_ms = self._clock() - start_ms
        return outputs


def frame_step(network: Network) -> Callable[[], Row]:
    """Takes one frame through a network, and gives the milliseconds of all of it and of the bare run.

    On the CPU they are the processor's: nothing but this thread computes there.
    """
    clock = processor_ms if network.device == "cpu" else wall_ms
    watched = Watched(network._session, clock)
    copy = Network(network.sha256, network.ports, watched, network.device)
    infer, picture_rgba = copy.new_sequence(), self_test_picture(network.width, network.height)
    capture_ns = 0

    def step() -> Row:
        nonlocal capture_ns
        capture_ns += FRAME_NS
        start_ms = clock()
        infer(copy.prepare(picture_rgba), picture_rgba, capture_ns)
        return clock() - start_ms, watched.run_ms

    return step


def measure_speeds(models: Mapping[str, ModelEntry | Path], devices: Sequence[str], seconds: float) -> Speeds:
    """Verify, load and measure models, all in turns, ``seconds`` each and device; without devices all at hand.

    CommandError if a device fails in the middle, or no model can run.
    """
    cv2.setNumThreads(1)
    onnxruntime.set_default_logger_severity(4)  # what fails is said in our own words
    devices = list(devices) or ["cpu", *providers.candidates("auto")]
    speeds = Speeds(about_here(), devices, [], {})
    networks: dict[tuple[str, str], Network] = {}
    with Progress("Measuring") as progress:
        for place, (name, model) in enumerate(models.items()):
            progress(0.5 * place / len(models), f"loading {name}")
            loaded = load_on_all(name, model, speeds)
            networks |= {(name, device): network for device, network in loaded.items()}
        if not networks:
            reasons = [*speeds.refused.values(), *(why for each in speeds.models for why in each.absent.values())]
            raise CommandError("\n".join(["Nothing can be measured.", *reasons]))
        steps = {f"{name} {device}": frame_step(network) for (name, device), network in networks.items()}
        try:
            found = in_turns(steps, ROUNDS, seconds / ROUNDS, lambda part: progress(0.5 + 0.5 * part, "in turns"))
        except InferenceError as error:
            raise CommandError(f"A model failed while it was measured: {error}") from error
    for each in speeds.models:
        for device in devices:
            if (each.name, device) in networks:
                whole_ms, network_ms = medians(found[f"{each.name} {device}"])
                each.ms[device] = (whole_ms, network_ms)
    return speeds


def load_on_all(name: str, model: ModelEntry | Path, speeds: Speeds) -> dict[str, Network]:
    """A model on each device that takes it; what there is to say about it goes into ``speeds``."""
    loaded: dict[str, Network] = {}
    before_mb = begin_memory()
    try:
        verified = trust.read_model(model)
        for device in speeds.devices:
            network, dropped = load_network(verified, device)
            if network.device == device:
                loaded[device] = network
            if device == speeds.devices[0]:
                found = ModelSpeed(name, verified.sha256, len(verified.data), (network.width, network.height))
                speeds.models.append(found)
            found.absent |= {each.device: str(each) for each in dropped}
            if device == "cpu":
                found.memory_mb = memory_since(before_mb, network)
    except ModelRefused as refusal:
        speeds.refused[name] = words(refusal)
    return loaded


def about_here() -> dict[str, str]:
    """The computer, and the libraries that measure."""
    names = ", ".join(onnxruntime.get_available_providers())
    libraries = f"{onnxruntime.__version__}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    return {**machine(), "ONNX Runtime": libraries, "providers": names}


# How much memory: Linux alone can forget an earlier peak.


def begin_memory() -> float | None:
    """Megabytes in memory now, from where on the peak counts; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return resident_mb(os.getpid())
    except OSError:
        return None


def memory_since(before_mb: float | None, network: Network) -> float | None:
    """By how much the peak lies above ``before_mb`` once the network has seen some frames."""
    if before_mb is None:
        return None
    step = frame_step(network)
    step()
    step()
    return max(0.0, resident_mb(os.getpid(), name="VmHWM") - before_mb)
