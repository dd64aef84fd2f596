# SPDX-License-Identifier: GPL-2.0-or-later
"""Size and cost of a network: parameters and multiply-accumulates."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def count_parameters(network: nn.Module) -> int:
    """Number of parameters; statistics of normalisations are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, height: int, width: int) -> int:
    """Multiply-accumulates of all convolutions and linear layers for one picture [1,3,height,width].

    Counted in evaluation mode on a copy whose tensors have shapes but no values, so that even a large network takes
    no time. Normalisations, activations and resizing are not counted, as in most papers.
    """
    network = copy.deepcopy(network).to("meta").eval()
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        counts.append(_layer_macs(layer, inputs[0], output))

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width, device="meta"))
    return sum(counts)


def _layer_macs(layer: Any, features: torch.Tensor, output: torch.Tensor) -> int:
    """Each weight is used once per output pixel; in a transposed convolution once per input pixel."""
    if isinstance(layer, nn.Linear):
        positions = output.numel() // layer.out_features
    else:
        positions = (features if isinstance(layer, nn.ConvTranspose2d) else output).shape[-2:].numel()
    return int(positions * layer.weight.numel())
