# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses for soft person masks. All take float32 logits and targets [N,1,H,W]; targets lie in 0..1."""

from __future__ import annotations

import torch
from torch.nn import functional


def boundary_weight(target: torch.Tensor, strength: float) -> torch.Tensor:
    """Weight per pixel, rising from 1 to 1 + `strength` near (2 px) a mask outline; shape of `target`."""
    nearby = functional.avg_pool2d(target, 5, stride=1, padding=2, count_include_pad=False)
    return 1 + strength * 4 * nearby * (1 - nearby)


def weighted_cross_entropy(logits: torch.Tensor, target: torch.Tensor, strength: float) -> torch.Tensor:
    """Binary cross-entropy with soft targets, outlines weighted by `boundary_weight`; a scalar."""
    weight = boundary_weight(target, strength)
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum() / weight.sum()


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss per picture, averaged (Milletari et al. 2016, arXiv:1606.04797); 0 is perfect.

    The added constant, about 1 % of the frame, keeps empty targets from dominating.
    """
    probability = torch.sigmoid(logits)
    smooth = 0.01 * target[0].numel()
    overlap = (probability * target).sum(dim=(1, 2, 3))
    total = (probability**2 + target**2).sum(dim=(1, 2, 3))
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def mask_loss(
    logits: torch.Tensor, coarse: torch.Tensor, target: torch.Tensor, dice: float, boundary: float
) -> torch.Tensor:
    """Cross-entropy plus `dice` times Dice, and a third of a plain cross-entropy on the coarse logits."""
    coarse_target = functional.adaptive_avg_pool2d(target, coarse.shape[-2:])
    coarse_loss = functional.binary_cross_entropy_with_logits(coarse, coarse_target)
    fine_loss = weighted_cross_entropy(logits, target, boundary) + dice * dice_loss(logits, target)
    return fine_loss + coarse_loss / 3
