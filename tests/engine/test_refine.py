# SPDX-License-Identifier: GPL-2.0-or-later
"""What the refiner gives back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.refine import Refinement, Refiner


def test_the_refiner_gives_factors_or_alpha_as_wanted() -> None:
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
