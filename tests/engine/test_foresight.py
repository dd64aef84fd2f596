# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the person will be: even movement is foreseen, what stands still stays, old frames say nothing."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.foresight import Foresight, move

SIZE = (256, 144)
FRAME_NS = 33_333_333
FRAME_MS = FRAME_NS / 1e6


def scene(x: float, noise_seed: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A textured person at x before a textured room: alpha HxW and frame HxWx4, uint8."""
    rng = np.random.default_rng(5)
    room = cv2.resize(rng.integers(0, 256, (18, 32, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    person = cv2.resize(rng.integers(0, 256, (30, 30, 3), np.uint8), (120, 120), interpolation=cv2.INTER_CUBIC)
    shape = np.zeros((120, 120), np.uint8)
    cv2.ellipse(shape, (60, 70), (50, 48), 0, 0, 360, 255, -1)
    place = np.array([[1, 0, x], [0, 1, 20]], np.float32)
    alpha = np.asarray(cv2.warpAffine(shape, place, SIZE), np.uint8)
    cover = alpha[:, :, None] / 255
    picture = cv2.warpAffine(person, place, SIZE) * cover + room * (1 - cover)
    if noise_seed is not None:
        picture += np.random.default_rng(noise_seed).normal(0, 2, picture.shape)
    return alpha, np.dstack([picture.clip(0, 255).astype(np.uint8), np.full(SIZE[::-1], 255, np.uint8)])


def mad(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean() / 255)


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
