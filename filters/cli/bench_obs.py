# SPDX-License-Identifier: GPL-2.0-or-later
"""What the filter adds to each frame in real OBS, beside OBS's own Chroma Key and no filter at all, taking turns."""

import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...tests.obs.harness import Filter, HarnessError, Obs, ObsExit, Timing, media_source, write_clip
from ..environment.folders import ENGINE_OVERRIDE
from ..obs.profile import VARIABLE as PROFILE_VARIABLE
from .bench_report import Figure, Section, Table, median, percentile
from .demo_pictures import portrait_frames
from .workshop import ROOT

SIZE_PX = (1920, 1080)
FPS = 30
ROUNDS = 3
WATCH_S = 10.0
# Small, so that a software GPU leaves the processor to our Python, which does the same at any size.
SMALL_PX = (640, 360)
PROFILED_S, WARM_UP_FRAMES = 40.0, 150
FILTER_KIND = "obs_background_filter"
THREAD = "obs_graphics_thread"
ROWS = (THREAD, "tick_sources", "render_video", "render_displays")
_OBS = re.compile(r"OBS (\d[\w.+-]*)")
_ADAPTER = re.compile(r"Loading up OpenGL on adapter (.+)")
_OPENGL = re.compile(r"OpenGL loaded successfully, version (.+?), shading")
NOTE = (
    f"Real OBS on a hidden screen, canvas and source {SIZE_PX[0]}x{SIZE_PX[1]}, {FPS} frames per second, default "
    f"settings, {ROUNDS} rounds of {WATCH_S:g} s in which the three take turns. The source is a clip of one still "
    "picture: drawn like a camera (an asynchronous source), without a decoder that would disturb. The preview is "
    "switched off and no output runs, so only the canvas is drawn. Added is the median time of OBS's graphics thread "
    "for a frame, less that of the same round without a filter. Our own Python is what our callbacks take outside "
    f"libobs (the clocks that measure it included), in a run of its own of {PROFILED_S:g} s at "
    f"{SMALL_PX[0]}x{SMALL_PX[1]}, where drawing in software leaves the processor free, without its first "
    f"{WARM_UP_FRAMES} frames. A 99th percentile of the thread holds the start: compiling shaders, the first masks."
)


@dataclass
class Variant:
    """One way to run the scene, and what OBS's profiler said each time."""

    name: str
    kind: str | None
    runs: list[dict[str, Timing]] = field(default_factory=list)

    def median_ms(self, row: str) -> float:
        """The median over the rounds of the medians of a row of the profiler."""
        return median([run[row].median_ms for run in self.runs if row in run])

    def p99_ms(self, row: str) -> float:
        """The median over the rounds of the 99th percentiles."""
        return median([run[row].p99_ms for run in self.runs if row in run])

    def added_ms(self, row: str, nothing: "Variant") -> list[float]:
        """Round by round, what a row's median has more than that of the round without a filter."""
        return [
            mine[row].median_ms - other[row].median_ms
            for mine, other in zip(self.runs, nothing.runs)
            if row in mine and row in other
        ]


def measure_obs(python: Path) -> tuple[Section, dict[str, str]]:
    """All figures of the filter inside OBS, and what OBS says about itself."""
    nothing, chroma, ours = (
        Variant("no filter", None),
        Variant("Chroma Key", "chroma_key_filter_v2"),
        Variant("Background Filter", FILTER_KIND),
    )
    result: ObsExit | None = None
    with tempfile.TemporaryDirectory(prefix="obs-background-filter-bench-") as name:
        folder = Path(name)
        clip, small_clip = (write_still(folder / f"{size_px[1]}.mkv", size_px) for size_px in (SIZE_PX, SMALL_PX))
        for number in range(ROUNDS):
            for variant in (nothing, chroma, ours):
                print(f"OBS, round {number + 1} of {ROUNDS}: {variant.name}", flush=True)
                result = run(clip, variant.kind)
                variant.runs.append(result.profiler)
        print("OBS, our own Python", flush=True)
        profile = folder / "profile.json"
        run(small_clip, ours.kind, SMALL_PX, PROFILED_S, {PROFILE_VARIABLE: str(profile)})
        own_ms = own_python_ms(json.loads(profile.read_text(encoding="utf-8")))
    assert result is not None
    return section(nothing, chroma, ours, own_ms), facts(result.log)


def still_bgr(size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The moving portrait's first picture in this size (width, height): uint8 H x W x 3."""
    picture_bgr = cv2.resize(next(portrait_frames()), size_px, interpolation=cv2.INTER_CUBIC)
    return np.asarray(picture_bgr, dtype=np.uint8)


def write_still(path: Path, size_px: tuple[int, int]) -> Path:
    """A clip of one picture that lasts two minutes."""
    return write_clip(path, [still_bgr(size_px)] * 2, 1 / 60)


def run(
    clip: Path,
    kind: str | None,
    canvas_px: tuple[int, int] = SIZE_PX,
    watch_s: float = WATCH_S,
    environment: Mapping[str, str] | None = None,
) -> ObsExit:
    """One OBS from start to end with a filter of this kind on the camera."""
    inherited = {ENGINE_OVERRIDE: os.environ[ENGINE_OVERRIDE]} if ENGINE_OVERRIDE in os.environ else {}
    filters = [Filter("Filter", kind)] if kind else []
    with Obs(
        scripts=[ROOT / "obs_background_filter.py"],
        sources=[media_source("Camera", clip, filters=filters)],
        canvas=canvas_px,
        fps=FPS,
        env=inherited | dict(environment or {}),
        name="bench",
    ) as obs:
        obs.ws.trigger_hot_key_by_name("OBSBasic.DisablePreview", None)
        if kind == FILTER_KIND:
            obs.wait_for_log(": ready, model", 20.0)
        time.sleep(watch_s)
    assert obs.exit is not None
    if obs.exit.code != 0:
        raise HarnessError(f"OBS ended with code {obs.exit.code}\n{obs.exit.log[-2000:]}")
    return obs.exit


def own_python_ms(profile: dict[str, Any]) -> list[float]:
    """Per frame, milliseconds in our callbacks outside libobs, without those before the first masks came."""
    frames_ns = profile["frames_ns"][WARM_UP_FRAMES:]
    return [(callbacks - libobs) / 1e6 for callbacks, libobs in frames_ns]


def section(nothing: Variant, chroma: Variant, ours: Variant, own_ms: list[float]) -> Section:
    """The figures out of all runs."""
    chroma_ms, ours_ms = chroma.added_ms(THREAD, nothing), ours.added_ms(THREAD, nothing)
    ratios = [mine / other for mine, other in zip(ours_ms, chroma_ms)]
    figures = [
        Figure("added per frame, as a multiple of what Chroma Key adds", median(ratios), "times", 2, 1.5),
        Figure("the same, worst round", max(ratios, default=float("nan")), "times", 2),
        Figure("Chroma Key adds", median(chroma_ms), "ms", 1),
        Figure("Background Filter adds", median(ours_ms), "ms", 1),
        Figure("our own Python per frame, median", median(own_ms), "ms", 2, 0.3),
        Figure("our own Python per frame, 99th percentile", percentile(own_ms, 99), "ms", 2, 1.0),
        Figure("frames that our own Python was timed in", len(own_ms), "", 0),
    ]
    rows = [
        (row, *(f"{each.median_ms(row):.1f} / {each.p99_ms(row):.0f}" for each in (nothing, chroma, ours)))
        for row in ROWS
    ]
    table = Table(("OBS's profiler, median / p99 in ms", nothing.name, chroma.name, ours.name), rows)
    return Section("Inside OBS", NOTE, figures, [table])


def facts(log: str) -> dict[str, str]:
    """OBS and the graphics driver, from OBS's log."""
    found = {"OBS": _OBS.search(log), "graphics": _ADAPTER.search(log), "OpenGL": _OPENGL.search(log)}
    return {name: match[1].strip() if match else "unknown" for name, match in found.items()}
