# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoders: ResNet-18, -34 and -50 (He et al. 2015, arXiv:1512.03385) and MobileNetV2 (arXiv:1801.04381).

They are written here because torchvision and timm could not be installed where this was made. The parameters bear
torchvision's names, so that a torchvision weights file that a user has loads with `load_torchvision`; nothing is
downloaded. As in torchvision, the stride of ResNet-50's bottlenecks sits in the 3x3 convolution ("version 1.5").

The classifiers are left out, of MobileNetV2 also the last 1x1 convolution to 1280 channels: its paper (section 6.3)
finds the 320 channels before it as good for segmentation.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

STEM_STRIDE = 4  # of a ResNet: a convolution and a pooling, each of stride 2
RESNETS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
}
# MobileNetV2, table 2: expansion, channels, repetitions, stride.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
BACKBONES = (*RESNETS, "mobilenet_v2")
CLASSIFIERS = ("fc.", "classifier.", "features.18.")  # what a file of torchvision's has beyond the encoder


def build_backbone(name: str, output_stride: int = 32) -> Backbone:
    """Encoder by name; below a stride of 32 the last stages are dilated instead of strided (arXiv:1706.05587)."""
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known are {', '.join(BACKBONES)}")
    if output_stride not in (8, 16, 32):
        raise ValueError(f"expected a backbone stride of 8, 16 or 32, found {output_stride}")
    if name == "mobilenet_v2":
        return MobileNetV2(output_stride)
    return ResNet(name, *dilate((1, 2, 2, 2), STEM_STRIDE, output_stride))


def dilate(strides: Sequence[int], reached: int, limit: int) -> tuple[list[int], list[int]]:
    """Strides and dilations of stages that start at a stride of `reached` and must not go beyond `limit`."""
    kept, dilations, dilation = [], [], 1
    for stride in strides:
        if reached * stride > limit:
            stride, dilation = 1, dilation * stride
        reached *= stride
        kept.append(stride)
        dilations.append(dilation)
    return kept, dilations


class Backbone(nn.Module):
    """Maps a picture [N,3,H,W] to four feature maps at about 1/4, 1/8, 1/16 and 1/32, `channels` deep.

    A side that does not divide is rounded up. Where the last stages are dilated, their maps stay as fine as the limit.
    """

    name: str
    channels: tuple[int, ...]

    def load_torchvision(self, path: Path) -> None:
        """Take the weights of a torchvision file for this encoder; ValueError if it can't be read or does not fit."""
        found = _read_state(path)
        expected = self.state_dict()
        for key, weight in expected.items():
            if key.endswith("num_batches_tracked"):
                continue  # files from before 2018 don't have it; nothing depends on it
            if key not in found:
                raise ValueError(f"{path}: expected the weights of torchvision's {self.name}, but {key} is missing")
            if found[key].shape != weight.shape:
                shapes = f"{list(weight.shape)}, found {list(found[key].shape)}"
                raise ValueError(f"{path}: expected the weights of torchvision's {self.name}; {key} should be {shapes}")
        surplus = [key for key in found if key not in expected and not key.startswith(CLASSIFIERS)]
        if surplus:
            raise ValueError(f"{path}: expected the weights of torchvision's {self.name}, which has no {surplus[0]}")
        self.load_state_dict({key: found[key] for key in expected if key in found}, strict=False)


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a weights file, read without running anything that it may contain."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: expected a PyTorch file of weights, but it can't be read: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path}: expected named tensors (a state_dict), found something else")
    return state


def maps_behind(layers: nn.Sequential, ends: Sequence[int], picture: torch.Tensor) -> list[torch.Tensor]:
    """What comes out of the layers with these numbers, in their order, when all of them run on a picture."""
    maps, features = [], picture
    for number, layer in enumerate(layers):
        features = layer(features)
        if number in ends:
            maps.append(features)
    return maps


def initialise(network: nn.Module) -> None:
    """Normal weights of the variance that keeps the gradients' size behind ReLU (He et al. 2015, arXiv:1502.01852)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """Projection where a residual block changes the shape."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut: the block of ResNet-18 and -34."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(inputs, channels, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,channels,H/stride,W/stride]."""
        carried = self.downsample(features) if self.downsample else features
        features = functional.relu(self.bn1(self.conv1(features)))
        return functional.relu(self.bn2(self.conv2(features)) + carried)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut: the block of ResNet-50."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,4*channels,H/stride,W/stride]."""
        carried = self.downsample(features) if self.downsample else features
        features = functional.relu(self.bn1(self.conv1(features)))
        features = functional.relu(self.bn2(self.conv2(features)))
        return functional.relu(self.bn3(self.conv3(features)) + carried)


class ResNet(Backbone):
    """ResNet-18, -34 or -50 with given strides and dilations of its four stages."""

    def __init__(
        self, name: str = "resnet18", strides: Sequence[int] = (1, 2, 2, 2), dilations: Sequence[int] = (1, 1, 1, 1)
    ) -> None:
        super().__init__()
        if name not in RESNETS:
            raise ValueError(f"unknown ResNet {name!r}; known are {', '.join(RESNETS)}")
        kind, counts = RESNETS[name]
        block = BasicBlock if kind == "basic" else Bottleneck
        self.name = name
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs, before = 64, 1
        for number, (count, stride, dilation) in enumerate(zip(counts, strides, dilations)):
            width = 64 << number
            # The first block sees features as they were before this stage, hence the dilation of the one before.
            blocks = [block(inputs, width, stride, before)]
            blocks += [block(width * block.expansion, width, 1, dilation) for _ in range(count - 1)]
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
            inputs, before = width * block.expansion, dilation
        initialise(self)

    def stem(self, picture: torch.Tensor) -> torch.Tensor:
        """Picture [N,3,H,W] to features [N,64,H/2,W/2], before the pooling."""
        return functional.relu(self.bn1(self.conv1(picture)))

    def stages(self) -> Iterator[nn.Module]:
        """The four stages, finest first."""
        return (self.get_submodule(f"layer{number}") for number in (1, 2, 3, 4))

    def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Picture [N,3,H,W] to the features of the four stages."""
        features = self.maxpool(self.stem(picture))
        maps = []
        for stage in self.stages():
            features = stage(features)
            maps.append(features)
        return maps


def convolution6(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU6."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Widen by 1x1, convolve each channel by 3x3, narrow by 1x1 without activation; carried past where shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        widen = [convolution6(inputs, hidden, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            convolution6(hidden, hidden, 3, stride, dilation, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.carries = stride == 1 and inputs == outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [N,inputs,H,W] to [N,outputs,H/stride,W/stride]."""
        result: torch.Tensor = self.conv(features)
        return features + result if self.carries else result


class MobileNetV2(Backbone):
    """MobileNetV2 up to its last block of 320 channels."""

    name = "mobilenet_v2"
    channels: tuple[int, ...] = (24, 32, 96, 320)
    ends: tuple[int, ...] = (3, 6, 13, 17)  # the last layers at 1/4, 1/8, 1/16 and 1/32

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution6(3, 32, 3, stride=2)]
        strides, dilations = dilate([row[3] for row in MOBILENET_V2], 2, output_stride)
        inputs, before = 32, 1
        for (expansion, outputs, count, _), stride, dilation in zip(MOBILENET_V2, strides, dilations):
            layers.append(InvertedResidual(inputs, outputs, expansion, stride, before))
            layers += [InvertedResidual(outputs, outputs, expansion, 1, dilation) for _ in range(count - 1)]
            inputs, before = outputs, dilation
        self.features = nn.Sequential(*layers)
        initialise(self)

    def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Picture [N,3,H,W] to features at four resolutions."""
        return maps_behind(self.features, self.ends, picture)
