# SPDX-License-Identifier: GPL-2.0-or-later
"""DeepLabV3 (Chen et al. 2017, arXiv:1706.05587) and DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611).

Both read a dilated backbone by atrous spatial pyramid pooling (ASPP): 1x1, three dilated 3x3 convolutions, and the mean
of the whole picture. V3+ adds a decoder with features at 1/4 of the resolution and, as its title says, separable
convolutions. The dilation rates of the pyramid are 6, 12 and 18 at a backbone stride of 16, twice that at 8, half of it
at 32. The multi-grid rates that V3 tries in the last stage are left out, as in torchvision, so that its weights fit.

The papers enlarge the logits bilinearly to the picture's size; here to half of it, the filter does the other half.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .backbones import build_backbone
from .blocks import MaskNetwork, convolution, resize_like, separable_convolution
from .mobilenet_v3 import MobileNetV3

LOW_LEVEL_CHANNELS = 48  # of the decoder's skip (V3+ paper, section 4.1)
# Torchvision's names of its DeepLabV3 on MobileNetV3 (deeplabv3_mobilenet_v3_large-fc3c493d.pth).
TORCHVISION_NAMES = (
    (r"^backbone\.(\d+)\.", r"backbone.features.\1."),
    (r"^classifier\.0\.convs\.4\.1\.", "pyramid.whole.0."),
    (r"^classifier\.0\.convs\.4\.2\.", "pyramid.whole.1."),
    (r"^classifier\.0\.convs\.", "pyramid.views."),
    (r"^classifier\.0\.project\.", "pyramid.mix."),
    (r"^classifier\.1\.", "mix.0."),
    (r"^classifier\.2\.", "mix.1."),
    (r"^classifier\.4\.", "head."),
    (r"^aux_classifier\.(0|1)\.", r"auxiliary.\1."),
    (r"^aux_classifier\.4\.", "auxiliary.3."),
)


class PyramidPooling(nn.Module):
    """ASPP: five views of the same features, concatenated and mixed."""

    def __init__(self, inputs: int, outputs: int, backbone_stride: int, separable: bool) -> None:
        super().__init__()
        dilated = separable_convolution if separable else convolution
        rates = [rate * 16 // backbone_stride for rate in (6, 12, 18)]
        views = [convolution(inputs, outputs, kernel=1)] + [dilated(inputs, outputs, dilation=rate) for rate in rates]
        self.views = nn.ModuleList(views)
        self.whole = convolution(inputs, outputs, kernel=1)
        self.mix = convolution(5 * outputs, outputs, kernel=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H,W]."""
        views = [view(features) for view in self.views]
        whole = self.whole(functional.adaptive_avg_pool2d(features, 1))
        mixed: torch.Tensor = self.mix(torch.cat([*views, whole.expand_as(views[0])], dim=1))
        return mixed


class DeepLabV3(MaskNetwork):
    """DeepLabV3: logits at half resolution; H and W divide by 8."""

    output_stride = 2
    divisor = 8

    def __init__(
        self, backbone: str = "resnet50", backbone_stride: int = 16, channels: int = 256, classes: int = 1
    ) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, backbone_stride)
        self.pyramid = PyramidPooling(self.backbone.channels[-1], channels, backbone_stride, separable=False)
        self.head = nn.Conv2d(channels, classes, 1)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,classes,H/2,W/2]."""
        features = self.backbone(picture)[-1]
        return [self.at_output_size(self.head(self.pyramid(features)), picture)]


class TorchvisionDeepLab(MaskNetwork):
    """Torchvision's DeepLabV3 on MobileNetV3: logits at full resolution; any H and W.

    It mixes the pyramid once more by 3x3, and takes at a stride of 16 the rates that the paper has for 8. `auxiliary`
    is there for the published file, which holds it; only training would need it.
    """

    published_names = TORCHVISION_NAMES

    def __init__(self, channels: int = 256, classes: int = 21) -> None:
        super().__init__()
        self.backbone = MobileNetV3()
        self.pyramid = PyramidPooling(self.backbone.channels[-1], channels, backbone_stride=8, separable=False)
        self.mix = convolution(channels, channels)
        self.head = nn.Conv2d(channels, classes, 1)
        inputs = self.backbone.channels[2]
        self.auxiliary = nn.Sequential(*convolution(inputs, inputs // 4), nn.Conv2d(inputs // 4, classes, 1))

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,classes,H,W]."""
        features = self.backbone(picture)[-1]
        return [resize_like(self.head(self.mix(self.pyramid(features))), picture)]


class DeepLabV3Plus(MaskNetwork):
    """DeepLabV3+: logits at half resolution; H and W divide by 8.

    `separable` takes separable convolutions in pyramid and decoder, a fifth of the cost.
    """

    output_stride = 2
    divisor = 8

    def __init__(
        self,
        backbone: str = "mobilenet_v2",
        backbone_stride: int = 16,
        channels: int = 256,
        separable: bool = True,
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, backbone_stride)
        self.pyramid = PyramidPooling(self.backbone.channels[-1], channels, backbone_stride, separable)
        self.low_level = convolution(self.backbone.channels[0], LOW_LEVEL_CHANNELS, kernel=1)
        decode = separable_convolution if separable else convolution
        self.decoder = nn.Sequential(decode(channels + LOW_LEVEL_CHANNELS, channels), decode(channels, channels))
        self.head = nn.Conv2d(channels, classes, 1)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,classes,H/2,W/2]."""
        quarter, *_, coarse = self.backbone(picture)
        skip = self.low_level(quarter)
        features = self.decoder(torch.cat([resize_like(self.pyramid(coarse), skip), skip], dim=1))
        return [self.at_output_size(self.head(features), picture)]
