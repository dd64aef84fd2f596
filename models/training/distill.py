# SPDX-License-Identifier: GPL-2.0-or-later
"""Teachers for distillation: other networks look at the very frames of the training, and their soft masks count too.

After Hinton et al. 2015 (arXiv:1503.02531) and, for looking at the same frame however it was changed, mixtures of two
among them, Beyer et al. 2021 (arXiv:2106.05237). Teachers run where the frames are made, on the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from .checkpoint import restore
from .config import DistillSection
from .pictures import Alpha, Picture
from .teachers import open_teacher, own_network

# A picture (uint8 RGB, HxWx3) to its alpha (float32 HxW, 0..1).
Matting = Callable[[Picture], Alpha]


def open_matting(section: DistillSection) -> Matting | None:
    """The mean of the configured teachers, or None where there is none; CommandError if one can't be opened."""
    teachers = [open_one(name, section.models) for name in section.teachers]
    return (lambda picture_rgb: mean_alpha(teachers, picture_rgb)) if teachers else None


def mean_alpha(teachers: Sequence[Matting], picture_rgb: Picture) -> Alpha:
    """What several networks say of a picture, on average."""
    return np.asarray(np.mean([teacher(picture_rgb) for teacher in teachers], axis=0), np.float32)


def open_one(name: str, models: Path) -> Matting:
    """A teacher by its file (a checkpoint, or ONNX of this project's form) or by its name."""
    if name.endswith(".pt"):
        return checkpoint_matting(Path(name))
    return own_network(Path(name)) if name.endswith(".onnx") else open_teacher(name, models)


def checkpoint_matting(path: Path) -> Matting:
    """The averaged weights of a checkpoint, at the size that they were trained with."""
    restored = restore(path)
    network = restored.network.eval()

    @torch.no_grad()
    def matting(picture_rgb: Picture) -> Alpha:
        height, width = picture_rgb.shape[:2]
        small = cv2.resize(picture_rgb, (restored.width, restored.height), interpolation=cv2.INTER_AREA)
        seen = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
        logits = functional.interpolate(network(seen), (height, width), mode="bilinear", align_corners=False)
        return np.asarray(torch.sigmoid(logits[0, 0].float()).numpy())

    return matting
