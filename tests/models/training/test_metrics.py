# SPDX-License-Identifier: GPL-2.0-or-later
"""Every measure against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from background_filter.models.training.metrics import MaskMetrics, flicker, measure
from background_filter.models.training.outlines import boundary_f


def square(left: int, top: int, side: int, width: int = 20, height: int = 10) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def tensor(*masks: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(masks).astype(np.float32))[:, None]


def values(probability: torch.Tensor, truth: torch.Tensor) -> dict[str, list[float]]:
    return {name: each.tolist() for name, each in measure(probability, truth).items()}


def test_a_shifted_square() -> None:
    """4x4 against the same 2 to the right: 8 in common, 24 in either, of 200 pixels."""
    found = values(tensor(square(4, 3, 4)), tensor(square(6, 3, 4)))
    assert found["person_iou"] == [pytest.approx(8 / 24)]
    assert found["background_iou"] == [pytest.approx(176 / 192)]
    assert found["mean_iou"] == [pytest.approx((8 / 24 + 176 / 192) / 2)]
    assert found["pixel_accuracy"] == [pytest.approx(184 / 200)]
    assert found["mad"] == [pytest.approx(16 / 200)]
    assert math.isnan(found["empty_share"][0])


def test_soft_masks_are_cut_at_a_half_but_not_for_the_mad() -> None:
    truth = tensor(square(4, 3, 4))
    found = values(truth * 0.3 + 0.3, truth)
    assert found["person_iou"] == [1.0]
    assert found["mad"] == [pytest.approx((16 * 0.4 + 184 * 0.3) / 200)]


def test_pictures_without_a_person_count_only_as_empty() -> None:
    nobody, somebody = np.zeros((10, 20), bool), square(4, 3, 4)
    found = values(tensor(somebody, nobody), tensor(nobody, nobody))
    assert found["empty_share"] == [pytest.approx(16 / 200), 0.0]
    assert all(math.isnan(value) for name in ("person_iou", "boundary_f") for value in found[name])
    # Without a person in truth and answer there is one class only.
    assert found["mean_iou"] == [pytest.approx((184 / 200 + 0) / 2), 1.0]


def test_outlines_may_lie_two_pixels_apart_and_no_more() -> None:
    truth = square(4, 3, 4)
    assert boundary_f(truth, truth) == 1
    assert boundary_f(square(5, 3, 4), truth) == 1
    assert boundary_f(square(12, 3, 4), truth) == 0


def test_boundary_f_of_a_half_found_outline() -> None:
    """Two lines across the frame, one of them found: all that was drawn is right, half of the truth is there."""
    truth = np.zeros((30, 20), bool)
    truth[5], truth[20] = True, True
    found = np.zeros_like(truth)
    found[5] = True
    assert boundary_f(found, truth) == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_the_frame_edge_is_no_outline() -> None:
    everything, nothing = np.ones((10, 10), bool), np.zeros((10, 10), bool)
    assert boundary_f(everything, everything) == boundary_f(nothing, nothing) == boundary_f(everything, nothing) == 1


def test_flicker_is_the_change_that_the_truth_does_not_have() -> None:
    moving = tensor(square(4, 3, 4), square(6, 3, 4), square(8, 3, 4))
    assert flicker(moving, moving) == 0
    # Standing still while the truth moves: 16 of 200 pixels differ by 1 each time.
    assert flicker(moving[:1].repeat(3, 1, 1, 1), moving) == pytest.approx(math.sqrt(16 / 200))
    # A constant error does not flicker.
    assert flicker(moving * 0.5 + 0.1, moving * 0.5) == pytest.approx(0)


def test_means_are_over_pictures_and_batches_do_not_matter() -> None:
    truth = tensor(square(4, 3, 4), square(4, 3, 4), np.zeros((10, 20), bool))
    answer = tensor(square(4, 3, 4), square(6, 3, 4), np.zeros((10, 20), bool))
    whole, parts = MaskMetrics(), MaskMetrics()
    whole.update_probability(answer, truth)
    for one in range(3):
        parts.update_probability(answer[one : one + 1], truth[one : one + 1])
    assert whole.compute() == pytest.approx(parts.compute())
    assert whole.compute()["person_iou"] == pytest.approx((1 + 8 / 24) / 2)
    assert whole.per_picture("person_iou")[:2] == [1.0, pytest.approx(8 / 24)]
    whole.reset()
    assert whole.compute() == {}


def test_logits_are_enlarged_before_the_sigmoid() -> None:
    logits = torch.tensor([[[[-10.0, 30.0]]]])
    target = torch.full((1, 1, 1, 4), 255, dtype=torch.uint8)
    metrics = MaskMetrics()
    metrics.update(logits, target)
    # Bilinear without corners: -10, 0, 20, 30.
    expected = 1 - torch.sigmoid(torch.tensor([-10.0, 0.0, 20.0, 30.0]))
    assert metrics.compute()["mad"] == pytest.approx(float(expected.mean()), abs=1e-6)
    assert metrics.compute()["person_iou"] == pytest.approx(0.75)


def test_what_says_nothing_is_left_out() -> None:
    metrics = MaskMetrics()
    metrics.update_probability(tensor(square(4, 3, 4)), tensor(square(4, 3, 4)))
    assert "empty_share" not in metrics.compute() and "flicker" not in metrics.compute()
    metrics.update_clip(tensor(square(4, 3, 4), square(4, 3, 4)), tensor(square(4, 3, 4), square(4, 3, 4)))
    assert metrics.compute()["flicker"] == 0
