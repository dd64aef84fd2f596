# SPDX-License-Identifier: GPL-2.0-or-later
"""The region that is looked at closer: around a small person, at rest while she is, large again at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from background_filter.filters.bridge.region import WHOLE, Region, check_region
from background_filter.filters.engine.attention import (
    ENTER,
    HISTORY_S,
    LEAST_STEPS,
    LEAVE,
    LOST_S,
    SETTLE_S,
    STEPS,
    Attention,
    Box,
    box_of,
    cover,
)

FPS = 30
SMALL = Box(0.4, 0.6, 0.5, 0.9)
SHARES = st.floats(0, 1)


def regions(boxes: Sequence[Box | None], attention: Attention, start: int = 0) -> list[Region]:
    """The region after each of the boxes, one a frame."""
    return [attention.note((start + number) * 10**9 // FPS, box) for number, box in enumerate(boxes, 1)]


def settled(box: Box = SMALL) -> Attention:
    """After two seconds of a person in ``box``."""
    attention = Attention()
    regions([box] * 2 * FPS, attention)
    return attention


def changes(found: list[Region]) -> int:
    return sum(one != other for one, other in itertools.pairwise(found))


@given(st.tuples(SHARES, SHARES, SHARES, SHARES))
def test_a_region_covers_its_box_on_the_grid_within_the_frame(ends: tuple[float, float, float, float]) -> None:
    box = Box(min(ends[0], ends[2]), min(ends[1], ends[3]), max(ends[0], ends[2]), max(ends[1], ends[3]))
    region = cover(box)
    check_region("region", region)
    assert box.lies_in(region)
    assert all(float(each * STEPS).is_integer() for each in region)
    assert region.side >= LEAST_STEPS / STEPS
    assert Region(*np.asarray(region, np.float32)) == region  # as the bridge has it


def test_a_small_person_is_looked_at_closer_with_room_around_her() -> None:
    attention = Attention()
    found = regions([SMALL] * 3 * FPS, attention)
    assert found[round(SETTLE_S * FPS / 2)].is_whole
    assert changes(found) == 1
    assert SMALL.padded(0.25).lies_in(attention.region) and attention.region.side <= 0.5


def test_a_large_person_is_seen_as_without_this() -> None:
    assert set(regions([Box(0.2, 0.3, 0.8, 1.0)] * 5 * FPS, Attention())) == {WHOLE}


def test_breathing_and_flicker_move_nothing() -> None:
    attention, random = settled(), np.random.default_rng(1)
    jitter = random.normal(0, 0.004, (10 * FPS, 4))
    found = regions([Box(*(np.array(SMALL) + each)) for each in jitter], attention, 2 * FPS)
    assert changes(found) == 0


def test_the_region_is_there_before_she_leaves_it() -> None:
    attention = settled()
    for number in range(4 * FPS):
        shift = 0.25 * np.sin(number / FPS)  # a quarter of the frame's width a second
        box = Box(SMALL.left + shift, SMALL.top, SMALL.right + shift, SMALL.bottom)
        region = attention.note((2 * FPS + number) * 10**9 // FPS, box)
        assert box.lies_in(region)


def test_it_grows_at_once_and_shrinks_after_a_while() -> None:
    attention = settled()
    closer = Box(0.36, 0.52, 0.54, 0.94)
    (grown,) = regions([closer], attention, 2 * FPS)
    assert closer.lies_in(grown) and 0.5 < grown.side <= LEAVE
    found = regions([Box(0.39, 0.58, 0.51, 0.92)] * 4 * FPS, attention, 2 * FPS + 1)
    stays = next(number for number, region in enumerate(found) if region != grown)
    assert stays >= 0.9 * HISTORY_S * FPS
    assert changes(found) == 1 and found[-1].side < 0.8 * grown.side


def test_who_is_too_small_again_is_followed_sooner() -> None:
    attention = settled(Box(0.3, 0.5, 0.6, 0.95))
    before = attention.region
    found = regions([SMALL._replace(top=0.75)] * FPS, attention, 2 * FPS)
    assert found[round(1.1 * SETTLE_S * FPS)].side < 0.75 * before.side


def test_who_comes_near_gets_the_whole_frame_at_once() -> None:
    attention = settled()
    assert regions([Box(0.1, 0.1, 0.9, 1.0)], attention, 2 * FPS) == [WHOLE]


def test_nobody_for_a_second_or_a_pause_gives_the_whole_frame() -> None:
    attention = settled()
    found = regions([None] * 2 * FPS, attention, 2 * FPS)
    assert found[0] != WHOLE and found[round(1.1 * LOST_S * FPS)] == WHOLE
    attention = settled()
    assert regions([SMALL], attention, 20 * FPS) == [WHOLE]


def test_what_moves_where_nobody_is_seen_is_looked_at_unless_it_is_large() -> None:
    attention = Attention()
    regions([None] * FPS, attention)
    assert attention.search(Box(0.0, 0.1, 1.0, 0.9)) == WHOLE
    region = attention.search(SMALL)
    assert SMALL.lies_in(region) and region.side <= ENTER


def test_what_was_given_up_stays_so_for_a_while() -> None:
    attention = settled()
    attention.give_up()
    found = regions([SMALL] * 20 * FPS, attention, 2 * FPS)
    assert set(found[: 9 * FPS]) == {WHOLE} and found[-1] != WHOLE


def test_the_box_of_a_mask() -> None:
    alpha = np.zeros((144, 256), np.uint8)
    assert box_of(alpha) is None
    alpha[72:108, 64:128] = 255
    alpha[3, 3] = 255  # a speck
    assert box_of(alpha) == Box(0.25, 0.5, 0.5, 0.75)
    assert box_of(alpha, Region(0.5, 0.25, 0.5)) == Box(0.625, 0.5, 0.75, 0.625)
    assert box_of(np.minimum(alpha, 100)) is None  # nothing that is more likely somebody than not
    alpha[20:30, 200:220] = 255  # a second person
    assert box_of(alpha) == Box(0.25, 20 / 144, 220 / 256, 0.75)


def test_a_box_that_reaches_the_regions_border_is_cut_but_not_by_the_frames() -> None:
    region = Region(0.0, 0.5, 0.5)
    assert not Box(0.0, 0.6, 0.4, 1.0).is_cut_by(region)
    assert Box(0.0, 0.6, 0.5, 1.0).is_cut_by(region)
    assert Box(0.1, 0.5, 0.4, 1.0).is_cut_by(region)
