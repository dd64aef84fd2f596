# SPDX-License-Identifier: GPL-2.0-or-later
"""Tiny networks whose answers are known, and checkpoints of real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from background_filter.models import networks
from background_filter.models.training.checkpoint import Restored
from background_filter.models.training.quantise import Samples
from background_filter.tests.models.training.people import HEIGHT, WIDTH, person

SMALL: dict[str, Any] = {"channels": [16, 16, 16, 16], "dilations": [1], "eighth_blocks": 1}


def checkpoint(path: Path, name: str = "person_unet", **options: Any) -> Path:
    """A checkpoint with random weights, always the same, in the form of the training loop."""
    torch.manual_seed(0)
    network = networks.create(name, **(options or SMALL))
    told = {"name": name, "options": options or SMALL, "width": WIDTH, "height": HEIGHT}
    torch.save({"average": network.state_dict(), "architecture": told}, path)
    return path


def brightness_chain(outlier: float = 0.0) -> Restored:
    """Four 1x1 convolutions that carry the brightness along: logit = 24 * (brightness - .5).

    A second channel carries the constant `outlier`, which no answer depends on. In float it does no harm; 8 bits that
    reach that far have no steps left for the brightness.
    """
    layers = [nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 1, 1)]
    weights = [torch.zeros_like(layer.weight) for layer in layers]
    biases = [torch.zeros(len(each)) for each in weights]
    weights[0][0] = 1 / 3
    biases[0][1] = outlier
    weights[1][:, :, 0, 0] = weights[2][:, :, 0, 0] = torch.eye(2)
    weights[3][0, 0], biases[3][0] = 24.0, -12.0
    for layer, weight, bias in zip(layers, weights, biases, strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    stack = nn.Sequential(*(part for layer in layers[:3] for part in (layer, nn.ReLU())), layers[3])
    return Restored(stack.eval(), "chain", WIDTH, HEIGHT)


def people_samples(count: int) -> Samples:
    """Pictures uint8 RGB [N,3,H,W] with their masks [N,1,H,W]."""
    pairs = [person(seed) for seed in range(count)]
    pictures = torch.stack([torch.from_numpy(picture[:, :, ::-1].transpose(2, 0, 1).copy()) for picture, _ in pairs])
    return Samples(pictures, torch.stack([torch.from_numpy(mask)[None] for _, mask in pairs]))
