# SPDX-License-Identifier: GPL-2.0-or-later
"""Pieces that several architectures share: convolutions, normalisation of the input, resizing, the common interface."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

# Mean and standard deviation of ImageNet's pictures, RGB in 0..1: what torchvision's and U2-Net's weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# The same of NAVER's portraits, as SINet's and ExtremeC3Net's weights expect it. The deviation is that of 0..255 though
# it divides what is in 0..1: so these networks were trained.
PORTRAIT_MEAN = (126.91 / 255, 111.25 / 255, 102.89 / 255)
PORTRAIT_STD = (66.36, 62.82, 62.93)


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU; the padding keeps the resolution (divided by `stride`)."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def separable_convolution(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution per channel, then 1x1 across channels, each with batch normalisation and ReLU (1802.02611)."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        *convolution(inputs, outputs, kernel=1),
    )


def normalise_and_prelu(channels: int) -> nn.Sequential:
    """Batch normalisation and PReLU, a slope per channel, as SINet and ExtremeC3Net have it throughout."""
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels, eps=1e-3), act=nn.PReLU(channels)))


def prelu_convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and PReLU; the padding keeps the resolution (divided by `stride`)."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, **dict(normalise_and_prelu(outputs).named_children())))


def double(features: torch.Tensor) -> torch.Tensor:
    """Features [N,C,H,W] to [N,C,2H,2W], bilinearly, corners aligned."""
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=True)


def resize(features: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Features [N,C,h,w] to [N,C,height,width], bilinearly, corners not aligned."""
    return functional.interpolate(features, (height, width), mode="bilinear", align_corners=False)


def resize_like(features: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Features [N,C,h,w] to the resolution of `other` [N,D,H,W]."""
    return resize(features, other.shape[-2], other.shape[-1])


def check_size(picture: torch.Tensor, divisor: int) -> None:
    """Refuse what is not a batch of RGB pictures [N,3,H,W] with H and W multiples of `divisor` (ValueError)."""
    if torch.onnx.is_in_onnx_export():
        return  # there, sizes are tensors that can't be compared
    if picture.dim() != 4 or picture.shape[1] != 3:
        raise ValueError(f"expected RGB pictures of shape [N,3,H,W], found {list(picture.shape)}")
    height, width = picture.shape[-2:]
    if height % divisor or width % divisor:
        raise ValueError(
            f"expected a width and a height that are multiples of {divisor}, found {width}x{height}; "
            f"choose for example {_nearest(width, divisor)}x{_nearest(height, divisor)}"
        )


def _nearest(side: int, divisor: int) -> int:
    """Multiple of `divisor` nearest to `side`, at least one."""
    return max(1, round(side / divisor)) * divisor


class Normalise(nn.Module):
    """(picture - mean) / std per channel; constants that follow the network's device but are not in its state."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """RGB [N,3,H,W] in 0..1 to about -2..3 by ImageNet's constants, -0.01..0.01 by the portraits'."""
        return (picture - self.mean) / self.std


class PortraitInput(Normalise):
    """The normalisation by the portraits' constants, with blue as the first channel, as their networks take it."""

    def __init__(self) -> None:
        super().__init__(PORTRAIT_MEAN, PORTRAIT_STD)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """RGB [N,3,H,W] in 0..1 to BGR in -0.01..0.01."""
        colours = super().forward(picture)
        # Not `flip`: TFLite has no word for the backward slice that ONNX makes of it.
        return torch.cat([colours[:, 2:], colours[:, 1:2], colours[:, :1]], dim=1)


class MaskNetwork(nn.Module):
    """What every architecture here has in common; the child defines `outputs`.

    Input: float32 RGB [N,3,H,W] in 0..1, H and W multiples of `divisor`. Result in evaluation mode: logits
    [N,classes,H/s,W/s] with s the `output_stride`; in training mode a list of logits, the main ones first, then the
    auxiliary ones. In training mode N must be at least 2 where a network normalises globally pooled features.
    Without `imagenet_input`, `outputs` sees the picture as it came.
    """

    output_stride: ClassVar[int] = 1
    divisor: ClassVar[int] = 1
    # What turns the names in published files of weights into the names here, in this order: patterns and replacements.
    published_names: ClassVar[Sequence[tuple[str, str]]] = ()

    def __init__(self, imagenet_input: bool = True) -> None:
        super().__init__()
        self.normalise = Normalise() if imagenet_input else nn.Identity()

    def forward(self, picture: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Pictures to logits; ValueError for a size that does not fit."""
        check_size(picture, self.divisor)
        outputs = self.outputs(self.normalise(picture))
        return outputs if self.training else outputs[0]

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Pictures to logits, the main ones first; auxiliary ones are needed only in training mode."""
        raise NotImplementedError

    def at_output_size(self, logits: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        """Bring coarse logits to the picture's resolution divided by `output_stride`."""
        stride = self.output_stride
        return resize(logits, picture.shape[-2] // stride, picture.shape[-1] // stride)
