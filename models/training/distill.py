# SPDX-License-Identifier: GPL-2.0-or-later
"""Teachers for distillation: soft mattes of a larger network as a second target, on the very frames of the training.

After Hinton et al. 2015 (arXiv:1503.02531); for masks the teacher's probabilities are the soft targets themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from ...filters.cli.errors import CommandError
from ..catalog import InputSpec, OutputSpec
from .checkpoint import Restored, restore
from .config import DistillSection
from .teachers import Description, Teacher, open_session, open_teacher

# Float RGB pictures [N,3,H,W] in 0..1 to alphas [N,1,H,W] in 0..1, on the device of the pictures.
Matting = Callable[[torch.Tensor], torch.Tensor]


def open_matting(section: DistillSection, device: torch.device) -> Matting | None:
    """The configured teacher, or None where there is none; CommandError if it can't be opened."""
    if section.teacher is None or not section.weight:
        return None
    if section.teacher.endswith(".pt"):
        return network_matting(restore(Path(section.teacher)), device)
    if section.teacher.endswith(".onnx"):
        return file_matting(own_file(Path(section.teacher)))
    return file_matting(open_teacher(section.teacher, section.models))


def network_matting(restored: Restored, device: torch.device) -> Matting:
    """The averaged weights of a checkpoint, at the size that they were trained with."""
    network = restored.network.to(device).eval()
    size = (restored.height, restored.width)

    @torch.no_grad()
    def matting(pictures: torch.Tensor) -> torch.Tensor:
        seen = functional.interpolate(pictures, size, mode="bilinear", align_corners=False, antialias=True)
        logits = functional.interpolate(network(seen), pictures.shape[-2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(logits.float())

    return matting


def file_matting(teacher: Teacher) -> Matting:
    """An ONNX file on the CPU, picture by picture."""

    def matting(pictures: torch.Tensor) -> torch.Tensor:
        pixels = (pictures * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        alphas = [torch.from_numpy(teacher(picture)) for picture in pixels]
        return torch.stack(alphas)[:, None].to(pictures.device)

    return matting


def own_file(path: Path) -> Teacher:
    """An ONNX file as `train export` writes it: RGB [1,3,H,W] in 0..1, logits [1,1,h,w]."""
    if not path.is_file():
        raise CommandError(f"[distill] teacher: there is no file {path}.")
    try:
        shape = open_session(path).get_inputs()[0].shape
    except Exception as error:  # ONNX Runtime's have no common class of their own
        raise CommandError(f"{path} can't be opened as an ONNX model: {error}") from error
    if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape):
        raise CommandError(f"{path} takes {shape}; expected [1, 3, height, width], as `train export` writes it.")
    spec = InputSpec(None, shape[3], shape[2], "NCHW", "RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Teacher(path, Description(str(path), "", spec, OutputSpec(None, "logits", "NCHW", 0)))
