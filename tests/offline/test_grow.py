# SPDX-License-Identifier: GPL-2.0-or-later
"""Growing and shrinking without OBS, on shapes whose result is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.offline.compose import grow


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
