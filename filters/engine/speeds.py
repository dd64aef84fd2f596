# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the models are on this computer: measured once, kept by digest, device and version of ONNX Runtime.

The file is nothing but a memory: one that is damaged, or that anybody has edited into nonsense, is measured anew.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ...models.atomic import replace_file
from ...models.catalog import rules
from ..environment.folders import config_folder
from .network import Network
from .pipeline import Segmenter
from .providers import candidates
from .refine import Refinement
from .sample_pictures import self_test_picture

FORMAT = 1
MAX_BYTES = 2**20
MAX_FIGURES = 1000  # the oldest go: digests of files that were replaced
MEASURE_S = 0.3
LEAST_RUNS = 3

_KEY = rules.matching(r"[0-9a-f]{64} [a-z+]{1,80} [0-9A-Za-z.+-]{1,40}")

Speeds = dict[str, float]  # milliseconds a frame, by key


def store_path() -> Path:
    """Where the figures are kept."""
    return config_folder() / "speeds.json"


def key_of(sha256: str, wanted_device: str) -> str:
    """What a figure holds for. "auto" stands for the devices that it would try here."""
    devices = [*candidates(wanted_device), "cpu"] if wanted_device == "auto" else [wanted_device]
    return f"{sha256} {'+'.join(devices)} {onnxruntime.__version__}"


def load_speeds(path: Path) -> Speeds:
    """The figures in a file; none if there is no such file, or anything about it is wrong."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        store = json.loads(raw.decode("utf-8")) if len(raw) <= MAX_BYTES else None
        if not isinstance(store, dict) or store.get("format") != FORMAT:
            return {}
        return _checked(store.get("speeds_ms"))
    except (OSError, ValueError, RecursionError):
        return {}


def save_speeds(path: Path, speeds: Mapping[str, float]) -> None:
    """Keep the figures, in one step. A folder that can't be written only means to measure again next time."""
    newest = dict(list(speeds.items())[-MAX_FIGURES:])
    content = json.dumps({"format": FORMAT, "speeds_ms": newest}, indent=2) + "\n"
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content.encode("ascii"))


def measure_ms(network: Network) -> float:
    """The mean milliseconds from a frame to its mask, over a fraction of a second.

    On the CPU it is the time that this thread really worked: what else the computer does now must not choose the model.
    """
    clock = time.thread_time if network.device == "cpu" else time.perf_counter
    picture = self_test_picture(network.width, network.height)
    pictures = picture, np.ascontiguousarray(picture[:, ::-1])  # the same one twice would cost nothing
    wanted = Refinement(sharp_edges=True, no_specks=True)
    segmenter = Segmenter(network)
    start_s, runs = clock(), 0
    while runs < LEAST_RUNS or clock() - start_s < MEASURE_S:
        segmenter.segment(pictures[runs % 2], time.monotonic_ns(), wanted)
        runs += 1
    return (clock() - start_s) * 1e3 / runs


def _checked(speeds: Any) -> Speeds:
    if not isinstance(speeds, dict):
        raise ValueError("no figures")
    return {_KEY(key): rules.positive(ms) for key, ms in speeds.items()}
