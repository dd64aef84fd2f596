# SPDX-License-Identifier: GPL-2.0-or-later
"""How far drawn alpha is from the truth: measures of single frames, of pairs of frames, and of the lag.

All take float32 H x W arrays of one size, 0 to 1; a person is where alpha is above half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAK_ALPHA = 0.1
# What a colour of 256 steps can't tell from nothing is background.
NOBODY = 1 / 512
LAGS = range(-4, 5)
# What lies this near to her moves with her, as a part of the frame's height: her edge, and the mask's error around it.
NEAR = 0.02
# The lag is sought on every fourth pixel of every fourth row.
LAG_STEP_PX = 4
NAN = float("nan")


def intersection_over_union(alpha: Alpha, truth: Alpha) -> float:
    """Of the two masks at half; 1 when both are empty."""
    seen, true = alpha > 0.5, truth > 0.5
    union = int(np.count_nonzero(seen | true))
    return int(np.count_nonzero(seen & true)) / union if union else 1.0


def mean_absolute_difference(alpha: Alpha, truth: Alpha) -> float:
    """MAD, 0 to 1; tables show it times 1000."""
    return float(np.abs(alpha - truth).mean())


def background_leak(alpha: Alpha, truth: Alpha) -> float:
    """The share of the background's pixels with an alpha above ``LEAK_ALPHA``; 0 without background."""
    background = truth < NOBODY
    count = int(np.count_nonzero(background))
    return int(np.count_nonzero(background & (alpha > LEAK_ALPHA))) / count if count else 0.0


def flicker(alpha: Alpha, before: Alpha, truth: Alpha, truth_before: Alpha, part: Mask) -> float:
    """dtSSD of a pair of frames within ``part`` (bool H x W), 0 to 1; tables show it times 100. Not-a-number for none.

    The root of the mean over pixels of ((a[t] - a[t-1]) - (g[t] - g[t-1]))^2, for alpha a and truth g. From Erofeev et
    al. 2015 ("Perceptually Motivated Benchmark for Video Matting"), divided by the number of pixels as in Lin et al.
    2022 ("Robust High-Resolution Video Matting").
    """
    if not part.any():
        return NAN
    change = ((alpha - before) - (truth - truth_before))[part]
    return math.sqrt(float(np.square(change).mean()))


def moving_part(truth: Alpha, truth_before: Alpha) -> Mask:
    """What moves between two frames if she does: where she is in either, and what is near to her; bool H x W."""
    person = ((truth >= NOBODY) | (truth_before >= NOBODY)).astype(np.uint8)
    side_px = 2 * round(NEAR * truth.shape[0]) + 1
    return np.asarray(cv2.dilate(person, np.ones((side_px, side_px), np.uint8)), np.bool_)


def lag_frames(errors: NDArray[np.float64]) -> int:
    """The lag, of errors of drawn alpha against the truth as it was ``LAGS`` frames before: positive trails."""
    return LAGS[int(np.argmin(errors))]


@dataclass
class Tally:
    """Gathers what is measured of one strategy in one motion."""

    values: dict[str, list[float]] = field(default_factory=dict)
    lag_errors: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LAGS)))

    def add_frame(self, alpha: Alpha, truth: Alpha, f_measure: Callable[[Mask, Mask], float]) -> None:
        """One frame; ``f_measure`` compares outlines."""
        self._note("iou", intersection_over_union(alpha, truth))
        self._note("mad", mean_absolute_difference(alpha, truth))
        self._note("boundary_f", f_measure(alpha > 0.5, truth > 0.5))
        self._note("leak", background_leak(alpha, truth))

    def add_pair(self, alpha: Alpha, before: Alpha, truth: Alpha, truth_before: Alpha, moves: bool) -> None:
        """One frame and the one before it; ``moves``: whether she moves at all."""
        moving = moving_part(truth, truth_before) if moves else np.zeros(truth.shape, np.bool_)
        self._note("moving_flicker", flicker(alpha, before, truth, truth_before, moving))
        self._note("still_flicker", flicker(alpha, before, truth, truth_before, ~moving))

    def add_lag(self, alpha: Alpha, truth_at: Callable[[int], Alpha]) -> None:
        """One frame against ``truth_at(lag)``, the truth as it was so many frames before, on the lag's grid."""
        small = alpha[::LAG_STEP_PX, ::LAG_STEP_PX]
        self.lag_errors += [mean_absolute_difference(small, truth_at(lag)) for lag in LAGS]

    def mean(self, name: str) -> float:
        """The mean of a measure over what was added; not-a-number for nothing."""
        known = [value for value in self.values.get(name, []) if value == value]
        return sum(known) / len(known) if known else NAN

    @property
    def lag(self) -> float:
        """The lag in frames; not-a-number if nothing was added, or if she stands still."""
        return float(lag_frames(self.lag_errors)) if np.ptp(self.lag_errors) else NAN

    def _note(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(float(value))
