# SPDX-License-Identifier: GPL-2.0-or-later
"""A compact U-Net of dense 3x3 convolutions that tells people from background in one small picture.

The shape follows the U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with three changes, each for speed or
for a wider view: the first convolution already halves the resolution and nothing ever runs at full
resolution, since the result is half-resolution logits; skips are added instead of concatenated; and most of
the depth sits at 1/16 of the resolution, in residual blocks (He et al. 2015, arXiv:1512.03385) whose dilated
convolutions (Yu and Koltun 2015, arXiv:1511.07122) see the whole picture. Only operators that onnxruntime
runs fast on a CPU occur: 3x3 and 1x1 convolutions with ReLU, channel counts in multiples of 16, nearest
upsampling and additions. Batch normalisation disappears into the convolutions at export, and the one behind
the first convolution also serves as normalisation of the input.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .blocks import MaskNetwork, convolution


class Residual(nn.Module):
    """Two 3x3 convolutions, the first one dilated, around which the input is carried past and added."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = convolution(channels, channels, dilation=dilation)
        self.second = convolution(channels, channels)[:2]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,C,H,W] in and out."""
        return functional.relu(features + self.second(self.first(features)))


class Merge(nn.Module):
    """Project coarse features, double their resolution, add the finer skip, and smooth the sum."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.project = convolution(coarse, fine, kernel=1)[:2]
        self.smooth = convolution(fine, fine)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Coarse features [N,C,H/2,W/2] and fine ones [N,F,H,W] to [N,F,H,W]."""
        upsampled = functional.interpolate(self.project(coarse), scale_factor=2.0, mode="nearest")
        smoothed: torch.Tensor = self.smooth(functional.relu(upsampled + fine))
        return smoothed


class PersonUNet(MaskNetwork):
    """Person segmentation: float32 RGB [N,3,H,W] in 0..1 to logits [N,1,H/2,W/2]; H and W divide by 16.

    `channels` are those at 1/2, 1/4, 1/8 and 1/16 of the input resolution; `dilations` lists the residual
    blocks at 1/16, and `eighth_blocks` counts those at 1/8. In training mode the result is a list: the logits, and
    coarse logits [N,1,H/8,W/8] for an auxiliary loss.
    """

    output_stride = 2
    divisor = 16

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 32, 80),
        dilations: Sequence[int] = (1, 2, 4, 8),
        eighth_blocks: int = 2,
    ) -> None:
        super().__init__(imagenet_input=False)
        half, quarter, eighth, sixteenth = channels
        self.encode_half = nn.Sequential(convolution(3, half, stride=2))
        self.encode_quarter = nn.Sequential(convolution(half, quarter, stride=2), convolution(quarter, quarter))
        blocks = (Residual(eighth) for _ in range(eighth_blocks))
        self.encode_eighth = nn.Sequential(convolution(quarter, eighth, stride=2), *blocks)
        body = (Residual(sixteenth, dilation) for dilation in dilations)
        self.encode_sixteenth = nn.Sequential(convolution(eighth, sixteenth, stride=2), *body)
        self.merge_eighth = Merge(sixteenth, eighth)
        self.merge_quarter = Merge(eighth, quarter)
        self.merge_half = Merge(quarter, half)
        self.coarse_head = nn.Conv2d(eighth, 1, 1)
        self.head = nn.Conv2d(half, 1, 1)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Picture to logits; see the class for shapes."""
        half = self.encode_half(picture)
        quarter = self.encode_quarter(half)
        eighth = self.encode_eighth(quarter)
        coarse = self.merge_eighth(self.encode_sixteenth(eighth), eighth)
        logits = self.head(self.merge_half(self.merge_quarter(coarse, quarter), half))
        return [logits, self.coarse_head(coarse)] if self.training else [logits]
