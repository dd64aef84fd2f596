# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses for soft person masks. All take float32 logits and targets [N,1,H,W]; targets lie in 0..1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy with soft targets; a scalar."""
    return functional.binary_cross_entropy_with_logits(logits, target)


def boundary_weight(target: torch.Tensor, radius_px: int = 4, strength: float = 2.0) -> torch.Tensor:
    """Weight per pixel, rising from 1 to 1 + `strength` within `radius_px` of a mask outline; shape of `target`.

    Worked out at half of the resolution: pooling over 9x9 pixels cost a ninth of a training step on a CPU.
    """
    half = radius_px // 2
    halved = functional.avg_pool2d(target, 2, ceil_mode=True)
    nearby = functional.avg_pool2d(halved, 2 * half + 1, stride=1, padding=half, count_include_pad=False)
    nearby = functional.interpolate(nearby, target.shape[-2:], mode="nearest")
    return 1 + strength * 4 * nearby * (1 - nearby)


def boundary_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy with soft targets, outlines weighted by `boundary_weight`; a scalar."""
    weight = boundary_weight(target)
    # The same as binary_cross_entropy_with_logits, which is seven times as slow on a CPU.
    loss = functional.softplus(logits) - logits * target
    return (loss * weight).sum() / weight.sum()


def dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss per picture, averaged (Milletari et al. 2016, arXiv:1606.04797); 0 is perfect.

    The added constant, about 1 % of the frame, keeps empty targets from dominating.
    """
    probability = torch.sigmoid(logits)
    smooth = 0.01 * target[0].numel()
    overlap = (probability * target).sum(dim=(1, 2, 3))
    total = (probability**2 + target**2).sum(dim=(1, 2, 3))
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def iou(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft IoU (Jaccard) loss per picture, averaged (Rahman and Wang 2016); 0 is perfect for hard targets."""
    probability = torch.sigmoid(logits)
    smooth = 0.01 * target[0].numel()
    overlap = (probability * target).sum(dim=(1, 2, 3))
    union = (probability + target - probability * target).sum(dim=(1, 2, 3))
    return (1 - (overlap + smooth) / (union + smooth)).mean()


def absolute(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the soft masks (the MAD of the evaluation, in 0..1); a scalar."""
    return (torch.sigmoid(logits) - target).abs().mean()


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "boundary_cross_entropy": boundary_cross_entropy,
    "dice": dice,
    "iou": iou,
    "absolute": absolute,
}


def steadiness(
    logits: torch.Tensor, moved_logits: torch.Tensor, shift: tuple[int, int], size: tuple[int, int]
) -> torch.Tensor:
    """Mean absolute difference of two answers, the first one moved by `shift` pixels (right, down); a scalar.

    `logits` [N,1,h,w] answer a frame, `moved_logits` the same frame moved; both are compared at `size` (height,
    width), where the moved frame shows what the first one showed. In the spirit of the temporal consistency of Lin et
    al. 2022 (arXiv:2108.11515), for stills: the motion is known.
    """
    first, second = (
        torch.sigmoid(functional.interpolate(each.float(), size, mode="bilinear", align_corners=False))
        for each in (logits, moved_logits)
    )
    return (overlap(first, (-shift[0], -shift[1])) - overlap(second, shift)).abs().mean()


def overlap(frames: torch.Tensor, shift: tuple[int, int]) -> torch.Tensor:
    """The part of moved frames [N,C,H,W] that the frames showed before they moved by `shift` pixels (right, down)."""
    right, down = shift
    height, width = frames.shape[-2:]
    return frames[..., max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]


def move(frames: torch.Tensor, shift: tuple[int, int]) -> torch.Tensor:
    """Frames [N,C,H,W] moved by `shift` pixels (right, down); what comes in repeats the edge."""
    right, down = shift
    padding = (max(0, right), max(0, -right), max(0, down), max(0, -down))
    return overlap(functional.pad(frames, padding, mode="replicate"), (-right, -down))


def mask_loss(
    outputs: Sequence[torch.Tensor], target: torch.Tensor, weights: Mapping[str, float], auxiliary: float
) -> torch.Tensor:
    """Weighted sum of `LOSSES` on the main logits at the target's resolution, plus cross-entropies of the others.

    `outputs` are logits [N,1,h,w], the main ones first; they are brought to the target's size bilinearly, as the
    filter does. Each auxiliary output is compared with the target averaged to its own size, times `auxiliary`.
    """
    main = functional.interpolate(outputs[0].float(), target.shape[-2:], mode="bilinear", align_corners=False)
    total = torch.stack([weight * LOSSES[name](main, target) for name, weight in weights.items() if weight]).sum()
    for coarse in outputs[1:]:
        coarse_target = functional.adaptive_avg_pool2d(target, (coarse.shape[-2], coarse.shape[-1]))
        total = total + auxiliary * cross_entropy(coarse.float(), coarse_target)
    return total
