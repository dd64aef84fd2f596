# SPDX-License-Identifier: GPL-2.0-or-later
"""Mix the weights of a fine-tuned network with those it began with: often better than both, at no cost.

    train mix runs/mine/best.pt models/weights/person_fast_256x144.pt --share 0.75 --out mixed.pt

What a network learnt anew and what it knew before stay side by side, since both lie in one valley of the loss
(Wortsman et al. 2022, Robust fine-tuning of zero-shot models, arXiv:2109.01903). The result has the size of the first.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from ...filters.cli.errors import CommandError
from .checkpoint import architecture_in, read_checkpoint, write_average

Weights = Mapping[str, torch.Tensor]


def mixed(tuned: Weights, start: Weights, share: float) -> dict[str, torch.Tensor]:
    """`share` of the tuned weights and the rest of the others, float32; whole numbers are the tuned ones'."""
    return {
        name: start[name].float().lerp(value.float(), share) if value.is_floating_point() else value
        for name, value in tuned.items()
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train mix`."""
    add = parser.add_argument
    add("tuned", type=Path, help="best.pt of a run that began with other weights (network.init_from)")
    add("start", type=Path, help="those weights")
    add("--share", type=float, default=0.75, help="of the first, 0 to 1 (%(default)s)")
    add("--out", type=Path, required=True, help="checkpoint to write, for `train export`")


def run(options: argparse.Namespace) -> int:
    """Mix two checkpoints."""
    if not 0 <= options.share <= 1:
        raise CommandError(f"--share {options.share}: expected a number from 0 to 1.", 2)
    states = [read_checkpoint(path) for path in (options.tuned, options.start)]
    architectures = [architecture_in(path, state) for path, state in zip((options.tuned, options.start), states)]
    tuned, start = ((found["name"], found["options"]) for found in architectures)
    if tuned != start:
        raise CommandError(f"Only networks that are alike can be mixed: {tuned} is not {start}.")
    average = mixed(states[0]["average"], states[1]["average"], options.share)
    write_average(options.out, average, architectures[0])
    print(f"{options.out}: {options.share:.0%} of {options.tuned}, the rest of {options.start}")
    return 0
