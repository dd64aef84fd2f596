# SPDX-License-Identifier: GPL-2.0-or-later
"""How good the picture is: real OBS with the filter on clips whose alpha is known, recorded and compared with the
truth.

A clip is played once for each way the filter is set, slower than it was "filmed", so that a software GPU draws every
frame and every frame gets its mask. What other filters do is derived from the recorded plain masks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tests.obs.harness import Filter, HarnessError, Obs, ObsExit, colour_source, media_source, write_clip
from ..environment.folders import ENGINE_OVERRIDE
from ..obs.settings import SETTINGS
from .bench_obs import FILTER_KIND
from .bench_options import PictureOptions
from .bench_picture_alpha import stacked
from .bench_picture_clip import (
    MEASURED_FRAMES,
    Clip,
    Motion,
    Picture,
    Scene,
    cut_out,
    drawn_room,
    masked_pictures,
    portrait,
    rooms_in,
)
from .bench_picture_gather import AVERAGE, LATE, NO_DELAY, OURS, PLAIN, STRATEGIES, UNSMOOTHED, Pass, gather
from .bench_picture_metrics import Tally
from .errors import CommandError
from .workshop import ROOT

CAMERA = "Camera"
READY_TIMEOUT_S = 30.0
# With less of the clip the figures would be those of a machine that can't keep up.
LEAST_SEEN = 0.7
# The engine moves masks ahead by milliseconds, with bounds; at lower rates a clip that is played slower is beyond them.
NO_DELAY_FPS = 5
# Everything that the filter adds to the network's mask, switched off; keys that it does not have are left out.
SWITCHED_OFF: dict[str, Any] = {
    "threshold": 0.5,
    "edge_softness": 1.0,
    "smoothing": 0.0,
    "feather_px": 0.0,
    "grow_px": 0.0,
    "sharp_edges": False,
    "remove_specks": False,
}


@dataclass(frozen=True)
class Plan:
    """What is measured: sizes (width, height) with the frames per second that OBS runs at, motions, people beside
    the repository's own, and measured frames per scene."""

    sizes_and_fps: tuple[tuple[tuple[int, int], int], ...]
    motions: tuple[Motion, ...]
    more_people: int
    measured_frames: int


# Frames that stand still differ in nothing but their noise, at whatever rate they are filmed.
FULL = Plan(
    (((640, 360), 15), ((1280, 720), 6), ((1920, 1080), 3)),
    (Motion(0.0, 60), Motion(0.4, 60), Motion(0.4, 30), Motion(1.2, 60), Motion(1.2, 30), Motion(1.2, 60, True)),
    more_people=1,
    measured_frames=MEASURED_FRAMES,
)
QUICK = Plan((((640, 360), 10),), (Motion(1.2, 30),), more_people=1, measured_frames=12)


@dataclass(frozen=True)
class PlayedPass:
    """One OBS with the filter set one way: how it ended, and what its recording showed."""

    settings: dict[str, Any]
    result: ObsExit
    found: Pass


@dataclass(frozen=True)
class SizeResult:
    """All that was found in frames of one size."""

    size_px: tuple[int, int]
    obs_fps: int
    clip: Clip
    passes: dict[str, PlayedPass]

    @property
    def name(self) -> str:
        """Such as 1280x720."""
        return "{}x{}".format(*self.size_px)

    @property
    def strategies(self) -> list[str]:
        """Those recorded, and those derived from the plain masks."""
        return [each for each in STRATEGIES if each in self.passes or each in (AVERAGE, LATE)]

    def tally(self, strategy: str, motion: Motion) -> Tally:
        """The figures of a strategy in a motion."""
        name = strategy if strategy in self.passes else PLAIN
        return self.passes[name].found.tally(strategy, motion)

    @property
    def log(self) -> str:
        """What the last OBS wrote into its log."""
        return self.passes[OURS].result.log

    def seen_share(self, strategy: str) -> float:
        """The share of the clip's frames that a pass showed."""
        return len(self.passes[strategy].found.seen) / len(self.clip)


def settings_of_passes(obs_fps: int) -> dict[str, dict[str, Any]]:
    """The filter's settings in each pass at this rate, by the strategy that it measures."""
    known = {setting.key for setting in SETTINGS}
    plain = {key: value for key, value in SWITCHED_OFF.items() if key in known}
    present = {NO_DELAY: {"timing": "no_delay"}} if "timing" in known and obs_fps >= NO_DELAY_FPS else {}
    return {PLAIN: plain, UNSMOOTHED: {"smoothing": 0.0}, OURS: {}, **present}


def measure_sizes(options: PictureOptions) -> Iterator[SizeResult]:
    """Play and measure all that ``options`` ask for, size by size."""
    plan = QUICK if options.quick else FULL
    for size_px, obs_fps in plan.sizes_and_fps:
        clip = make_clip(plan, size_px, options)
        with tempfile.TemporaryDirectory(prefix="obs-background-filter-picture-") as name:
            yield measure_size(clip, obs_fps, Path(name))


def make_clip(plan: Plan, size_px: tuple[int, int], options: PictureOptions) -> Clip:
    """The scenes of one size: every person in every motion, each person in a room; first the repository's own."""
    pictures, rooms = [portrait()], [drawn_room(size_px)]
    if options.data:
        pictures += masked_pictures(options.data, plan.more_people)
    if options.rooms:
        rooms += rooms_in(options.rooms, max(len(pictures) - 1, 1), size_px)
    people = [cut_out(picture_bgr, mask_r8, size_px) for picture_bgr, mask_r8 in pictures]
    places = [
        (people[number % len(people)], rooms[number % len(rooms)]) for number in range(max(len(people), len(rooms)))
    ]
    scenes = [Scene(person, room_bgr, motion) for person, room_bgr in places for motion in plan.motions]
    return Clip(scenes, plan.measured_frames)


def measure_size(clip: Clip, obs_fps: int, folder: Path) -> SizeResult:
    """All passes of one clip; ``folder`` takes its files, some GB, and is to be removed."""
    width, height = clip.size_px
    print(f"Picture, {width}x{height}: making the clip, {len(clip)} frames", flush=True)
    fingerprints: list[Picture] = []
    path = write_clip(folder / "clip.mkv", clip.frames(fingerprints), obs_fps, "HFYU")
    known_by = stacked(fingerprints)
    passes = {}
    for strategy, settings in settings_of_passes(obs_fps).items():
        print(f"Picture, {width}x{height}: {strategy}, at {obs_fps} frames per second", flush=True)
        recording, result = play(path, clip, obs_fps, settings, folder)
        found = gather(strategy, recording, clip, known_by)
        recording.unlink()
        share = len(found.seen) / len(clip)
        if share < LEAST_SEEN:
            raise CommandError(
                f"OBS showed {share:.0%} of the frames of {width}x{height} at {obs_fps} frames per second, too few to "
                "measure: end what else runs on this computer, and try again"
            )
        passes[strategy] = PlayedPass(settings, result, found)
    return SizeResult(clip.size_px, obs_fps, clip, passes)


def play(path: Path, clip: Clip, obs_fps: int, settings: dict[str, Any], folder: Path) -> tuple[Path, ObsExit]:
    """Play the clip once in an OBS of its own; gives the recording of it over black (upper half) and white (lower
    half), and how OBS ended."""
    width, height = clip.size_px
    camera = media_source(CAMERA, path, loop=False, filters=[Filter("Filter", FILTER_KIND, settings)])
    white = colour_source("White", (255, 255, 255), clip.size_px, position_px=(0, height))
    inherited = {ENGINE_OVERRIDE: os.environ[ENGINE_OVERRIDE]} if ENGINE_OVERRIDE in os.environ else {}
    with Obs(
        scripts=[ROOT / "obs_background_filter.py"],
        sources=[white, camera],
        canvas=(width, 2 * height),
        fps=obs_fps,
        env=inherited,
        name="bench_picture",
    ) as obs:
        obs.ws.trigger_hot_key_by_name("OBSBasic.DisablePreview", None)
        lower = obs.ws.create_scene_item("Scene", CAMERA, True).scene_item_id
        obs.ws.set_scene_item_transform("Scene", lower, {"positionX": 0, "positionY": height})
        obs.wait_for_log(": ready, model", READY_TIMEOUT_S)
        obs.start_recording()
        obs.ws.trigger_media_input_action(CAMERA, "OBS_WEBSOCKET_MEDIA_INPUT_ACTION_RESTART")
        _wait_for_end(obs, 2 * len(clip) / obs_fps + 30)
        time.sleep(1.0 + 6 / obs_fps)  # the picture is some frames late
        recorded = obs.stop_recording()
        kept = Path(shutil.move(recorded, folder / "recording.mkv"))
    assert obs.exit is not None
    if obs.exit.code != 0:
        raise HarnessError(f"OBS ended with code {obs.exit.code}\n{obs.exit.log[-2000:]}")
    return kept, obs.exit


def _wait_for_end(obs: Obs, timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while obs.ws.get_media_input_status(CAMERA).media_state != "OBS_MEDIA_STATE_ENDED":
        if time.monotonic() > end_s:
            raise HarnessError(f"the clip did not end within {timeout_s:g} s\n{obs.log[-2000:]}")
        time.sleep(0.2)
