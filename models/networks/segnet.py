# SPDX-License-Identifier: GPL-2.0-or-later
"""SegNet (Badrinarayanan et al. 2015, arXiv:1511.00561) with a ResNet as encoder.

SegNet's decoder puts each value back where its maximum was found when the encoder pooled. A ResNet pools once and
strides three times, so it has no such places to remember. Here each strided stage instead pools its input 2x2 and runs
without stride, and the stem pools 2x2 instead of 3x3: the same parameters under the same names (torchvision's weights
load and are a start, though not the same function), the same cost, and four sets of indices. The first convolution's
stride remains; its doubling would have no indices, so the logits have half the resolution.

torch.onnx can't export `max_unpool2d`, and ONNX's own MaxUnpool runs in few engines. `unpool` therefore doubles by
repetition and keeps a value only where the doubled index names that very pixel: the same result, from operators that
run everywhere.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .backbones import ResNet
from .blocks import MaskNetwork, convolution


def pool(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima of 2x2 pixels [N,C,H/2,W/2], sides rounded up, and where in the H*W pixels they were (int64)."""
    return functional.max_pool2d_with_indices(features, (2, 2), ceil_mode=True)


def unpool(features: torch.Tensor, indices: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Put features [N,C,h,w] to the places that `pool` found in `like` [N,C,H,W]; zero elsewhere."""
    height, width = like.shape[-2:]
    places = torch.arange(height * width, device=like.device).view(1, 1, height, width)
    # Indices are exact in float32 up to 16 million pixels.
    chosen = _double(indices.float(), like) == places.float()
    return _double(features, like) * chosen.to(features.dtype)


def _double(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Repeat each value 2x2 and cut to the size of `like`."""
    doubled = functional.interpolate(values, scale_factor=2.0, mode="nearest")
    return doubled[..., : like.shape[-2], : like.shape[-1]]


class SegNet(MaskNetwork):
    """SegNet: logits at half resolution; H and W divide by 8."""

    output_stride = 2
    divisor = 8

    def __init__(self, backbone: str = "resnet18", classes: int = 1) -> None:
        super().__init__()
        self.backbone = ResNet(backbone, strides=(1, 1, 1, 1))
        pooled = (64, *self.backbone.channels[:-1])  # what each pooling sees, finest first
        coarse = self.backbone.channels[-1]
        self.narrow = convolution(coarse, pooled[-1])
        outputs = (pooled[0], *pooled[:-1])
        self.decoders = nn.ModuleList(
            nn.Sequential(convolution(fine, fine), convolution(fine, narrowed))
            for fine, narrowed in zip(reversed(pooled), reversed(outputs))
        )
        self.head = nn.Conv2d(pooled[0], classes, 3, padding=1)

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,classes,H/2,W/2]."""
        features, seen = self.backbone.stem(picture), []
        for stage in self.backbone.stages():
            pooled, indices = pool(features)
            seen.append((features, indices))
            features = stage(pooled)
        features = self.narrow(features)
        for decoder in self.decoders:
            like, indices = seen.pop()
            features = decoder(unpool(features, indices, like))
        return [self.head(features)]
