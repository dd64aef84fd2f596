# SPDX-License-Identifier: GPL-2.0-or-later
"""Robust Video Matting (Lin et al. 2021, arXiv:2108.11515) on MobileNetV3: a matte that remembers earlier frames.

An encoder on the small picture, a decoder with a convolutional GRU (arXiv:1406.1078) at each of four resolutions, and a
learned guided filter that carries the small result to the large picture (arXiv:1803.05619). The parameters bear the
names of the published file (rvm_mobilenetv3.pth), inputs and outputs those of the published ONNX file, which filters at
a ratio of 1 too. It is converted from published weights; our training knows no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from .blocks import Normalise, convolution, resize_like
from .mobilenet_v3 import MobileNetV3

PYRAMID = 128
DECODER = (80, 40, 32, 16)  # channels behind each step of the decoder, at 1/8, 1/4, 1/2 and the full size
SIGNALS = 4  # three colours and the matte

State = torch.Tensor | None


class GlobalPyramid(nn.Module):
    """LR-ASPP (arXiv:1905.02244): features, weighed by a function of their means."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.aspp1 = convolution(inputs, outputs, kernel=1)
        self.aspp2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sigmoid())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H,W]."""
        result: torch.Tensor = self.aspp1(features) * self.aspp2(features)
        return result


class ConvGRU(nn.Module):
    """Gated recurrent unit whose products are 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def forward(self, features: torch.Tensor, state: State) -> torch.Tensor:
        """The new state [N,C,H,W] from features of that shape and the state before.

        That may be of one number, as zeros [1,1,1,1] before the first frame; None means zeros.
        """
        before = torch.zeros_like(features) if state is None else state.expand_as(features)
        reset, update = self.ih(torch.cat([features, before], dim=1)).chunk(2, dim=1)
        candidate = self.hh(torch.cat([features, reset * before], dim=1))
        after: torch.Tensor = (1 - update) * before + update * candidate
        return after


class HalfRecurrent(nn.Module):
    """A GRU for the second half of the channels; the first half passes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def remember(self, features: torch.Tensor, state: State) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the same shape, and the new state."""
        passing, entering = features.chunk(2, dim=1)
        state = self.gru(entering, state)
        return torch.cat([passing, state], dim=1), state


def enlarge_to(features: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Features at twice the resolution, bilinearly, cut to the sides of `picture` where those were rounded up."""
    larger = functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
    return larger[:, :, : picture.shape[2], : picture.shape[3]]


class Upsampling(HalfRecurrent):
    """Twice the resolution: features from below, the encoder's and the picture, mixed and remembered."""

    def __init__(self, below: int, skip: int, outputs: int) -> None:
        super().__init__(outputs)
        self.conv = convolution(below + skip + 3, outputs)

    def forward(
        self, below: torch.Tensor, skip: torch.Tensor, picture: torch.Tensor, state: State
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [N,outputs,H,W] at the picture's resolution, and the new state."""
        features = self.conv(torch.cat([enlarge_to(below, picture), skip, picture], dim=1))
        return self.remember(features, state)


class Output(nn.Module):
    """The last step, without memory."""

    def __init__(self, below: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*convolution(below + 3, outputs), *convolution(outputs, outputs))

    def forward(self, below: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        """Features [N,outputs,H,W] at the picture's resolution."""
        result: torch.Tensor = self.conv(torch.cat([enlarge_to(below, picture), picture], dim=1))
        return result


class Decoder(nn.Module):
    """From the coarsest features to the picture's resolution, remembering at 1/16, 1/8, 1/4 and 1/2."""

    def __init__(self, skips: tuple[int, ...]) -> None:
        super().__init__()
        eighth, quarter, half, full = DECODER
        self.decode4 = HalfRecurrent(PYRAMID)
        self.decode3 = Upsampling(PYRAMID, skips[2], eighth)
        self.decode2 = Upsampling(eighth, skips[1], quarter)
        self.decode1 = Upsampling(quarter, skips[0], half)
        self.decode0 = Output(half, full)

    def forward(
        self, picture: torch.Tensor, maps: list[torch.Tensor], states: tuple[State, ...]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Features at the picture's resolution, and the four new states, finest first."""
        half, quarter, eighth = smaller(picture)
        features, r4 = self.decode4.remember(maps[3], states[3])
        features, r3 = self.decode3(features, maps[2], eighth, states[2])
        features, r2 = self.decode2(features, maps[1], quarter, states[1])
        features, r1 = self.decode1(features, maps[0], half, states[0])
        return self.decode0(features, picture), [r1, r2, r3, r4]


def smaller(picture: torch.Tensor) -> list[torch.Tensor]:
    """The picture at 1/2, 1/4 and 1/8, means of 2x2 pixels, sides rounded up."""
    pictures = []
    for _ in range(3):
        picture = functional.avg_pool2d(picture, 2, count_include_pad=False, ceil_mode=True)
        pictures.append(picture)
    return pictures


class GuidedFilter(nn.Module):
    """Deep guided filter: colours and matte as a linear function of the large picture, whose factors are learned."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(SIGNALS, SIGNALS, 3, padding=1, groups=SIGNALS, bias=False)
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            *convolution(2 * SIGNALS + hidden, hidden, kernel=1),
            *convolution(hidden, hidden, kernel=1),
            nn.Conv2d(hidden, SIGNALS, 1),
        )

    def forward(
        self, large: torch.Tensor, small: torch.Tensor, signals: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor:
        """Signals [N,4,h,w] of the small picture to [N,4,H,W] of the large one."""
        guide = with_grey(small)
        mean_guide, mean_signals = self.box_filter(guide), self.box_filter(signals)
        covariance = self.box_filter(guide * signals) - mean_guide * mean_signals
        variance = self.box_filter(guide * guide) - mean_guide * mean_guide
        factor = self.conv(torch.cat([covariance, variance, hidden], dim=1))
        offset = mean_signals - factor * mean_guide
        return resize_like(factor, large) * with_grey(large) + resize_like(offset, large)


def with_grey(picture: torch.Tensor) -> torch.Tensor:
    """The three colours, and their mean as a fourth channel."""
    return torch.cat([picture, picture.mean(1, keepdim=True)], dim=1)


def resize_by(picture: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """The picture [N,3,H,W] at `ratio` [1] of its sides, rounded down; exported, the ratio stays an input."""
    sides = (torch._shape_as_tensor(picture)[2:] * ratio).floor().long()
    size: Any = (sides[0], sides[1]) if torch.onnx.is_in_onnx_export() else sides.tolist()
    return functional.interpolate(picture, size, mode="bilinear", align_corners=False)


class RobustVideoMatting(nn.Module):
    """A frame and four states to the person's colours, the matte and the new states; any H and W.

    The frame is RGB [N,3,H,W] in 0..1; the network itself sees it at `downsample_ratio` of its sides.
    """

    divisor: ClassVar = 1
    published_names: ClassVar[Sequence[tuple[str, str]]] = ()
    input_names: ClassVar = ("src", "r1i", "r2i", "r3i", "r4i", "downsample_ratio")
    output_names: ClassVar = ("fgr", "pha", "r1o", "r2o", "r3o", "r4o")

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.backbone = MobileNetV3()
        self.aspp = GlobalPyramid(self.backbone.channels[3], PYRAMID)
        self.decoder = Decoder(self.backbone.channels)
        self.project_mat = nn.ModuleDict({"conv": nn.Conv2d(DECODER[-1], SIGNALS, 1)})
        self.project_seg = nn.ModuleDict({"conv": nn.Conv2d(DECODER[-1], 1, 1)})  # for training alone
        self.refiner = GuidedFilter(DECODER[-1])

    def forward(
        self,
        src: torch.Tensor,
        r1i: State = None,
        r2i: State = None,
        r3i: State = None,
        r4i: State = None,
        downsample_ratio: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """`fgr` [N,3,H,W] and `pha` [N,1,H,W], both in 0..1, and the states for the next frame."""
        small = src if downsample_ratio is None else resize_by(src, downsample_ratio)
        signals, hidden, states = self.small_signals(small, (r1i, r2i, r3i, r4i))
        signals = self.refiner(src, small, signals, hidden)
        fgr, pha = (signals[:, :3] + src).clamp(0, 1), signals[:, 3:].clamp(0, 1)
        return (fgr, pha, *states)

    def small_signals(
        self, small: torch.Tensor, states: tuple[State, ...]
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Colours (as a difference to the picture's) and matte of the small picture, features, and the new states."""
        *maps, coarse = self.backbone(self.normalise(small))
        hidden, states_after = self.decoder(small, [*maps, self.aspp(coarse)], states)
        return self.project_mat["conv"](hidden), hidden, states_after
