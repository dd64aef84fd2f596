# SPDX-License-Identifier: GPL-2.0-or-later
"""MODNet (Ke et al. 2020, arXiv:2011.11961): a portrait's matte in three branches on MobileNetV2.

The low-resolution branch finds the person, the high-resolution branch the details near its edge, and fusion joins both.
Half of the channels are normalised over the batch, half within each picture. The paper supervises the details near the
edge alone; here they are an auxiliary mask of the whole picture, as the coarse one is.

The published program enlarges by two throughout, which asks for sides that are multiples of 32. Here each map takes the
sides of the one that it is joined with: the same for these, and any other sides will do.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .backbones import MobileNetV2, convolution6, initialise
from .blocks import MaskNetwork, Normalise, resize, resize_like

CHANNELS = 32  # of the high-resolution branch
SQUEEZE = 4
EPSILON = 1e-5
# The published file's names (modnet_photographic_portrait_matting.ckpt). It holds the backbone twice.
PUBLISHED_NAMES = (
    (r"^lr_branch\.backbone\.", "backbone."),
    (r"^backbone\.model\.features\.(0|18)\.", r"backbone.features.\1."),
    (r"^backbone\.model\.features\.1\.conv\.(0|1)\.", r"backbone.features.1.conv.0.\1."),
    (r"^backbone\.model\.features\.1\.conv\.3\.", "backbone.features.1.conv.1."),
    (r"^backbone\.model\.features\.1\.conv\.4\.", "backbone.features.1.conv.2."),
    (r"^backbone\.model\.features\.(\d+)\.conv\.(0|1)\.", r"backbone.features.\1.conv.0.\2."),
    (r"^backbone\.model\.features\.(\d+)\.conv\.3\.", r"backbone.features.\1.conv.1.0."),
    (r"^backbone\.model\.features\.(\d+)\.conv\.4\.", r"backbone.features.\1.conv.1.1."),
    (r"^backbone\.model\.features\.(\d+)\.conv\.6\.", r"backbone.features.\1.conv.2."),
    (r"^backbone\.model\.features\.(\d+)\.conv\.7\.", r"backbone.features.\1.conv.3."),
    (r"^lr_branch\.se_block\.fc\.", "low.weigh."),
    (r"^lr_branch\.conv_lr16x\.", "low.at_sixteenth."),
    (r"^lr_branch\.conv_lr8x\.", "low.at_eighth."),
    (r"^lr_branch\.conv_lr\.", "low.head."),
    (r"^hr_branch\.tohr_enc2x\.", "high.take_half."),
    (r"^hr_branch\.conv_enc2x\.", "high.down."),
    (r"^hr_branch\.tohr_enc4x\.", "high.take_quarter."),
    (r"^hr_branch\.conv_enc4x\.", "high.join."),
    (r"^hr_branch\.conv_hr4x\.", "high.at_quarter."),
    (r"^hr_branch\.conv_hr2x\.", "high.at_half."),
    (r"^hr_branch\.conv_hr\.", "high.head."),
    (r"^f_branch\.conv_lr4x\.", "fusion.at_quarter."),
    (r"^f_branch\.conv_f2x\.", "fusion.at_half."),
    (r"^f_branch\.conv_f\.", "fusion.head."),
    (r"\.layers\.", "."),
)


class HalfNormalise(nn.Module):
    """IBNorm: batch normalisation of the first half of the channels, normalisation within the picture of the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnorm = nn.BatchNorm2d(channels // 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,C,H,W] of the same shape."""
        over_batch, within = features.chunk(2, dim=1)
        # Written out: PyTorch's own normalisation within a picture looks at the sides, which can't be traced.
        apart = within - within.mean(dim=(2, 3), keepdim=True)
        within = apart / (apart.square().mean(dim=(2, 3), keepdim=True) + EPSILON).sqrt()
        return torch.cat([self.bnorm(over_batch), within], dim=1)


def mixed(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution with bias, `HalfNormalise` and ReLU; the padding keeps the resolution (divided by `stride`)."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    return nn.Sequential(conv, HalfNormalise(outputs), nn.ReLU(inplace=True))


def plain(inputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution to logits, in a container as in the published file."""
    return nn.Sequential(nn.Conv2d(inputs, 1, kernel, stride, kernel // 2))


class Encoder(MobileNetV2):
    """MobileNetV2 with its last 1x1 convolution, and features at 1/2 as well."""

    channels = (16, 24, 32, 96, 1280)
    ends = (1, 3, 6, 13, 18)

    def __init__(self) -> None:
        super().__init__()
        self.features.append(convolution6(320, self.channels[-1], 1))
        initialise(self)


class LowResolution(nn.Module):
    """The person, coarsely: the encoder's last features, weighed by their means and brought to 1/8."""

    def __init__(self, sixteenth: int, eighth: int, inputs: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Linear(inputs, inputs // SQUEEZE, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(inputs // SQUEEZE, inputs, bias=False),
            nn.Sigmoid(),
        )
        self.at_sixteenth = mixed(inputs, sixteenth, kernel=5)
        self.at_eighth = mixed(sixteenth, eighth, kernel=5)
        self.head = plain(eighth, 3, stride=2)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """The encoder's five maps to features at 1/8."""
        _, _, eighth, sixteenth, features = maps
        weights = self.weigh(functional.adaptive_avg_pool2d(features, 1).flatten(1))
        features = self.at_sixteenth(resize_like(features * weights[:, :, None, None], sixteenth))
        result: torch.Tensor = self.at_eighth(resize_like(features, eighth))
        return result


class HighResolution(nn.Module):
    """The details: the encoder's fine features, the picture itself and where the person is, to 1/2."""

    def __init__(self, half: int, quarter: int) -> None:
        super().__init__()
        wide = 2 * CHANNELS
        self.take_half = mixed(half, CHANNELS, kernel=1)
        self.down = mixed(CHANNELS + 3, CHANNELS, stride=2)
        self.take_quarter = mixed(quarter, CHANNELS, kernel=1)
        self.join = mixed(wide, wide)
        self.at_quarter = nn.Sequential(mixed(wide + CHANNELS + 3, wide), mixed(wide, wide), mixed(wide, CHANNELS))
        self.at_half = nn.Sequential(
            mixed(wide, wide), mixed(wide, CHANNELS), mixed(CHANNELS, CHANNELS), mixed(CHANNELS, CHANNELS)
        )
        self.head = nn.Sequential(mixed(CHANNELS + 3, CHANNELS), plain(CHANNELS, 1))

    def forward(self, picture: torch.Tensor, maps: list[torch.Tensor], coarse: torch.Tensor) -> torch.Tensor:
        """Picture, the encoder's maps and features at 1/8 to features at 1/2."""
        half = self.take_half(maps[0])
        joined = self.down(torch.cat([resize_like(picture, half), half], dim=1))
        joined = self.join(torch.cat([joined, self.take_quarter(maps[1])], dim=1))
        views = [joined, resize_like(coarse, joined), resize_like(picture, joined)]
        features = resize_like(self.at_quarter(torch.cat(views, dim=1)), half)
        result: torch.Tensor = self.at_half(torch.cat([features, half], dim=1))
        return result


class Fusion(nn.Module):
    """Person and details to the matte."""

    def __init__(self, eighth: int) -> None:
        super().__init__()
        self.at_quarter = mixed(eighth, CHANNELS, kernel=5)
        self.at_half = mixed(2 * CHANNELS, CHANNELS)
        self.head = nn.Sequential(mixed(CHANNELS + 3, CHANNELS // 2), plain(CHANNELS // 2, 1))

    def forward(
        self, picture: torch.Tensor, quarter: torch.Tensor, coarse: torch.Tensor, details: torch.Tensor
    ) -> torch.Tensor:
        """Logits at the picture's resolution, from features at 1/8 and 1/2; `quarter` tells the sides between."""
        features = self.at_quarter(resize_like(coarse, quarter))
        features = self.at_half(torch.cat([resize_like(features, details), details], dim=1))
        result: torch.Tensor = self.head(torch.cat([resize_like(features, picture), picture], dim=1))
        return result


class MODNet(MaskNetwork):
    """MODNet: logits at full resolution, in training mode also those of the coarse branch and of the details."""

    output_stride = 1
    divisor = 1
    published_names = PUBLISHED_NAMES

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise((0.5,) * 3, (0.5,) * 3)
        self.backbone = Encoder()
        half, quarter, eighth, sixteenth, last = self.backbone.channels
        self.low = LowResolution(sixteenth, eighth, last)
        self.high = HighResolution(half, quarter)
        self.fusion = Fusion(eighth)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,1,H,W]; in training mode also [N,1,H/16,W/16] and [N,1,H,W]."""
        maps = self.backbone(picture)
        coarse = self.low(maps)
        details = self.high(picture, maps, coarse)
        logits = self.fusion(picture, maps[1], coarse, details)
        if not self.training:
            return [logits]
        height, width = picture.shape[-2:]
        detailed = self.high.head(torch.cat([resize(details, height, width), picture], dim=1))
        return [logits, self.low.head(coarse), detailed]
