# SPDX-License-Identifier: GPL-2.0-or-later
"""How training frames reach the loop: made by the training process itself, or by several others ahead of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .batches import Batch, FrameBatches
from .config import TrainingConfig
from .distill import open_matting
from .pack import Pack

MOST_WORKERS = 8


class FrameStream(IterableDataset[Batch]):
    """Endless batches for one device, from this process or from several; each has a seed of its own.

    The pack is opened where the frames are made: its memory map can't be sent to another process.
    """

    def __init__(self, config: TrainingConfig, rank: int, step: int) -> None:
        self.config = config
        # What is wrong with a teacher is said here, not in another process.
        open_matting(config.distill)
        # A resumed run goes on with frames that it has not seen.
        self.seed = [config.run.seed, rank, step]

    def __iter__(self) -> Iterator[Batch]:
        config, worker = self.config, get_worker_info()
        size = (config.network.width, config.network.height)
        seed = [*self.seed, worker.id if worker else 0]
        batch = config.run.batch // config.run.devices
        matting = open_matting(config.distill)
        return iter(FrameBatches(Pack(config.pack), config.frames, size, batch, seed, config.distill, matting))


def frame_loader(config: TrainingConfig, device: torch.device, rank: int, step: int) -> DataLoader[Batch]:
    """The frames for one device."""
    on_gpu = device.type == "cuda"
    spare = (os.cpu_count() or 1) // config.run.devices - 1
    workers = config.run.workers if config.run.workers is not None else on_gpu * max(0, min(MOST_WORKERS, spare))
    frames = FrameStream(config, rank, step)
    return DataLoader(frames, batch_size=None, num_workers=workers, pin_memory=on_gpu, worker_init_fn=leave_ctrl_c)


def leave_ctrl_c(_worker: int) -> None:
    """A terminal's Ctrl-C reaches the workers too; the training process ends them when it has saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
