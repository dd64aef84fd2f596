# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the person will be: even movement is foreseen, what stands still stays, old frames say nothing."""

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.foresight import Foresight, move
from background_filter.tests.engine.moving import FRAME_MS, FRAME_NS, SIZE, mad, scene


@pytest.mark.parametrize("step_px", [-5.0, 2.0, 8.0])
def test_a_mask_is_moved_to_where_an_even_movement_leads(step_px: float) -> None:
    foresight = Foresight()
    start = 70 - 10 * np.sign(step_px)
    for number in range(2):
        alpha, frame_rgba = scene(start + number * step_px, number)
        movement = foresight.movement(alpha, frame_rgba, (number + 1) * FRAME_NS, 2 * FRAME_MS)
    assert movement is not None
    later, _ = scene(start + 3 * step_px)
    assert mad(move(alpha, movement), later) < 0.25 * mad(alpha, later)


@pytest.mark.parametrize("jitter_ns", [0, 3_000_000])
def test_of_a_camera_at_half_the_rate_each_repeated_frame_is_followed_by_a_step(jitter_ns: int) -> None:
    foresight = Foresight()
    moved_by = []
    for number in range(8):
        alpha, frame_rgba = scene(60 + 6 * (number // 2), number // 2)
        time_ns = (number + 1) * FRAME_NS + jitter_ns * (-1) ** (number // 3)
        movement = foresight.movement(alpha, frame_rgba, time_ns, FRAME_MS)
        moved_by.append(0.0 if movement is None else float(movement[alpha > 127][:, 0].mean()))
    assert moved_by[2::2] == [0.0] * 3  # a new picture is shown twice
    assert moved_by[3::2] == pytest.approx([6.0] * 3, abs=0.6)


def test_a_picture_that_was_missed_makes_the_next_step_no_longer() -> None:
    foresight = Foresight()
    for place in (0, 1, 2, 3, 5):
        alpha, frame_rgba = scene(50 + 5 * place, place)
        movement = foresight.movement(alpha, frame_rgba, (place + 1) * FRAME_NS, FRAME_MS)
    assert movement is not None
    assert float(movement[alpha > 127][:, 0].mean()) == pytest.approx(5, abs=0.5)


def test_a_source_that_stops_stops_its_mask() -> None:
    foresight = Foresight()
    for number in range(2):
        alpha, frame_rgba = scene(60 + 6 * number, number)
        assert (foresight.movement(alpha, frame_rgba, (number + 1) * FRAME_NS, FRAME_MS) is None) == (number == 0)
    assert foresight.movement(alpha, frame_rgba, 4 * FRAME_NS, FRAME_MS) is None


def test_factors_of_half_the_size_move_alike() -> None:
    foresight = Foresight()
    for number in range(2):
        alpha, frame_rgba = scene(60 + 6 * number)
        movement = foresight.movement(alpha, frame_rgba, (number + 1) * FRAME_NS, FRAME_MS)
    assert movement is not None
    half = np.asarray(cv2.resize(alpha, (128, 72), interpolation=cv2.INTER_AREA), np.float32)
    moved = move(np.dstack([half] * 4), movement)
    expected = cv2.resize(move(alpha, movement), (128, 72), interpolation=cv2.INTER_AREA)
    assert moved.shape == (72, 128, 4)
    assert np.abs(moved - expected[:, :, None]).mean() < 2


def test_who_stands_still_stays() -> None:
    foresight = Foresight()
    for number in range(2):
        alpha, frame_rgba = scene(70, number)
        movement = foresight.movement(alpha, frame_rgba, (number + 1) * FRAME_NS, 2 * FRAME_MS)
    assert movement is not None
    assert mad(move(alpha, movement), alpha) < 0.002


@pytest.mark.parametrize("gap_ns", [0, -FRAME_NS, 10**9])
def test_of_a_pause_or_a_jump_in_time_nothing_is_foreseen(gap_ns: int) -> None:
    foresight = Foresight()
    alpha, frame_rgba = scene(70)
    assert foresight.movement(alpha, frame_rgba, 10**10, FRAME_MS) is None
    assert foresight.movement(alpha, frame_rgba, 10**10 + gap_ns, FRAME_MS) is None
    other = np.zeros((33, 47, 4), np.uint8)
    assert foresight.movement(other[:, :, 0], other, 10**10 + gap_ns + FRAME_NS, FRAME_MS) is None


def test_nobody_moves_nowhere() -> None:
    foresight = Foresight()
    nobody = np.zeros(SIZE[::-1], np.uint8)
    for number in range(2):
        _, frame_rgba = scene(60 + 6 * number)
        movement = foresight.movement(nobody, frame_rgba, (number + 1) * FRAME_NS, FRAME_MS)
    assert movement is not None
    assert not movement.any()
