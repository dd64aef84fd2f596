# SPDX-License-Identifier: GPL-2.0-or-later
"""Four tiny pictures with masks, and networks made small where the published one would take too long to train here."""

from typing import Any

import torch
from torch import nn

from background_filter.models.networks import create
from background_filter.models.networks.blocks import MaskNetwork

# Same classes, same structure, fewer channels or a lighter backbone; every other network trains as published.
NARROWER: dict[str, dict[str, Any]] = {
    "deeplabv3": {"backbone": "mobilenet_v2", "backbone_stride": 8, "channels": 32},  # at 16, 64 pixels leave 4x4
    "u2net": {
        "outer": (16, 24, 32, 48, 48, 48), "middle": (8, 8, 16, 16, 24, 24),
        "decoder_outer": (16, 16, 24, 32, 48), "decoder_middle": (8, 8, 16, 16, 24),
    },
    "u2net_light": {"outer": (16,) * 6, "middle": (8,) * 6, "decoder_outer": (16,) * 5, "decoder_middle": (8,) * 5},
}  # fmt: skip


def small(name: str) -> MaskNetwork:
    """Network of the registry, narrower where that is stated."""
    return create(name, **NARROWER.get(name, {}))


def settle(network: nn.Module, pictures: torch.Tensor) -> None:
    """Give normalisations the statistics of these pictures, as training would; the network ends in evaluation mode."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(pictures)
    network.eval()


def discs(count: int = 4, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright noisy discs before dark noisy ground: pictures [N,3,S,S] and masks [N,1,S,S], float32 in 0..1."""
    across = torch.arange(side, dtype=torch.float32)
    masks = []
    for number in range(count):
        x, y, radius = side * (0.35 + 0.1 * number), side * (0.65 - 0.1 * number), side * (0.2 + 0.03 * number)
        masks.append(((across[None] - x) ** 2 + (across[:, None] - y) ** 2 < radius**2).float()[None])
    mask = torch.stack(masks)
    colours = torch.rand(count, 3, 1, 1)
    picture = 0.35 * colours * (1 - mask) + (0.6 + 0.3 * colours) * mask + 0.1 * torch.rand(count, 3, side, side)
    return picture.clamp(0, 1), mask
