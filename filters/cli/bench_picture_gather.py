# SPDX-License-Identifier: GPL-2.0-or-later
"""From a recording to figures: each shown frame's alpha against the truth of that very frame, and what others do with
the same masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models.training.outlines import boundary_f
from ...tests.obs.harness.clips import iterate_frames
from .bench_picture_alpha import halves, recovered_alpha, shown_index
from .bench_picture_clip import WARM_UP_FRAMES, Alpha, Clip, Motion, Picture, Scene
from .bench_picture_metrics import LAG_STEP_PX, Tally

PLAIN, AVERAGE, LATE = "plain bilinear", "plain average .25", "one frame of lag"
UNSMOOTHED, OURS, NO_DELAY = "ours, smoothing 0", "ours", "ours, no delay"
STRATEGIES = (PLAIN, AVERAGE, LATE, UNSMOOTHED, OURS, NO_DELAY)
AVERAGE_WEIGHT = 0.25

# Gives the alpha that a strategy draws on a frame: of the frame's alpha as recorded, whether the scene is a new one,
# and whether the frame shown before it is the one before it. None: it can't be told.
Strategy = Callable[[Alpha, bool, bool], "Alpha | None"]


@dataclass
class Pass:
    """What one recording showed: the indices of the clip's frames, and the figures by strategy and motion."""

    seen: set[int] = field(default_factory=set)
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    # Alpha in 256 steps in the scene that the documentation shows, by the frame's index.
    samples_r8: dict[int, Picture] = field(default_factory=dict)

    def tally(self, strategy: str, motion: Motion) -> Tally:
        """Where a strategy's figures in a motion are gathered."""
        return self.tallies.setdefault((strategy, motion.name), Tally())


def gather(strategy: str, recording: Path, clip: Clip, fingerprints: NDArray[np.int16]) -> Pass:
    """Everything that a recording of ``strategy`` shows; from plain masks also what others do with such."""
    found, last_index = _begin(strategy, clip), -1
    for recorded_bgr in iterate_frames(recording):
        over_black_bgr, over_white_bgr = halves(recorded_bgr)
        alpha = recovered_alpha(over_black_bgr, over_white_bgr)
        index = shown_index(over_black_bgr, alpha, fingerprints)
        if index is None or index == last_index:
            continue
        if index < last_index:  # so far it was what stood there before the clip was started again
            found = _begin(strategy, clip)
        found.add(index, alpha)
        last_index = index
    return found.result


def sample_scene(clip: Clip) -> int:
    """The scene that the documentation shows: the first person's fastest."""
    first = [number for number, scene in enumerate(clip.scenes) if scene.person is clip.scenes[0].person]
    return max(first, key=lambda number: clip.scenes[number].motion.widths_per_frame)


class Average:
    """A running average of the masks, wherever anything moves."""

    def __init__(self) -> None:
        self._average = np.empty((0, 0), np.float32)

    def __call__(self, alpha: Alpha, is_new_scene: bool, _follows: bool) -> Alpha:
        """See ``Strategy``."""
        if is_new_scene:
            self._average = alpha
        else:
            self._average = self._average + np.float32(AVERAGE_WEIGHT) * (alpha - self._average)
        return self._average


class Late:
    """Each mask on the frame after its own."""

    def __init__(self) -> None:
        self._before: Alpha | None = None

    def __call__(self, alpha: Alpha, _is_new_scene: bool, follows: bool) -> Alpha | None:
        """See ``Strategy``."""
        before, self._before = self._before, alpha
        return before if follows else None


def as_recorded(alpha: Alpha, _is_new_scene: bool, _follows: bool) -> Alpha:
    """What was recorded; see ``Strategy``."""
    return alpha


class Gatherer:
    """Measures the shown frames of a clip one by one, in their order, for several strategies."""

    def __init__(self, clip: Clip, strategies: dict[str, Strategy]) -> None:
        self.result = Pass()
        self._clip, self._strategies = clip, strategies
        self._last_index = -1
        self._truth_before = np.empty((0, 0), np.float32)
        self._small_truths: dict[int, Alpha] = {}
        self._before: dict[str, Alpha | None] = {}

    def add(self, index: int, alpha: Alpha) -> None:
        """Frame ``index`` of the clip, shown with ``alpha``."""
        scene, number = self._clip.at(index)
        is_new_scene = self._last_index < 0 or self._clip.at(self._last_index)[0] is not scene
        follows = not is_new_scene and index == self._last_index + 1
        truth = scene.truth(number)
        if is_new_scene:
            self._small_truths.clear()
        for name, strategy in self._strategies.items():
            drawn = strategy(alpha, is_new_scene, follows)
            before = self._before.get(name) if follows else None
            if number >= WARM_UP_FRAMES and drawn is not None:
                tally = self.result.tally(name, scene.motion)
                tally.add_frame(drawn, truth, boundary_f)
                tally.add_lag(drawn, lambda lag: self._small_truth(scene, number - lag))
                if before is not None:
                    tally.add_pair(drawn, before, truth, self._truth_before, scene.motion.widths_per_s > 0)
            self._before[name] = drawn
        if number >= WARM_UP_FRAMES and scene is self._clip.scenes[sample_scene(self._clip)]:
            self.result.samples_r8[index] = np.rint(alpha * 255).astype(np.uint8)
        self.result.seen.add(index)
        self._last_index, self._truth_before = index, truth

    def _small_truth(self, scene: Scene, number: int) -> Alpha:
        """The truth of a frame of the scene that is being measured, on the lag's grid."""
        if number not in self._small_truths:
            self._small_truths[number] = scene.truth(number)[::LAG_STEP_PX, ::LAG_STEP_PX].copy()
        return self._small_truths[number]


def _begin(strategy: str, clip: Clip) -> Gatherer:
    others: dict[str, Strategy] = {AVERAGE: Average(), LATE: Late()} if strategy == PLAIN else {}
    return Gatherer(clip, {strategy: as_recorded, **others})
