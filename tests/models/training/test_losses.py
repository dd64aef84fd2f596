# SPDX-License-Identifier: GPL-2.0-or-later
"""The losses against values worked out by hand, and at the edges of what floats can say."""

import math

import pytest
import torch

from background_filter.models.training.losses import (
    LOSSES,
    absolute,
    boundary_cross_entropy,
    boundary_weight,
    cross_entropy,
    dice,
    iou,
    mask_loss,
    move,
    overlap,
    steadiness,
)


def logits_of(*probabilities: float) -> torch.Tensor:
    """One row of pixels, [1,1,1,W]."""
    return torch.logit(torch.tensor(probabilities)).reshape(1, 1, 1, -1)


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)


SEEN, TRUE = logits_of(0.8, 0.6, 0.1, 0.3), row(1, 1, 0, 0.5)


def test_by_hand() -> None:
    soft = -(0.5 * math.log(0.3) + 0.5 * math.log(0.7))
    expected = (-math.log(0.8) - math.log(0.6) - math.log(0.9) + soft) / 4
    assert cross_entropy(SEEN, TRUE).item() == pytest.approx(expected, rel=1e-5)
    assert absolute(SEEN, TRUE).item() == pytest.approx((0.2 + 0.4 + 0.1 + 0.2) / 4, rel=1e-5)
    smooth, both = 0.04, 0.8 + 0.6 + 0.15
    squares = (0.64 + 0.36 + 0.01 + 0.09) + (1 + 1 + 0.25)
    assert dice(SEEN, TRUE).item() == pytest.approx(1 - (2 * both + smooth) / (squares + smooth), rel=1e-5)
    union = 1.8 + 2.5 - both
    assert iou(SEEN, TRUE).item() == pytest.approx(1 - (both + smooth) / (union + smooth), rel=1e-5)


def test_outlines_weigh_three_times_as_much() -> None:
    target = torch.zeros(1, 1, 1, 40)
    target[..., 20:] = 1
    weight = boundary_weight(target)[0, 0, 0]
    # Worked out at half resolution: two and three of the five pixels around the step lie on its other side.
    assert weight[20].item() == pytest.approx(1 + 2 * 4 * (2 / 5) * (3 / 5), rel=1e-5)
    assert weight[0].item() == weight[15].item() == weight[39].item() == 1.0
    wrong_at_edge, wrong_far_away = torch.full((2, 1, 1, 1, 40), -4.0)
    for logits in (wrong_at_edge, wrong_far_away):
        logits[..., 20:] = 4
    wrong_at_edge[..., 20], wrong_far_away[..., 39] = -4, -4
    assert boundary_cross_entropy(wrong_at_edge, target) > 2 * boundary_cross_entropy(wrong_far_away, target)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_answer_costs_nothing_and_gradients_stay_finite(name: str) -> None:
    target = torch.zeros(2, 1, 6, 8)
    target[0, :, 2:, 2:6] = 1  # the second picture shows nobody
    for sign, limit in ((1, 1e-3), (-1, math.inf)):
        logits = (sign * 2e4 * (target - 0.5)).requires_grad_()
        loss = LOSSES[name](logits, target)
        assert math.isfinite(loss.item())
        assert loss.item() < limit
        loss.backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
    assert loss.item() > 0.5


def test_an_empty_room_seen_full_costs_more_than_one_seen_empty() -> None:
    nobody = torch.zeros(1, 1, 8, 8)
    for name in ("dice", "iou"):
        empty, full = (LOSSES[name](torch.full_like(nobody, value), nobody).item() for value in (-9.0, 9.0))
        assert empty < 0.02
        assert full > 0.9


def test_the_sum_is_weighted_and_auxiliary_outputs_are_compared_at_their_own_size() -> None:
    target = torch.zeros(1, 1, 4, 8)
    target[..., 4:] = 1
    main, coarse = torch.randn(1, 1, 4, 8), torch.randn(1, 1, 2, 4)
    weights = {"cross_entropy": 2.0, "dice": 0.5, "iou": 0.0}
    expected = 2 * cross_entropy(main, target) + 0.5 * dice(main, target)
    expected = expected + 0.3 * cross_entropy(coarse, target[..., ::2, ::2])
    assert mask_loss([main, coarse], target, weights, 0.3).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-2, 1), (0, -4), (1, 2)])
def test_a_moved_answer_is_steady_and_any_other_is_not(shift: tuple[int, int]) -> None:
    torch.manual_seed(3)
    logits = torch.randn(2, 1, 9, 12)
    moved = move(logits, shift)
    assert moved.shape == logits.shape
    assert torch.equal(overlap(moved, shift), overlap(logits, (-shift[0], -shift[1])))
    assert steadiness(logits, moved, shift, (9, 12)).item() < 1e-8
    if shift != (0, 0):
        assert steadiness(logits, logits, shift, (9, 12)).item() > 0.1
        right, down = shift
        assert moved[0, 0, 4 + down, 6 + right] == logits[0, 0, 4, 6]
