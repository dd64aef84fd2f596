# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames in batches: endless ones to train on, in which teachers may have a say, and the held-out pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch

from ...filters.cli.errors import CommandError
from .config import DistillSection, FramesSection
from .distill import Matting
from .frames import EXACT_KINDS, Frame, FrameMaker
from .pack import Pack
from .pictures import Picture, resize

Batch = tuple[torch.Tensor, torch.Tensor]


def laid_over(frame: Picture, other: Picture, rng: np.random.Generator) -> Picture:
    """A part of a frame with another frame over it, in half of the cases so that both are seen.

    Zhang et al. 2018, mixup (arXiv:1710.09412), in a rectangle as Yun et al. 2019, CutMix (arXiv:1905.04899).
    """
    height, width = frame.shape[:2]
    rows, columns = (sorted(rng.integers(0, extent + 1, 2)) for extent in (height, width))
    part = np.s_[rows[0] : rows[1], columns[0] : columns[1]]
    weight = 1.0 if rng.random() < 0.5 else rng.uniform(0.3, 0.7)
    mixed = frame.copy()
    mixed[part] = weight * other[part] + (1 - weight) * frame[part]
    return mixed


class FrameBatches:
    """Endless batches: pictures uint8 RGB [N,3,H,W] and targets uint8 [N,1,H,W] (alpha 0..255).

    With `matting` its alphas are a part of the targets, as `distill` says.
    """

    def __init__(
        self,
        pack: Pack,
        shares: FramesSection,
        size: tuple[int, int],
        batch: int,
        seed: int | Sequence[int],
        distill: DistillSection | None = None,
        matting: Matting | None = None,
    ) -> None:
        self.pack, self.shares, self.size, self.batch, self.seed = pack, shares, size, batch, seed
        self.distill, self.matting = distill or DistillSection(), matting

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        maker = FrameMaker(self.pack, self.shares, self.size, self.seed)
        while True:
            pictures = np.empty((self.batch, 3, self.size[1], self.size[0]), np.uint8)
            targets = np.empty((self.batch, 1, self.size[1], self.size[0]), np.uint8)
            for i in range(self.batch):
                frame, alpha = self.taught(maker, self.matting) if self.matting else maker.make()
                pictures[i] = frame[:, :, ::-1].transpose(2, 0, 1)
                targets[i, 0] = np.round(alpha * 255)
            yield torch.from_numpy(pictures), torch.from_numpy(targets)

    def taught(self, maker: FrameMaker, matting: Matting) -> Frame:
        """A frame with what its label and the teachers say of it, or two in one with what the teachers say."""
        kind, weight = maker.draw_kind(), self.distill.weight
        frame, alpha = maker.make(kind)
        if maker.rng.random() < self.distill.mixed:
            frame, weight = laid_over(frame, maker.make()[0], maker.rng), 1.0
        elif kind in EXACT_KINDS:
            return frame, alpha
        taught = matting(np.ascontiguousarray(frame[:, :, ::-1]))
        return frame, alpha + np.float32(weight) * (taught - alpha)


def validation_batch(pack: Pack, size: tuple[int, int], largest: int | None = None) -> Batch:
    """The held-out pictures, squeezed whole and as their upper part, in the form of `FrameBatches`.

    With `largest`, at most so many frames (two or more), evenly drawn from all sets.
    """
    entries = [entry for entry in pack.entries if entry.validation]
    if not entries:
        raise CommandError("The pack has no held-out pictures: some rows of the manifest need the split “val”.")
    if largest and len(entries) > largest // 2:
        kept = np.linspace(0, len(entries) - 1, max(1, largest // 2)).round().astype(int)
        entries = [entries[i] for i in kept]
    pictures, targets = [], []
    for entry in entries:
        picture = pack.picture(entry)
        for part in (picture, picture[: max(1, round(entry.width * size[1] / size[0]))]):
            frame = resize(part, size)
            pictures.append(frame[:, :, 2::-1].transpose(2, 0, 1))
            targets.append(frame[None, :, :, 3])
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(targets))
