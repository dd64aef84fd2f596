# SPDX-License-Identifier: GPL-2.0-or-later
"""Growing and shrinking, on shapes whose result is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.refine import Refinement, Refiner, grow


def square(side: int = 21, size: int = 61) -> NDArray[np.uint8]:
    mask = np.zeros((size, size), np.uint8)
    start = (size - side) // 2
    mask[start : start + side, start : start + side] = 255
    return mask


def widths(mask: NDArray[np.uint8]) -> tuple[float, float]:
    """How wide and high the shape is through its centre, in pixels, partly covered ones counted in part."""
    middle = mask.shape[0] // 2
    return mask[middle].sum() / 255, mask[:, middle].sum() / 255


@pytest.mark.parametrize("grow_px", [-5.0, -2.0, -1.0, 1.0, 2.0, 5.0, 12.0])
def test_whole_pixels(grow_px: float) -> None:
    assert widths(grow(square(), grow_px)) == (21 + 2 * grow_px, 21 + 2 * grow_px)


@pytest.mark.parametrize("grow_px", [-2.75, -0.5, 0.25, 0.5, 1.5, 3.9])
def test_fractions(grow_px: float) -> None:
    assert widths(grow(square(), grow_px)) == pytest.approx((21 + 2 * grow_px,) * 2, abs=0.02)


def test_zero_changes_nothing() -> None:
    mask = square()
    assert grow(mask, 0.0) is mask


def test_corners_are_round() -> None:
    grown = grow(square(), 8.0)
    assert grown[12, 30] == 255 and grown[12, 12] == 0  # 8 px straight up, but not 8 px up and left


def test_growing_is_monotonic() -> None:
    areas = [int(grow(square(), step / 4).astype(int).sum()) for step in range(-16, 17)]
    assert areas == sorted(areas) and len(set(areas)) == len(areas)


def test_soft_edges_stay_soft() -> None:
    ramp = np.repeat(np.linspace(0, 255, 61).astype(np.uint8)[np.newaxis], 61, axis=0)
    assert np.array_equal(grow(ramp, 3.0)[:, :-3], ramp[:, 3:])
    assert np.array_equal(grow(ramp, -3.0)[:, 3:], ramp[:, :-3])


def test_border_of_the_picture_is_no_edge() -> None:
    full = np.full((20, 30), 255, np.uint8)
    empty = np.zeros((20, 30), np.uint8)
    assert grow(full, -6.5).min() == 255
    assert grow(empty, 6.5).max() == 0


def test_far_too_much_is_limited() -> None:
    assert np.array_equal(grow(square(), 1000.0), grow(square(), 32.0))


def test_the_refiner_gives_factors_alpha_or_grown_alpha_as_wanted() -> None:
    rng = np.random.default_rng(3)
    frame_rgba = rng.integers(0, 256, (36, 64, 4), np.uint8)
    alpha = np.zeros((36, 64), np.uint8)
    alpha[8:, 10:40] = 255
    alpha[4:6, 55:57] = 255  # a speck
    plain = Refiner().refine(alpha, frame_rgba, 1, Refinement())
    assert plain.dtype == np.uint8 and np.array_equal(plain, alpha)
    clean = Refiner().refine(alpha, frame_rgba, 1, Refinement(no_specks=True))
    assert not clean[4:6, 55:57].any() and np.array_equal(clean[8:], alpha[8:])
    factors = Refiner().refine(alpha, frame_rgba, 1, Refinement(sharp_edges=True))
    assert factors.dtype == np.float16 and factors.shape == (18, 32, 4)
    grown = Refiner().refine(alpha, frame_rgba, 1, Refinement(sharp_edges=True, grow_px=2.0))
    assert grown.dtype == np.uint8 and grown.shape == alpha.shape and grown.sum() > alpha.sum()


def test_a_mask_that_is_to_be_ahead_moves_with_its_person() -> None:
    refiner, wanted = Refiner(), Refinement(ahead_ms=66.0)
    rng = np.random.default_rng(6)
    texture = np.asarray(cv2.resize(rng.integers(0, 256, (36, 64, 4), np.uint8), (256, 144)), np.uint8)
    masks = []
    for step in range(2):
        frame_rgba = np.roll(texture, 6 * step, axis=1)
        alpha = np.zeros((144, 256), np.uint8)
        alpha[30:, 80 + 6 * step : 160 + 6 * step] = 255
        masks.append(refiner.refine(alpha, frame_rgba, (step + 1) * 33_000_000, wanted))
    centres = [float((mask.sum(0) * np.arange(256)).sum() / mask.sum()) for mask in masks]
    assert centres[0] == pytest.approx(119.5, abs=0.1)
    assert centres[1] == pytest.approx(119.5 + 6 + 12, abs=1.0)
