# SPDX-License-Identifier: GPL-2.0-or-later
"""BiSeNet (Yu et al. 2018, arXiv:1808.00897): one path for detail, one for context, and their fusion.

Channel counts and the refining 3x3 convolutions, which the paper leaves open, are those of the authors' later release.
The paper's 49.0 M parameters for ResNet-18 can't be reached by what it describes (the ResNet has 11.2 M); published
implementations have 13 to 14 M, as this one. The paper's auxiliary losses weigh as much as the main one.

The main logits arise at 1/8 of the resolution, the auxiliary ones at 1/16 and 1/8. The paper enlarges the main ones
bilinearly to the picture's size; here to half of it, the filter does the other half.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .backbones import build_backbone
from .blocks import MaskNetwork, convolution, resize_like


class SpatialPath(nn.Sequential):
    """Three convolutions of stride 2 and a projection: [N,3,H,W] to [N,outputs,H/8,W/8]."""

    def __init__(self, outputs: int = 128) -> None:
        super().__init__(
            convolution(3, 64, kernel=7, stride=2),
            convolution(64, 64, stride=2),
            convolution(64, 64, stride=2),
            convolution(64, outputs, kernel=1),
        )


class AttentionRefinement(nn.Module):
    """Weigh the channels of refined features by their own mean over the picture (paper, figure 2b)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.refine = convolution(inputs, outputs)
        self.attention = nn.Sequential(
            nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.Sigmoid()
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H,W]."""
        refined: torch.Tensor = self.refine(features)
        weights: torch.Tensor = self.attention(functional.adaptive_avg_pool2d(refined, 1))
        return refined * weights


class ContextPath(nn.Module):
    """A backbone's last two stages, refined and merged from the global mean upwards."""

    def __init__(self, backbone: str, channels: int) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone)
        *_, sixteenth, thirtysecond = self.backbone.channels
        self.tail = convolution(thirtysecond, channels, kernel=1)
        self.refine_thirtysecond = AttentionRefinement(thirtysecond, channels)
        self.refine_sixteenth = AttentionRefinement(sixteenth, channels)
        self.smooth_sixteenth = convolution(channels, channels)
        self.smooth_eighth = convolution(channels, channels)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture [N,3,H,W] to context [N,C,H/8,W/8] and [N,C,H/16,W/16]."""
        _, eighth, sixteenth, thirtysecond = self.backbone(picture)
        tail = self.tail(functional.adaptive_avg_pool2d(thirtysecond, 1))
        context = self.refine_thirtysecond(thirtysecond) + tail
        coarse = self.smooth_sixteenth(resize_like(context, sixteenth))
        fine = self.refine_sixteenth(sixteenth) + coarse
        return self.smooth_eighth(resize_like(fine, eighth)), coarse


class FeatureFusion(nn.Module):
    """Concatenate both paths, mix, and weigh the channels by a bottleneck of their means (paper, figure 2c)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = convolution(inputs, outputs, kernel=1)
        self.attention = nn.Sequential(
            nn.Conv2d(outputs, outputs // 4, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs // 4, outputs, 1),
            nn.Sigmoid(),
        )

    def forward(self, spatial: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Two feature maps [N,C,H,W] to one [N,outputs,H,W]."""
        features: torch.Tensor = self.mix(torch.cat([spatial, context], dim=1))
        weights: torch.Tensor = self.attention(functional.adaptive_avg_pool2d(features, 1))
        return features + features * weights


def _head(inputs: int, hidden: int, classes: int) -> nn.Sequential:
    """Logits from features of the same resolution."""
    return nn.Sequential(convolution(inputs, hidden), nn.Conv2d(hidden, classes, 1))


class BiSeNet(MaskNetwork):
    """BiSeNet: logits at half resolution, in training mode two auxiliary ones; H and W divide by 8."""

    output_stride = 2
    divisor = 8

    def __init__(self, backbone: str = "resnet18", channels: int = 128, classes: int = 1) -> None:
        super().__init__()
        self.spatial = SpatialPath(channels)
        self.context = ContextPath(backbone, channels)
        self.fusion = FeatureFusion(2 * channels, 2 * channels)
        self.head = _head(2 * channels, 64, classes)
        self.auxiliary_eighth = _head(channels, 2 * channels, classes)
        self.auxiliary_sixteenth = _head(channels, 2 * channels, classes)

    @property
    def backbone(self) -> nn.Module:
        """The encoder, for `load_torchvision`."""
        return self.context.backbone

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Main logits [N,classes,H/2,W/2]; in training mode also those of the context path at 1/8 and 1/16."""
        eighth, sixteenth = self.context(picture)
        main = self.at_output_size(self.head(self.fusion(self.spatial(picture), eighth)), picture)
        if not self.training:
            return [main]
        return [main, self.auxiliary_eighth(eighth), self.auxiliary_sixteenth(sixteenth)]
