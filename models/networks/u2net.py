# SPDX-License-Identifier: GPL-2.0-or-later
"""U2-Net and U2-Net light (Qin et al. 2020, arXiv:2005.09007): a U-Net each of whose stages is a U-Net.

The parameters bear the names of the published files (u2net.pth, u2netp.pth, u2net_human_seg.pth), which therefore load
with `load_state_dict`. The published program divides each picture by its brightest value before it subtracts
ImageNet's mean; that makes a mask depend on one pixel, so here it is left to whoever prepares the picture.

Six side outputs and their fusion are supervised alike in the paper (each loss has weight 1). Sides are rounded up
when halved, so that any size will do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .blocks import MaskNetwork, resize_like

HEIGHTS = (7, 6, 5, 4, 4, 4)  # of the U in each stage; the last two are dilated instead of pooled
DILATED_FROM = 5


class Rebnconv(nn.Module):
    """3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H,W]."""
        return functional.relu(self.bn_s1(self.conv_s1(features)))


def halve(features: torch.Tensor) -> torch.Tensor:
    """Maxima of 2x2 pixels, sides rounded up."""
    return functional.max_pool2d(features, 2, ceil_mode=True)


class ResidualU(nn.Module):
    """RSU block: a U of `height` levels inside a residual connection; `dilated` keeps the resolution (RSU-4F)."""

    def __init__(self, height: int, inputs: int, middle: int, outputs: int, dilated: bool = False) -> None:
        super().__init__()
        self.height, self.dilated = height, dilated
        self.rebnconvin = Rebnconv(inputs, outputs)
        for level in range(1, height + 1):
            dilation = 2 ** (level - 1) if dilated else 1 + (level == height)
            self.add_module(f"rebnconv{level}", Rebnconv(outputs if level == 1 else middle, middle, dilation))
        for level in range(height - 1, 0, -1):
            dilation = 2 ** (level - 1) if dilated else 1
            self.add_module(f"rebnconv{level}d", Rebnconv(2 * middle, outputs if level == 1 else middle, dilation))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H,W]."""
        entry: torch.Tensor = self.rebnconvin(features)
        features = entry
        skips: list[torch.Tensor] = []
        for level in range(1, self.height):
            if skips and not self.dilated:
                features = halve(features)
            features = self.get_submodule(f"rebnconv{level}")(features)
            skips.append(features)
        features = self.get_submodule(f"rebnconv{self.height}")(features)
        for level in range(self.height - 1, 0, -1):
            if level < self.height - 1 and not self.dilated:
                features = resize_like(features, skips[level - 1])
            features = self.get_submodule(f"rebnconv{level}d")(torch.cat([features, skips[level - 1]], dim=1))
        return features + entry


class U2Net(MaskNetwork):
    """U2-Net: logits at full resolution, in training mode six side outputs beside the fused ones; any H and W.

    `outer` and `middle` are the channels between and inside the six encoder stages, finest first; `decoder_outer` and
    `decoder_middle` those of the five decoder stages. The defaults are the paper's full network.
    """

    output_stride = 1
    divisor = 1

    def __init__(
        self,
        outer: Sequence[int] = (64, 128, 256, 512, 512, 512),
        middle: Sequence[int] = (32, 32, 64, 128, 256, 256),
        decoder_outer: Sequence[int] = (64, 64, 128, 256, 512),
        decoder_middle: Sequence[int] = (16, 32, 64, 128, 256),
        classes: int = 1,
    ) -> None:
        super().__init__()
        if [len(outer), len(middle), len(decoder_outer), len(decoder_middle)] != [6, 6, 5, 5]:
            raise ValueError("expected six numbers each for outer and middle, five each for the decoder's")
        inputs = (3, *outer[:-1])
        for stage in range(6):
            block = ResidualU(HEIGHTS[stage], inputs[stage], middle[stage], outer[stage], stage + 1 >= DILATED_FROM)
            self.add_module(f"stage{stage + 1}", block)
        below = (*decoder_outer[1:], outer[-1])
        for stage in range(5):
            width, dilated = outer[stage] + below[stage], stage + 1 >= DILATED_FROM
            block = ResidualU(HEIGHTS[stage], width, decoder_middle[stage], decoder_outer[stage], dilated)
            self.add_module(f"stage{stage + 1}d", block)
        for side, width in enumerate((*decoder_outer, outer[-1])):
            self.add_module(f"side{side + 1}", nn.Conv2d(width, classes, 3, padding=1))
        self.outconv = nn.Conv2d(6 * classes, classes, 1)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Fused logits [N,classes,H,W], then those of the six sides, finest first, at the same size."""
        encoded = [self.get_submodule("stage1")(picture)]
        for stage in range(2, 7):
            encoded.append(self.get_submodule(f"stage{stage}")(halve(encoded[-1])))
        decoded = [encoded.pop()]
        for stage in range(5, 0, -1):
            skip = encoded.pop()
            joined = torch.cat([resize_like(decoded[0], skip), skip], dim=1)
            decoded.insert(0, self.get_submodule(f"stage{stage}d")(joined))
        sides = [self.get_submodule(f"side{number}")(features) for number, features in enumerate(decoded, 1)]
        sides = [sides[0], *(resize_like(side, picture) for side in sides[1:])]
        return [self.outconv(torch.cat(sides, dim=1)), *sides]
