# SPDX-License-Identifier: GPL-2.0-or-later
"""From a checkpoint of the training loop to the network it holds, ready to be exported or measured."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ...filters.cli.errors import CommandError
from .. import networks
from ..sizes import parse_size as parse_size
from .pictures import write_whole


@dataclass(frozen=True)
class Restored:
    """A network in evaluation mode with averaged weights, its architecture's name, and its input size in pixels."""

    network: nn.Module
    name: str
    width: int
    height: int

    @property
    def output_stride(self) -> int:
        """How many input pixels one logit stands for, along one side."""
        return int(getattr(self.network, "output_stride", 1))


class HalfResolution(nn.Module):
    """A network whose logits are averaged two by two: half of its resolution, for the filter to upsample."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.output_stride = 2 * int(getattr(network, "output_stride", 1))
        self.divisor = getattr(network, "divisor", 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Picture float32 [N,3,H,W] to logits [N,1,h/2,w/2], where the network itself gives [N,1,h,w]."""
        return functional.avg_pool2d(self.network(picture), 2)


def restore(path: Path, size: tuple[int, int] | None = None, name: str | None = None) -> Restored:
    """The network of a checkpoint; `size` (width, height) overrides the one it was trained with.

    `name` is for files that hold weights only: the architecture they belong to, with its usual options. CommandError if
    the file is no checkpoint, its weights don't fit its architecture, or the size doesn't.
    """
    state = read_checkpoint(path)
    architecture = {"options": {}, **({"name": name} if name else architecture_in(path, state))}
    network = _build(path, architecture)
    try:
        network.load_state_dict({name: value.float() if value.is_floating_point() else value
                                 for name, value in state["average"].items()})  # fmt: skip
    except RuntimeError as error:
        what = f"its weights do not fit {architecture['name']} with the options {architecture['options']}"
        raise CommandError(f"{path}: {what}: {str(error).splitlines()[-1].strip()[:200]}") from error
    width, height = size or _trained_size(state, architecture)
    divisor = int(getattr(network, "divisor", 1))
    if width % divisor or height % divisor:
        message = f"{architecture['name']} takes sides that are multiples of {divisor}, found {width}x{height}."
        raise CommandError(f"{message} Give another one with --size.")
    return Restored(network.eval(), str(architecture["name"]), width, height)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint, without running code from it; CommandError if it is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CommandError(f"{path}: no such file. A run writes best.pt and last.pt into its folder.") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CommandError(f"{path}: not a checkpoint that can be read: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or "average" not in state:
        raise CommandError(f"{path}: expected a checkpoint with the entry 'average', as the training run writes it")
    return state


def architecture_in(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about its network; CommandError if it says nothing."""
    if "architecture" not in state:
        raise CommandError(f"{path}: holds weights alone. Say which network they belong to, by its name.")
    found: dict[str, Any] = state["architecture"]
    return found


def write_weights(checkpoint: Path, target: Path) -> None:
    """Write the averaged weights and the architecture alone, convolutions in half precision, to start others from.

    What `network.init_from` of a configuration reads; a twelfth of the checkpoint's size.
    """
    state = read_checkpoint(checkpoint)
    average = {name: value.half() if value.dim() == 4 else value for name, value in state["average"].items()}
    size = write_average(target, average, architecture_in(checkpoint, state))
    print(f"{target}: weights to start from, {size / 1e6:.2f} MB")


def write_average(target: Path, average: dict[str, torch.Tensor], architecture: dict[str, Any]) -> int:
    """Write a checkpoint that holds averaged weights and their architecture alone; gives its size in bytes."""
    content = io.BytesIO()
    torch.save({"average": average, "architecture": architecture}, content)
    write_whole(target, content.getvalue())
    return len(content.getvalue())


def halve(restored: Restored) -> Restored:
    """The network with logits at half of its input's resolution, where they are finer than that."""
    if restored.output_stride != 1:
        print(f"--half-resolution: the logits come at 1/{restored.output_stride} of the input already")
        return restored
    return replace(restored, network=HalfResolution(restored.network).eval())


def noise_pictures(restored: Restored, count: int = 4) -> torch.Tensor:
    """Coarse coloured noise, uint8 [N,3,H,W], always the same: for a parity check without pictures."""
    coarse = torch.rand(count, 3, 9, 16, generator=torch.Generator().manual_seed(0))
    size = (restored.height, restored.width)
    return (functional.interpolate(coarse, size, mode="bilinear") * 255).to(torch.uint8)


def _build(path: Path, architecture: dict[str, Any]) -> nn.Module:
    name, options = architecture["name"], architecture["options"]
    try:
        return networks.create(name, **options)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path}: cannot make the network {name!r} with the options {options}: {error}") from error


def _trained_size(state: dict[str, Any], architecture: dict[str, Any]) -> tuple[int, int]:
    """Width and height that the network was trained with, from wherever the checkpoint tells it."""
    default = networks.NETWORKS[architecture["name"]]
    section = state.get("config", {}).get("network", {})
    for found in (architecture, section):
        if "width" in found and "height" in found:
            return int(found["width"]), int(found["height"])
    return default.width, default.height
