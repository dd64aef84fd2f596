# SPDX-License-Identifier: GPL-2.0-or-later
"""MobileNetV3-Large as an encoder (Howard et al. 2019, arXiv:1905.02244), its last stage dilated instead of strided.

The parameters bear torchvision's names. Of its classifier only the 1x1 convolution to 960 channels is here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from .backbones import initialise, maps_behind


class Row(NamedTuple):
    """One block: kernel side, widened channels, outputs, whether channels are weighed, h-swish or ReLU, stride."""

    kernel: int
    hidden: int
    outputs: int
    weighed: bool
    hard: bool
    stride: int


# Table 1 of the paper. Its last three blocks, at 1/32 there, are at 1/16 here.
ROWS = (
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)
DILATED_FROM, DILATION = 12, 2
STEM, LAST = 16, 960


def convolution_v3(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1, act: str = "hard"
) -> nn.Sequential:
    """Convolution, batch normalisation and an activation: hard (h-swish), relu or none."""
    padding = dilation * (kernel // 2)
    activation = {"hard": nn.Hardswish, "relu": nn.ReLU, "none": nn.Identity}[act]()
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
        activation,
    )


def rounded_quarter(channels: int) -> int:
    """A quarter of the channels, to the nearest multiple of 8, never below nine tenths of it."""
    quarter = channels / 4
    nearest = max(8, int(quarter + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * quarter else nearest


class Weigh(nn.Module):
    """Weigh each channel by a function of all channels' means (squeeze and excitation, arXiv:1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = rounded_quarter(channels)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,C,H,W], weighed."""
        means = functional.adaptive_avg_pool2d(features, 1)
        weights = functional.hardsigmoid(self.fc2(functional.relu(self.fc1(means))))
        return features * weights


class Bottleneck(nn.Module):
    """Widen by 1x1, convolve each channel, weigh, narrow by 1x1; carried past where shapes agree."""

    def __init__(self, inputs: int, row: Row, dilation: int) -> None:
        super().__init__()
        act = "hard" if row.hard else "relu"
        layers: list[nn.Module] = []
        if row.hidden != inputs:
            layers.append(convolution_v3(inputs, row.hidden, 1, act=act))
        layers.append(convolution_v3(row.hidden, row.hidden, row.kernel, row.stride, dilation, row.hidden, act))
        if row.weighed:
            layers.append(Weigh(row.hidden))
        layers.append(convolution_v3(row.hidden, row.outputs, 1, act="none"))
        self.block = nn.Sequential(*layers)
        self.carries = row.stride == 1 and inputs == row.outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H/stride,W/stride]."""
        result: torch.Tensor = self.block(features)
        return features + result if self.carries else result


class MobileNetV3(nn.Module):
    """Maps a picture [N,3,H,W] to four feature maps at 1/2, 1/4, 1/8 and 1/16, sides rounded up."""

    channels = (16, 24, 40, LAST)
    ends = (1, 3, 6, 16)  # the last layers at each resolution

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution_v3(3, STEM, 3, stride=2)]
        inputs = STEM
        for place, row in enumerate(ROWS):
            layers.append(Bottleneck(inputs, row, DILATION if place >= DILATED_FROM else 1))
            inputs = row.outputs
        layers.append(convolution_v3(inputs, LAST, 1))
        self.features = nn.Sequential(*layers)
        initialise(self)

    def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Picture [N,3,H,W] to features at four resolutions."""
        return maps_behind(self.features, self.ends, picture)
