# SPDX-License-Identifier: GPL-2.0-or-later
"""The networks that this project trains: `create` makes one by its name in `NETWORKS`.

Every one of these takes float32 RGB [N,3,H,W] in 0..1, H and W multiples of its `divisor`, and returns logits
[N,1,H/s,W/s], s being its `output_stride`; in training mode a list of logits, the main ones first. Those in `PUBLISHED`
are converted from weights that others have trained; they are not trained here. Nothing is imported before a network is
asked for; only `segresnet` needs MONAI.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocks import MaskNetwork
    from .rvm import RobustVideoMatting


@dataclass(frozen=True)
class Architecture:
    """Where a network is defined, its options, the size (pixels) it is trained at unless told otherwise, its source.

    `models` are those of the catalogue whose published PyTorch weights belong to it.
    """

    module: str
    class_name: str
    paper: str
    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 256
    height: int = 144
    models: tuple[str, ...] = ()

    def network_class(self) -> Any:
        """The class, imported now."""
        return getattr(importlib.import_module(f".{self.module}", __name__), self.class_name)

    def known_options(self) -> list[str]:
        """Names of the options that the class takes."""
        return [name for name in inspect.signature(self.network_class().__init__).parameters if name != "self"]


U2NET_LIGHT = {"outer": (64,) * 6, "middle": (16,) * 6, "decoder_outer": (64,) * 5, "decoder_middle": (16,) * 5}

NETWORKS: dict[str, Architecture] = {
    "person_unet": Architecture(
        "person_unet", "PersonUNet", "ours, after arXiv:1505.04597", "half-resolution U-Net made for the CPU"
    ),
    "unet_light": Architecture(
        "unet_light", "UNetLight", "arXiv:1505.04597", "U-Net with a quarter of the channels", width=128, height=128
    ),
    "bisenet": Architecture(
        "bisenet", "BiSeNet", "arXiv:1808.00897", "spatial and context path on ResNet-18", {"backbone": "resnet18"}
    ),
    "deeplabv3": Architecture(
        "deeplab", "DeepLabV3", "arXiv:1706.05587", "pyramid of dilated convolutions on ResNet-50",
        {"backbone": "resnet50", "backbone_stride": 16},
    ),
    "deeplabv3plus": Architecture(
        "deeplab", "DeepLabV3Plus", "arXiv:1802.02611", "the same with a decoder, on MobileNetV2",
        {"backbone": "mobilenet_v2", "backbone_stride": 16},
    ),
    "extremec3": Architecture(
        "extremec3", "ExtremeC3Net", "arXiv:1908.03093", "dilated depthwise convolutions, 38 thousand weights",
        width=224, height=224, models=("extremec3",),
    ),
    "modnet": Architecture(
        "modnet", "MODNet", "arXiv:2011.11961", "portrait matting: person, details near the edge, and both joined",
        width=512, height=512, models=("modnet",),
    ),
    "segnet": Architecture(
        "segnet", "SegNet", "arXiv:1511.00561", "unpooling by remembered indices, ResNet-18 encoder",
        {"backbone": "resnet18"},
    ),
    "segresnet": Architecture(
        "segresnet", "SegResNet", "arXiv:1810.11654", "residual encoder with group normalisation (MONAI)"
    ),
    "sinet": Architecture(
        "sinet", "SINet", "arXiv:1911.09099", "squeezed views and a decoder that blocks detail, 87 thousand weights",
        width=224, height=224, models=("sinet_224",),
    ),
    "u2net": Architecture(
        "u2net", "U2Net", "arXiv:2005.09007", "nested U-Net, the large one", width=320, height=320,
        models=("u2net", "u2net_human"),
    ),
    "u2net_light": Architecture(
        "u2net", "U2Net", "arXiv:2005.09007", "nested U-Net, the light one", U2NET_LIGHT, 320, 320, ("u2netp",)
    ),
}  # fmt: skip
PUBLISHED: dict[str, Architecture] = {
    "deeplabv3_mnv3": Architecture(
        "deeplab",
        "TorchvisionDeepLab",
        "arXiv:1706.05587",
        "torchvision's on MobileNetV3, the classes of Pascal VOC",
        width=520,
        height=520,
        models=("deeplabv3_mnv3",),
    ),
    "rvm_mobilenetv3": Architecture(
        "rvm",
        "RobustVideoMatting",
        "arXiv:2108.11515",
        "video matting with a memory, on MobileNetV3",
        models=("rvm_mobilenetv3",),
    ),
}
CONVERTIBLE = {**NETWORKS, **PUBLISHED}


def architecture_of(model: str) -> str | None:
    """The architecture that the published PyTorch weights of a model of the catalogue belong to, if it is here."""
    return next((name for name, architecture in CONVERTIBLE.items() if model in architecture.models), None)


def create(name: str, **options: Any) -> MaskNetwork:
    """New network of `NETWORKS`, random weights; ValueError for an unknown name or option, or a value that can't be."""
    network: MaskNetwork = _create(NETWORKS, name, options)
    return network


def create_any(name: str, **options: Any) -> MaskNetwork | RobustVideoMatting:
    """The same of `CONVERTIBLE`."""
    network: MaskNetwork | RobustVideoMatting = _create(CONVERTIBLE, name, options)
    return network


def _create(known_networks: Mapping[str, Architecture], name: str, options: dict[str, Any]) -> Any:
    if name not in known_networks:
        raise ValueError(f"unknown network {name!r}; known are {', '.join(known_networks)}")
    architecture = known_networks[name]
    known = architecture.known_options()
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}")
    return architecture.network_class()(**{**architecture.options, **options})
