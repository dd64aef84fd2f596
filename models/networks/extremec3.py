# SPDX-License-Identifier: GPL-2.0-or-later
"""ExtremeC3Net (Park et al. 2019, arXiv:1908.03093): portraits with 38 thousand weights, on two branches.

The block is the "advanced C3-module": features are narrowed, then seen by three dilated convolutions at once. A dilated
convolution skips pixels; so two asymmetric convolutions (one column, one row) first gather what lies between those it
reads. The coarse branch works at a quarter of the resolution and is shown the small picture again at each step; the
fine branch is one block at half of it. Cheap in weights, not in time: depthwise convolutions at a quarter of the
resolution move much memory for few products.

The authors give 0.038 M parameters and 0.128 G operations for 224x224: what is counted here, 37,738 and 0.128 G
multiply-accumulates. They train the coarse branch by itself first; here both are trained at once. Their loss at the
boundary is that of our training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .blocks import MaskNetwork, PortraitInput, double, normalise_and_prelu, prelu_convolution

# The published file's names (NAVER's ext_portrait_segmentation).
PUBLISHED_NAMES = (
    (r"^encoder\.level1\.", "stem."),
    (r"^encoder\.level2_0\.(bn|act)\.", r"down_quarter.activate.\1."),
    (r"^encoder\.level2_0\.", "down_quarter."),
    (r"^encoder\.level2\.0\.", "refine_quarter."),
    (r"^encoder\.level3_0\.", "widen."),
    (r"^encoder\.level3\.", "context."),
    (r"^encoder\.b1\.", "merge_half."),
    (r"^encoder\.b2\.", "merge_quarter."),
    (r"^encoder\.b3\.", "merge_context."),
    (r"^upsample\.", "narrow."),
    (r"^Fine\.0\.conv\.", "detail.0."),
    (r"^Fine\.1\.", "detail.1."),
    (r"^classifier\.0\.", "activate."),
    (r"^classifier\.2\.", "head."),
    (r"\.c1\.conv\.", ".reduce."),
    (r"\.d1\.conv\.", ".views.0."),
    (r"\.d2\.conv\.", ".views.1."),
    (r"\.d3\.conv\.", ".views.2."),
    (r"\.bn\.(bn|act)\.", r".activate.\1."),
)
CONTEXT_BLOCKS = 5
CONTEXT_DILATIONS = (2, 4, 8)


def depthwise(channels: int, kernel: tuple[int, int], dilation: int = 1) -> nn.Conv2d:
    """Convolution of each channel by itself with a kernel (rows, columns) of odd sides, the resolution kept."""
    rows, columns = kernel
    padding = (dilation * (rows // 2), dilation * (columns // 2))
    return nn.Conv2d(channels, channels, kernel, 1, padding, dilation, channels, bias=False)


def dilated_view(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    """Depthwise 3x3 convolution with a dilation, then 1x1; where it would skip pixels, they are gathered first."""
    spread = (depthwise(inputs, (3, 3), dilation), nn.Conv2d(inputs, outputs, 1, bias=False))
    if dilation == 1:
        return nn.Sequential(*spread)
    between = 2 * dilation - 1
    return nn.Sequential(
        depthwise(inputs, (between, 1)),
        nn.BatchNorm2d(inputs),
        nn.PReLU(inputs),
        depthwise(inputs, (1, between)),
        nn.BatchNorm2d(inputs),
        *spread,
    )


class DilatedViews(nn.Module):
    """Narrow to a third by a convolution, see that by three dilations, concatenate; carried past where shapes agree."""

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int], kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        width = outputs // len(dilations)
        widths = [outputs - width * (len(dilations) - 1), *[width] * (len(dilations) - 1)]
        self.reduce = nn.Conv2d(inputs, width, kernel, stride, kernel // 2, bias=False)
        self.views = nn.ModuleList(dilated_view(width, wide, dilation) for wide, dilation in zip(widths, dilations))
        self.activate = normalise_and_prelu(outputs)
        self.carries = stride == 1 and inputs == outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H/stride,W/stride]."""
        reduced = self.reduce(features)
        seen = torch.cat([view(reduced) for view in self.views], dim=1)
        result: torch.Tensor = self.activate(features + seen if self.carries else seen)
        return result


class ExtremeC3Net(MaskNetwork):
    """ExtremeC3Net: logits at full resolution; H and W divide by 4.

    `channels` are those at half of the resolution (and of the fine branch), at a quarter, and of the context.
    """

    output_stride = 1
    divisor = 4
    published_names = PUBLISHED_NAMES

    def __init__(self, channels: Sequence[int] = (24, 48, 56), classes: int = 1) -> None:
        super().__init__()
        if len(channels) != 3:
            raise ValueError(f"expected three numbers of channels, found {list(channels)}")
        half, quarter, context = channels
        self.normalise = PortraitInput()
        self.stem = prelu_convolution(3, half, kernel=3, stride=2)
        self.merge_half = normalise_and_prelu(half + 3)
        self.down_quarter = DilatedViews(half + 3, quarter, (1, 2, 3), kernel=3, stride=2)
        self.refine_quarter = DilatedViews(quarter, quarter, (1, 3, 4))
        self.merge_quarter = normalise_and_prelu(2 * quarter + 3)
        self.widen = DilatedViews(2 * quarter + 3, context, (1, 3, 5))
        self.context = nn.Sequential(
            *(DilatedViews(context, context, CONTEXT_DILATIONS) for _ in range(CONTEXT_BLOCKS))
        )
        self.merge_context = normalise_and_prelu(2 * context)
        self.narrow = nn.Sequential(nn.Conv2d(2 * context, half, 1, bias=False), nn.BatchNorm2d(half))
        self.detail = nn.Sequential(
            nn.Conv2d(3, half, 3, 2, 1, bias=False), DilatedViews(half, half, CONTEXT_DILATIONS)
        )
        self.activate = normalise_and_prelu(half)
        self.head = nn.Conv2d(half, classes, 1, bias=False)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,classes,H,W]."""
        half_picture = functional.avg_pool2d(picture, 2)
        half = self.merge_half(torch.cat([self.stem(picture), half_picture], dim=1))
        down = self.down_quarter(half)
        quarter = torch.cat([self.refine_quarter(down), down, functional.avg_pool2d(half_picture, 2)], dim=1)
        wide = self.widen(self.merge_quarter(quarter))
        context = self.narrow(self.merge_context(torch.cat([wide, self.context(wide)], dim=1)))
        return [self.head(double(self.activate(double(context) + self.detail(picture))))]
