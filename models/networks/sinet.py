# SPDX-License-Identifier: GPL-2.0-or-later
"""SINet (Park et al. 2019, arXiv:1911.09099): portraits with 87 thousand weights.

Two ideas. The *spatial squeeze* block sees narrowed features in two ways, each a depthwise convolution, some of them at
a half or a quarter of the resolution: a small kernel there sees far, for fewer products. The *information blocking*
decoder adds fine features to coarse logits only where these are unsure, so that texture inside a person or a wall can't
overrule what the coarse ones are sure of.

Inside there are two classes, background and person, and what is returned is their difference: its sigmoid is the
softmax's person channel. The authors give 86.9 K parameters and 0.064 G operations for 224x224: what is counted here,
86,910 and 0.064 G multiply-accumulates. They train the encoder by itself first; here its logits are auxiliary ones.
Their loss at the boundary is that of our training.
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
    (r"^encoder\.level2_0\.", "down_quarter."),
    (r"^encoder\.level2\.", "quarter."),
    (r"^encoder\.BR2\.", "merge_quarter."),
    (r"^encoder\.level3_0\.", "down_eighth."),
    (r"^encoder\.level3\.", "eighth."),
    (r"^encoder\.BR3\.", "merge_eighth."),
    (r"^encoder\.classifier\.conv\.", "coarse_head."),
    (r"^bn_3\.", "normalise_quarter."),
    (r"^level2_C\.", "detail."),
    (r"^bn_2\.", "normalise_half."),
    (r"^classifier\.1\.", "head."),
    (r"^(down_\w+)\.conv\.0\.", r"\1.spread."),
    (r"^(down_\w+)\.conv\.1\.dense\.", r"\1.weigh."),
    (r"^(down_\w+)\.conv\.2\.", r"\1.mix."),
    (r"^(down_\w+)\.(bn|act)\.", r"\1.activate.\2."),
    (r"\.c1\.conv\.", ".reduce."),
    (r"\.d1\.", ".views.0."),
    (r"\.d2\.", ".views.1."),
    (r"(\.views\.\d)\.conv\.", r"\1.convolve."),
    (r"(\.views\.\d)\.act_conv1x1\.0\.", r"\1.convolve.2."),
    (r"(\.views\.\d)\.act_conv1x1\.1\.", r"\1.convolve.3."),
    (r"(\.views\.\d)\.bn\.", r"\1.normalise."),
    (r"\.BR\.", ".activate."),
)
# For each block its two views: kernel side, and how many times smaller than the block's features they are (table 2).
Views = tuple[tuple[int, int], tuple[int, int]]
QUARTER_BLOCKS: tuple[Views, ...] = (((3, 1), (5, 1)), ((3, 1), (3, 1)))
EIGHTH_BLOCKS: tuple[Views, ...] = (
    ((3, 1), (5, 1)), ((3, 1), (3, 1)), ((5, 1), (3, 2)), ((5, 2), (3, 4)),
    ((3, 1), (3, 1)), ((5, 1), (5, 1)), ((3, 2), (3, 4)), ((3, 1), (5, 2)),
)  # fmt: skip


class WeighedDown(nn.Module):
    """Halve by a depthwise convolution, weigh each channel by a function of all channels' means, mix by 1x1.

    `hidden` is the width of the layer between means and weights; None goes there directly.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int | None) -> None:
        super().__init__()
        self.spread = nn.Conv2d(inputs, inputs, 3, 2, 1, groups=inputs, bias=False)
        middle = (nn.Linear(inputs, hidden), nn.PReLU(hidden)) if hidden else ()
        self.weigh = nn.Sequential(*middle, nn.Linear(hidden or inputs, inputs), nn.PReLU(inputs))
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.activate = normalise_and_prelu(outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H/2,W/2]."""
        halved = self.spread(features)
        weights = self.weigh(halved.mean(dim=(2, 3)))[:, :, None, None]
        result: torch.Tensor = self.activate(self.mix(halved * weights))
        return result


class SqueezedView(nn.Module):
    """Depthwise convolution and 1x1 on features made `squeeze` times smaller, enlarged again."""

    def __init__(self, channels: int, kernel: int, squeeze: int) -> None:
        super().__init__()
        self.squeeze = squeeze
        self.convolve = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
            *normalise_and_prelu(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        self.normalise = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,C,H,W] in and out. Rows and columns that don't fill a squeezed pixel are not seen."""
        if self.squeeze == 1:
            seen = self.convolve(features)
        else:
            small = self.convolve(functional.avg_pool2d(features, self.squeeze))
            height, width = features.shape[-2:]
            seen = functional.interpolate(small, (height, width), mode="bilinear", align_corners=True)
        result: torch.Tensor = self.normalise(seen)
        return result


def shuffle(features: torch.Tensor) -> torch.Tensor:
    """Channels of the two halves in turns, [N,C,H,W]: what a grouped convolution kept apart is mixed."""
    count, channels, height, width = features.shape
    halves = features.reshape(count, 2, channels // 2, height * width)
    return halves.transpose(1, 2).reshape(count, channels, height, width)


class SpatialSqueeze(nn.Module):
    """Narrow to half by a grouped 1x1 convolution, see that in two ways, concatenate; carried past if shapes agree."""

    def __init__(self, inputs: int, outputs: int, views: Views) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs // 2, 1, groups=2, bias=False)
        self.views = nn.ModuleList(SqueezedView(outputs // 2, kernel, squeeze) for kernel, squeeze in views)
        self.activate = normalise_and_prelu(outputs)
        self.carries = inputs == outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H,W]."""
        reduced = shuffle(self.reduce(features))
        seen = torch.cat([view(reduced) for view in self.views], dim=1)
        result: torch.Tensor = self.activate(features + seen if self.carries else seen)
        return result


def stage(inputs: int, outputs: int, blocks: Sequence[Views]) -> nn.Sequential:
    """Spatial squeeze blocks one after the other, the first of which widens."""
    return nn.Sequential(*(SpatialSqueeze(outputs if place else inputs, outputs, views)
                           for place, views in enumerate(blocks)))  # fmt: skip


def person(logits: torch.Tensor) -> torch.Tensor:
    """Logits of background and person [N,2,H,W] to the logit of the person [N,1,H,W]."""
    return logits[:, 1:] - logits[:, :1]


class SINet(MaskNetwork):
    """SINet: logits at full resolution, in training mode also the encoder's at a quarter; H and W divide by 16.

    At a resolution that divides by 32, all squeezed views see everything. `channels` are those behind the first
    convolution, then of the two stages: narrow and wide, narrow and wide. All but the first are even.
    """

    output_stride = 1
    divisor = 16
    published_names = PUBLISHED_NAMES

    def __init__(self, channels: Sequence[int] = (12, 16, 48, 48, 96)) -> None:
        super().__init__()
        if len(channels) != 5 or any(number % 2 for number in channels[1:]):
            raise ValueError(f"expected five numbers of channels, all but the first even, found {list(channels)}")
        half, quarter, quarter_wide, eighth, eighth_wide = channels
        self.normalise = PortraitInput()
        self.stem = prelu_convolution(3, half, kernel=3, stride=2)
        self.down_quarter = WeighedDown(half, quarter, hidden=None)
        self.quarter = stage(quarter, quarter_wide, QUARTER_BLOCKS)
        merged = quarter + quarter_wide
        self.merge_quarter = normalise_and_prelu(merged)
        self.down_eighth = WeighedDown(merged, eighth, hidden=merged // 2)
        self.eighth = stage(eighth, eighth_wide, EIGHTH_BLOCKS)
        self.merge_eighth = normalise_and_prelu(eighth + eighth_wide)
        self.coarse_head = nn.Conv2d(eighth + eighth_wide, 2, 1, bias=False)
        self.normalise_quarter = nn.BatchNorm2d(2, eps=1e-3)
        self.detail = prelu_convolution(quarter_wide, 2)
        self.normalise_half = nn.BatchNorm2d(2, eps=1e-3)
        self.head = nn.Conv2d(2, 2, 3, padding=1, bias=False)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,1,H,W]; in training mode also [N,1,H/4,W/4]."""
        quarter, detail = self.encode_quarter(picture)
        coarse = self.normalise_quarter(double(self.encode_eighth(quarter)))
        unsure = 1 - coarse.softmax(dim=1).amax(dim=1, keepdim=True)
        half = self.normalise_half(double(coarse + self.detail(detail) * unsure))
        logits = person(self.head(double(half)))
        return [logits, person(coarse)] if self.training else [logits]

    def encode_quarter(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture to merged features at a quarter of the resolution, and those of them that the decoder takes."""
        down = self.down_quarter(self.stem(picture))
        wide = self.quarter(down)
        return self.merge_quarter(torch.cat([down, wide], dim=1)), wide

    def encode_eighth(self, quarter: torch.Tensor) -> torch.Tensor:
        """Features at a quarter of the resolution to logits of both classes [N,2,H/8,W/8]."""
        down = self.down_eighth(quarter)
        merged = self.merge_eighth(torch.cat([down, self.eighth(down)], dim=1))
        logits: torch.Tensor = self.coarse_head(merged)
        return logits
