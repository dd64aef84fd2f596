# SPDX-License-Identifier: GPL-2.0-or-later
"""Robust Video Matting's published weights, out of the graph that the TensorFlow version became."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from background_filter.models.networks.rvm import RobustVideoMatting


def published_layers(model: onnx.ModelProto) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Each convolution's weights in the graph's order, and the factor and offset per channel that follow it."""
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        weights = constants[node.input[1]]
        factor, offset = np.ones(len(weights), np.float32), np.zeros(len(weights), np.float32)
        if len(node.input) > 2:
            offset = offset + constants[node.input[2]]
        last = node.output[0]
        while len(users[last]) == 1 and users[last][0].op_type in ("Mul", "Add", "Transpose"):
            user = users[last][0]
            values = [constants[name].ravel() for name in user.input if name in constants]
            if user.op_type != "Transpose":
                if not values or values[0].size != len(weights):
                    break
                factor, offset = (
                    (factor * values[0], offset * values[0]) if user.op_type == "Mul" else (factor, offset + values[0])
                )
            last = user.output[0]
        yield weights, factor, offset


@torch.no_grad()
def take_weights(network: RobustVideoMatting, model: onnx.ModelProto) -> None:
    """Give the network the weights of the file, convolution by convolution, in the order in which both compute."""
    order: list[nn.Conv2d] = []
    norms: dict[nn.Module, nn.BatchNorm2d] = {}
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda layer, *_: order.append(layer))
        if isinstance(module, nn.Sequential):
            layers = list(module)
            norms |= {one: other for one, other in itertools.pairwise(layers) if isinstance(other, nn.BatchNorm2d)}
    network.small_signals(torch.zeros(1, 3, 32, 32), (None,) * 4)
    for layer, (weights, factor, offset) in zip(list(order), published_layers(model), strict=True):
        layer.weight.copy_(torch.tensor(weights))
        norm = norms.get(layer)
        if norm is not None:
            norm.running_mean.zero_()  # type: ignore[union-attr]
            norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
            norm.weight.copy_(torch.tensor(factor))
            norm.bias.copy_(torch.tensor(offset))
        elif layer.bias is not None:
            layer.bias.copy_(torch.tensor(offset))
        else:
            assert not offset.any()
