# SPDX-License-Identifier: GPL-2.0-or-later
"""A light U-Net (Ronneberger et al. 2015, arXiv:1505.04597) for pictures of 128x128 and up.

The paper's shape with a quarter of its channels by default (about a sixteenth of its parameters). As has become usual,
the convolutions are padded, so that the mask is as large as the picture, and normalised over the batch
(arXiv:1502.03167). `channels=(64, 128, 256, 512, 1024)` is the paper's network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .blocks import MaskNetwork, convolution


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions."""
    return nn.Sequential(convolution(inputs, outputs), convolution(outputs, outputs))


class UNetLight(MaskNetwork):
    """U-Net: logits at full resolution; H and W divide by 16.

    `channels` are those at 1/1, 1/2, 1/4, 1/8 and 1/16 of the resolution.
    """

    output_stride = 1
    divisor = 16

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 128, 256), classes: int = 1) -> None:
        super().__init__()
        if len(channels) != 5:
            raise ValueError(f"expected five numbers of channels, found {list(channels)}")
        inputs = (3, *channels[:-1])
        self.encoders = nn.ModuleList(_double(coarse, fine) for coarse, fine in zip(inputs, channels))
        steps = [(channels[level + 1], channels[level]) for level in (3, 2, 1, 0)]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in steps)
        self.decoders = nn.ModuleList(_double(2 * fine, fine) for _, fine in steps)
        self.head = nn.Conv2d(channels[0], classes, 1)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Down with pooling, up with transposed convolutions, skips concatenated."""
        skips = [self.encoders[0](picture)]
        for encoder in self.encoders[1:]:
            skips.append(encoder(functional.max_pool2d(skips[-1], 2)))
        features = skips.pop()
        for up, decoder in zip(self.ups, self.decoders):
            features = decoder(torch.cat([skips.pop(), up(features)], dim=1))
        return [self.head(features)]
