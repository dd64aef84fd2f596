# SPDX-License-Identifier: GPL-2.0-or-later
"""The training loop: one TOML file in, checkpoints out.

`<out>/last.pt` and `<out>/best.pt` are replaced atomically, so a run can be killed at any moment and continued with
`--resume`. Lightning Fabric brings devices, precision and data parallelism; the same command runs on a CPU and on
several GPUs. The best checkpoint is the one whose averaged weights have the highest IoU on the held-out pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch.nn import functional

from ...filters.cli.errors import CommandError
from .. import networks
from .batches import Batch, validation_batch
from .beginning import CONFIG, make_network, precision_for, prepare_folder, warn_of_unknown_sets
from .checkpoint import read_checkpoint
from .config import TrainingConfig, read_config
from .feeding import frame_loader
from .losses import mask_loss, move, steadiness
from .metrics import MaskMetrics
from .pack import Pack
from .watch import BEST, LAST, Watch, masks_sheet, table

CHECK_BATCH = 16
CLOCKS_S: dict[str, Callable[[], float]] = {"wall": time.monotonic, "processor": time.process_time}


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear warm-up, then half a cosine down to 1 %; `progress` runs from 0 to 1."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint next to its place and move it there, so that a reader never sees half of one."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


class Run:
    """Network, averaged network and optimiser of one training run, with its progress."""

    def __init__(self, config: TrainingConfig, fabric: Fabric) -> None:
        self.config, self.fabric = config, fabric
        network = make_network(config.network)
        self.average = fabric.to_device(copy.deepcopy(network)).eval()
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.optimiser.learning_rate, weight_decay=config.optimiser.weight_decay
        )
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.optimiser = fabric.setup(network, optimiser)
        self.random = torch.Generator().manual_seed(config.run.seed)
        self.step, self.seconds, self.best = 0, 0.0, 0.0

    def progress(self) -> float:
        """How much of the run is done, 0 to 1: by steps where they are given, otherwise by minutes."""
        if self.config.run.steps:
            return self.step / self.config.run.steps
        return self.seconds / (60 * (self.config.run.minutes or 1))

    def state(self) -> dict[str, Any]:
        """Checkpoint of the whole run; `average` holds the weights that are exported."""
        section = self.config.network
        return {
            "network": self.network.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": {"step": self.step, "seconds": self.seconds, "best": self.best},
            "config": self.config.model_dump(mode="json"),
            "architecture": {
                "name": section.name, "options": self.options(), "width": section.width, "height": section.height,
            },
        }  # fmt: skip

    def options(self) -> dict[str, Any]:
        """All of the network's options, the usual ones included: those may change, this checkpoint may not."""
        section = self.config.network
        usual = networks.NETWORKS[section.name].options
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in {**usual, **section.options}.items()}  # fmt: skip

    def save(self, name: str) -> None:
        """Write the state into the run's folder; CommandError, and the old one stays, if the weights are spoilt."""
        if not all(bool(weights.isfinite().all()) for weights in self.average.parameters()):
            lower = self.config.optimiser.learning_rate / 3
            advice = f"Try a lower learning_rate, such as {lower:.1g}; what was saved before is still good."
            raise CommandError(f"The weights are no numbers any more at step {self.step}. {advice}")
        save_atomically(self.state(), self.config.out / name)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same network."""
        state, section = read_checkpoint(path), self.config.network
        saved = state["architecture"]
        if (saved["name"], saved["options"]) != (section.name, self.options()):
            was = f"{saved['name']} {saved['options']}"
            raise CommandError(f"{path} is a run of {was}, not of {section.name} {self.options()}.")
        self.network.module.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.best = (state["progress"][name] for name in ("step", "seconds", "best"))
        self.random.manual_seed(self.config.run.seed + self.step)

    def train_step(self, pictures: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """One optimiser step on uint8 pictures [N,3,H,W] and targets [N,1,H,W]; returns the loss."""
        settings = self.config.optimiser
        rate = settings.learning_rate * learning_rate_factor(self.progress(), settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        device = self.fabric.device
        picture = pictures.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last).float() / 255
        target = targets.to(device, non_blocking=True).float() / 255
        loss = self.loss(picture, target)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        # Mixed precision on 16 bits overflows now and then: its scaler leaves that step out.
        limit = settings.clip_gradient
        self.fabric.clip_gradients(self.network, self.optimiser, max_norm=limit, error_if_nonfinite=False)
        self.optimiser.step()
        self.step += 1
        self.update_average()
        return loss.detach()

    def loss(self, picture: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """All configured losses of float pictures [N,3,H,W] and targets [N,1,H,W] in 0..1, a scalar."""
        weights, temporal = self.config.loss.weights(), self.config.temporal
        count, shift = len(picture), self.random_shift()
        seen = picture
        if temporal.weight:
            moved = move(picture, shift)
            seen = torch.cat([picture, (moved + temporal.noise * torch.randn_like(moved)).clamp(0, 1)])
        outputs = self.network(seen)
        own = [output[:count] for output in outputs]
        total = mask_loss(own, target, weights, self.config.loss.auxiliary)
        if temporal.weight:
            total = total + temporal.weight * steadiness(
                own[0], outputs[0][count:], shift, (target.shape[-2], target.shape[-1])
            )
        return total

    def random_shift(self) -> tuple[int, int]:
        """Pixels to the right and down, of both signs."""
        reach = self.config.temporal.shift_px
        right, down = torch.randint(-reach, reach + 1, (2,), generator=self.random).tolist()
        return right, down

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights and statistics towards the current ones; faster in the first steps."""
        decay = min(self.config.optimiser.average_decay, (1 + self.step) / (10 + self.step))
        current = self.network.module.state_dict()
        for name, averaged in self.average.state_dict().items():
            if averaged.is_floating_point():
                averaged.lerp_(current[name], 1 - decay)
            else:
                averaged.copy_(current[name])

    @torch.no_grad()
    def answer(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits of the averaged network for uint8 pictures [N,3,H,W], at its own resolution."""
        logits: torch.Tensor = self.average.eval()(pictures.to(self.fabric.device).float() / 255)
        return logits

    def measure(self, held_out: Batch) -> dict[str, float]:
        """The metrics of the averaged weights on the held-out frames, and their loss."""
        metrics, losses = MaskMetrics(), []
        for first in range(0, len(held_out[0]), CHECK_BATCH):
            pictures, targets = (each[first : first + CHECK_BATCH] for each in held_out)
            logits, targets = self.answer(pictures), targets.to(self.fabric.device)
            metrics.update(logits, targets)
            losses.append(mask_loss([logits], targets.float() / 255, self.config.loss.weights(), 0.0) * len(pictures))
        return {"held_out_loss": float(sum(losses)) / len(held_out[0]), **metrics.compute()}

    def check(self, held_out: Batch, losses: list[torch.Tensor], watch: Watch) -> None:
        """Measure the averaged weights on the held-out frames, tell, and save."""
        measures = {"loss": torch.stack(losses).mean().item(), **self.measure(held_out)}
        score = measures.get("person_iou", 0.0)
        if score >= self.best:
            self.best = score
            self.save(BEST)
        self.save(LAST)
        watch.check(self.step, self.seconds, measures)

    def show(self, held_out: Batch, watch: Watch) -> None:
        """Some held-out frames with their masks, for TensorBoard."""
        count = min(self.config.run.pictures, len(held_out[0]))
        if count:
            chosen = torch.linspace(0, len(held_out[0]) - 1, count).long()
            pictures, targets = (each[chosen] for each in held_out)
            full = functional.interpolate(self.answer(pictures), targets.shape[-2:], mode="bilinear")
            answers = (torch.sigmoid(full) * 255).byte().cpu()
            watch.picture(self.step, masks_sheet(pictures, targets, answers))


def train(config: TrainingConfig, resume: bool) -> None:
    """Train until the steps or minutes are used up; process 0 measures and saves."""
    settings = config.run
    fabric = Fabric(accelerator=settings.accelerator, devices=settings.devices, precision=precision_for(settings))
    fabric.launch()
    fabric.seed_everything(settings.seed, verbose=False)
    run = Run(config, fabric)
    if resume and (config.out / LAST).exists():
        run.load(config.out / LAST)
    if run.progress() >= 1:
        return
    if fabric.is_global_zero:
        size = (config.network.width, config.network.height)
        held_out = validation_batch(Pack(config.pack), size, settings.held_out)
        with Watch(config.out, config.out.name, run.step) as watch, asked_to_stop() as asked:
            train_on(run, asked, held_out, watch)
            if run.progress() < 1:
                run.save(LAST)
                raise CommandError(f"Stopped and saved at step {run.step}. Go on with --resume.", 130)
    else:
        with asked_to_stop() as asked:
            train_on(run, asked)


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C was pressed; the second time it stops everything at once.

    As an exception it could strike anywhere, such as between two threads of a library that then wait for each other.
    """
    presses: list[int] = []

    def press(number: int, _frame: FrameType | None) -> None:
        if presses:
            raise KeyboardInterrupt
        presses.append(number)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(presses)
    finally:
        signal.signal(signal.SIGINT, before)


def train_on(run: Run, asked: Callable[[], bool], held_out: Batch | None = None, watch: Watch | None = None) -> None:
    """The loop itself, until the end or until some process was `asked` to stop; `held_out`, `watch` are process 0's."""
    settings, fabric = run.config.run, run.fabric
    losses: list[torch.Tensor] = []
    clock_s = CLOCKS_S[settings.clock]
    before_s, saved = clock_s(), run.seconds
    for pictures, targets in frame_loader(run.config, fabric.device, fabric.global_rank, run.step):
        losses.append(run.train_step(pictures, targets))
        told = fabric.all_reduce(torch.tensor([clock_s() - before_s, float(asked())]))
        assert isinstance(told, torch.Tensor)
        elapsed, asking = told.tolist()
        before_s, run.seconds = clock_s(), run.seconds + elapsed
        finished = run.progress() >= 1
        checking = finished or run.step % settings.check_every == 0
        if watch and held_out:
            watch.step(run.progress(), losses[-1])
            if checking:
                run.check(held_out, losses, watch)
                run.show(held_out, watch)
                saved = run.seconds
            elif run.seconds - saved > 60 * settings.save_minutes:
                run.save(LAST)
                saved = run.seconds
        if checking:
            losses = []
        if finished or asking:
            return


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Command line of the step `run`."""
    parser.add_argument("config", type=Path, help="TOML file, see models/training/configs; or a run's folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as run.steps=100")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--resume", action="store_true", help="go on where the run was stopped, however that was")
    kept.add_argument("--overwrite", action="store_true", help="throw away the run that is in the folder")


def run(options: argparse.Namespace) -> int:
    """Train by a TOML file."""
    path: Path = options.config / CONFIG if options.config.is_dir() else options.config
    config = read_config(path, options.set)
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    is_first_process = not getattr(rank_zero_only, "rank", 0)
    if is_first_process:
        prepare_folder(config, options.resume, options.overwrite)
        warn_of_unknown_sets(config)
    train(config, options.resume)
    if is_first_process:
        print(f"\n{table(config.out)}\n{config.out / BEST} is the one to export.", flush=True)
    return 0
