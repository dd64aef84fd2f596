# SPDX-License-Identifier: GPL-2.0-or-later
"""Make up a network's mind: logits times a factor that is measured, as in temperature scaling (arXiv:1706.04599).

Training frames are darker, noisier and odder than what a camera sends, so a network learns to hesitate more than it
needs to: where it is right, its mask is half transparent. The outline at probability .5 stays where it is.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from .checkpoint import Restored
from .quantise import Samples

FACTORS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
# The gentlest factor ships that comes this close to the best one's MAD: edges are to stay soft.
CLOSE = 1.02
BATCH = 16


class Sharpened(nn.Module):
    """A network whose logits are multiplied by `factor`."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor
        self.output_stride = int(getattr(network, "output_stride", 1))
        self.divisor = getattr(network, "divisor", 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Picture float32 [N,3,H,W] to logits [N,1,h,w]."""
        logits: torch.Tensor = self.network(picture) * self.factor
        return logits


@torch.no_grad()
def differences(network: nn.Module, samples: Samples) -> dict[float, float]:
    """MAD (0..1) of the network's masks on the samples, by the factor that its logits are multiplied by."""
    sums = dict.fromkeys(FACTORS, 0.0)
    for start in range(0, len(samples.pictures), BATCH):
        picture = samples.pictures[start : start + BATCH].float() / 255
        target = samples.targets[start : start + BATCH].float() / 255
        logits = functional.interpolate(network(picture), target.shape[-2:], mode="bilinear")
        for factor in FACTORS:
            sums[factor] += float((torch.sigmoid(factor * logits) - target).abs().mean(dim=(1, 2, 3)).sum())
    return {factor: total / len(samples.pictures) for factor, total in sums.items()}


def sharpen(restored: Restored, samples: Samples) -> Restored:
    """The network with the gentlest factor of `FACTORS` whose MAD on the samples is nearly the smallest."""
    mads = differences(restored.network, samples)
    smallest = min(mads.values())
    factor = next(each for each in FACTORS if mads[each] <= CLOSE * smallest)
    print(f"logits times {factor:g}: MAD {1000 * mads[1.0]:.1f} becomes {1000 * mads[factor]:.1f} on held-out pictures")
    return restored if factor == 1 else replace(restored, network=Sharpened(restored.network, factor).eval())
