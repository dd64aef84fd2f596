# SPDX-License-Identifier: GPL-2.0-or-later
"""Which model is suggested: the best of those that the machine holds, never one that nobody measured."""

import itertools
import math

import pytest

from background_filter.models.catalog import load_catalog
from background_filter.models.suggest import Candidate, is_held, suggest

FAST = Candidate("fast", 2.0, 0.93)
GOOD = Candidate("good", 10.0, 0.95)
BEST = Candidate("best", 40.0, 0.97)


@pytest.mark.parametrize(
    ("fps", "share", "expected"),
    [(30, 0.5, "good"), (60, 0.5, "fast"), (10, 0.5, "best"), (30, 1.0, "good"), (24, 1.0, "best"), (300, 0.5, None)],
)
def test_the_best_that_is_held_whatever_their_order(fps: float, share: float, expected: str | None) -> None:
    for order in itertools.permutations([FAST, GOOD, BEST]):
        assert suggest(order, fps, share) == expected


def test_half_of_the_time_between_frames_is_still_held() -> None:
    assert is_held(1000 / 30 / 2 - 1e-9, 30)
    assert not is_held(1000 / 30 / 2 + 1e-9, 30)
    assert suggest([Candidate("a", 10.0, 0.5)], 50) == "a"


def test_unknown_quality_is_never_suggested() -> None:
    assert suggest([Candidate("unknown", 1.0, None), FAST], 30) == "fast"
    assert suggest([Candidate("unknown", 1.0, None), Candidate("none", 1.0, math.nan)], 30) is None
    assert suggest([], 30) is None


def test_what_was_not_timed_is_never_suggested() -> None:
    broken = [Candidate("a", math.nan, 1.0), Candidate("b", math.inf, 1.0), Candidate("c", -1.0, 1.0)]
    assert suggest([*broken, FAST], 30) == "fast"


def test_of_equal_quality_the_faster_then_the_first_by_id() -> None:
    assert suggest([Candidate("b", 3.0, 0.9), Candidate("a", 4.0, 0.9), Candidate("c", 3.0, 0.9)], 30) == "b"


def test_the_models_that_ship_have_a_quality() -> None:
    for entry in load_catalog().values():
        if entry.id.startswith("person_"):
            assert entry.measured is not None and entry.measured.quality is not None, entry.id


def test_quality_is_the_mean_over_portraits_and_street() -> None:
    known = [entry.measured for entry in load_catalog().values() if entry.measured and entry.measured.quality]
    assert known
    for measured in known:
        assert measured.portraits_iou is not None and measured.street_iou is not None
        assert measured.quality == pytest.approx((measured.portraits_iou + measured.street_iou) / 2)
