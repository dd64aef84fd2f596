# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens before the first step of a run: its folder, its network, the weights to start from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from ...filters.cli.errors import CommandError
from .. import networks
from .checkpoint import read_checkpoint
from .config import NetworkSection, Precision, RunSection, TrainingConfig, to_toml
from .pack import Pack
from .pictures import write_whole
from .watch import BEST, LAST, LOG, TENSORBOARD

CONFIG = "config.toml"


def prepare_folder(config: TrainingConfig, resume: bool, overwrite: bool) -> None:
    """Make the run's folder with its configuration; CommandError if it holds a run that nobody spoke of."""
    out = config.out
    if any((out / name).exists() for name in (CONFIG, LAST)) and not (resume or overwrite):
        ways = "Go on with it by --resume, throw it away by --overwrite, or choose another folder by --set out=FOLDER."
        raise CommandError(f"{out} holds a run already. {ways}")
    if overwrite:
        for name in (LAST, BEST, LOG):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / TENSORBOARD, ignore_errors=True)
    write_whole(out / CONFIG, to_toml(config).encode())


def warn_of_unknown_sets(config: TrainingConfig) -> None:
    """Say on stderr which weighted sets the pack does not have."""
    found = {entry.set_name for entry in Pack(config.pack).entries}
    missing = sorted(set(config.frames.set_weights) - found)
    if missing:
        print(
            f"warning: [frames.set_weights] names sets that {config.pack} lacks: {', '.join(missing)}", file=sys.stderr
        )


def precision_for(config: RunSection) -> Precision:
    """Lightning's name of the configured precision; `auto` is bfloat16, but not on processors that imitate it.

    There a step takes twice the time of one in float32 (measured with AVX-512 without its bfloat16).
    """
    if config.precision != "auto":
        return config.precision
    # The processor trains where it is asked for, and where there is nothing else.
    on_another = config.accelerator != "cpu" and torch.accelerator.is_available()
    computes_with_it = on_another or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if computes_with_it else "32-true"


def make_network(section: NetworkSection) -> nn.Module:
    """The configured network, with random weights or those to start from; CommandError if that can't be."""
    try:
        network = networks.create(section.name, **section.options)
        divisor = int(getattr(network, "divisor", 1))
        if section.width % divisor or section.height % divisor:
            raise ValueError(f"{section.name} takes sides that are multiples of {divisor}")
        if section.backbone_weights:
            backbone = getattr(network, "backbone", None)
            if backbone is None:
                raise ValueError(f"{section.name} has no backbone that takes weights of torchvision's")
            backbone.load_torchvision(section.backbone_weights)
    except (ValueError, TypeError) as error:
        raise CommandError(f"[network]: {error}.", 2) from error
    if section.init_from:
        start_from(network, section.init_from)
    return network


def start_from(network: nn.Module, path: Path) -> None:
    """Fine-tuning: take the averaged weights of a checkpoint, which may be in half precision."""
    weights = {name: value.float() if value.is_floating_point() else value
               for name, value in read_checkpoint(path)["average"].items()}  # fmt: skip
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise CommandError(f"[network] init_from: {path} holds another network or other options: {first}") from error
