# SPDX-License-Identifier: GPL-2.0-or-later
"""Train the person network on packed pictures.

    ... models.training.train --pack cache/pack --out runs/person_unet --minutes 60

`<out>/last.pt` and `<out>/best.pt` are replaced atomically, so a run can be stopped at any time and continued
with `--resume`. Several processes of one thread each share a batch (data parallelism); on a busy machine that
is much faster than one process of several threads, which wait for each other in every layer. The best
checkpoint is the one whose averaged weights have the highest IoU on the held-out pictures.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing import start_processes

from ..networks.person_unet import PersonUNet
from .pack import Pack
from .frames import FrameBatches, validation_batch
from .losses import mask_loss


@dataclass
class Config:
    """Everything that decides the outcome of a run; each field is an option of the command line."""

    pack: Path = Path("cache/pack")
    out: Path = Path("runs/person_unet")
    minutes: float = 60.0
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.02
    average_decay: float = 0.998
    dice: float = 0.5
    boundary: float = 2.0
    check_every: int = 500
    processes: int = 2
    seed: int = 1
    resume: bool = False


def read_config() -> Config:
    """Build the command line from the fields of `Config`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for field in dataclasses.fields(Config):
        name = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(name, action="store_true")
        else:
            parser.add_argument(name, type=type(field.default), default=field.default)
    return Config(**vars(parser.parse_args()))


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear warm-up, then half a cosine down to 1 %; `progress` runs from 0 to 1."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def save_atomically(state: dict, path: Path) -> None:
    """Write a checkpoint next to its place and move it there, so that a reader never sees half of one."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


@torch.no_grad()
def mean_iou(network: torch.nn.Module, pictures: torch.Tensor, targets: torch.Tensor) -> float:
    """Mean person IoU at probability .5 over uint8 pictures [N,3,H,W] and uint8 targets [N,1,H/2,W/2]."""
    network.eval()
    scores = []
    for picture, target in zip(pictures.split(32), targets.split(32), strict=True):
        seen, true = network(picture.float() / 255) > 0, target > 127
        both = (seen & true).sum(dim=(1, 2, 3))
        scores.append((both + 1e-6) / ((seen | true).sum(dim=(1, 2, 3)) + 1e-6))
    return torch.cat(scores).mean().item()


def average_over_processes(tensors: list[torch.Tensor]) -> None:
    """Replace each tensor by its mean over all training processes, in place."""
    if not distributed.is_initialized():
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


class Run:
    """Network, averaged network and optimiser of one training run, with its progress."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.network = PersonUNet().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step, self.seconds, self.best = 0, 0.0, 0.0

    def state(self) -> dict:
        """Checkpoint of the whole run; `average` holds the weights that are exported."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": (self.step, self.seconds, self.best),
            "config": {name: str(value) for name, value in vars(self.config).items()},
        }

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.best = state["progress"]

    def train_step(self, pictures: torch.Tensor, targets: torch.Tensor) -> float:
        """One optimiser step on uint8 pictures [N,3,H,W] and targets [N,1,H/2,W/2]; returns the loss."""
        config, progress = self.config, self.seconds / (60 * self.config.minutes)
        rate = config.learning_rate * learning_rate_factor(progress, config.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        batch = pictures.contiguous(memory_format=torch.channels_last).float() / 255
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, coarse = self.network(batch)
        loss = mask_loss(logits.float(), coarse.float(), targets.float() / 255, config.dice, config.boundary)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_over_processes([weight.grad for weight in self.network.parameters()])
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.update_average()
        return loss.item()

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights and statistics towards the current ones; faster in the first steps."""
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        current = self.network.state_dict()
        for name, averaged in self.average.state_dict().items():
            if averaged.is_floating_point():
                averaged.lerp_(current[name], 1 - decay)
            else:
                averaged.copy_(current[name])

    def check(self, pictures: torch.Tensor, targets: torch.Tensor, losses: list[float]) -> None:
        """Measure the averaged weights on the held-out pictures, print a line and save."""
        score = mean_iou(self.average, pictures, targets)
        loss = sum(losses) / max(1, len(losses))
        minute = self.seconds / 60
        print(f"step {self.step} minute {minute:.1f} loss {loss:.4f} held-out IoU {score:.4f}", flush=True)
        if score > self.best:
            self.best = score
            save_atomically(self.state(), self.config.out / "best.pt")
        save_atomically(self.state(), self.config.out / "last.pt")


def train(rank: int, config: Config) -> None:
    """Train until the minutes are used up; process 0 measures and saves."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    if config.processes > 1:
        meeting_point = (config.out / "processes").resolve().as_uri()
        distributed.init_process_group("gloo", meeting_point, rank=rank, world_size=config.processes)
    run, pack = Run(config), Pack(config.pack)
    if config.resume:
        run.load(config.out / "last.pt")
    held_out = validation_batch(pack)
    share = config.batch // config.processes
    frames = FrameBatches(pack, share, seed=(config.seed * 1000 + rank) * 1_000_000 + run.step)
    losses, clock = [], time.monotonic()
    for pictures, targets in frames:
        losses.append(run.train_step(pictures, targets))
        elapsed = torch.tensor([time.monotonic() - clock])
        average_over_processes([elapsed])
        clock, run.seconds = time.monotonic(), run.seconds + elapsed.item()
        finished = run.seconds >= 60 * config.minutes
        if rank == 0 and (finished or run.step % config.check_every == 0):
            run.check(*held_out, losses)
            losses = []
        if finished:
            return


def main() -> None:
    """Start the training processes and wait for them."""
    config = read_config()
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "processes").unlink(missing_ok=True)
    if config.processes == 1:
        train(0, config)
    else:
        start_processes(train, (config,), config.processes, start_method="fork")


if __name__ == "__main__":
    main()
