# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures of person masks against the truth, each picture for itself.

Torch side: tensors [N,1,H,W] of one shape; probabilities and truth float in 0..1, cut at .5 where a measure wants a
decision. `outlines.py` compares outlines. `MaskMetrics` gathers all of them batch by batch; training and evaluation
use it.
"""

from __future__ import annotations

import torch
from torch.nn import functional
from torchmetrics.functional.classification import binary_accuracy
from torchmetrics.functional.regression import mean_absolute_error
from torchmetrics.functional.segmentation import mean_iou

from .outlines import boundary_f

NOT_A_NUMBER = float("nan")


def flicker(probability: torch.Tensor, truth: torch.Tensor) -> float:
    """dtSSD of a clip, float tensors [T,1,H,W] in 0..1 with T frames; 0 is steady, tables show it times 100.

    The root of the mean over pixels of ((a[t+1] - a[t]) - (g[t+1] - g[t]))^2, averaged over t, for mask a and truth g.
    From Erofeev et al. 2015 ("Perceptually Motivated Benchmark for Video Matting"), divided by the number of pixels as
    in Lin et al. 2022 ("Robust High-Resolution Video Matting").
    """
    change = (probability[1:] - probability[:-1]) - (truth[1:] - truth[:-1])
    return float(change.square().mean(dim=(1, 2, 3)).sqrt().mean())


def class_ious(seen: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """IoU of background and person, float [N,2], of boolean tensors [N,1,H,W]; NaN for a class in neither."""
    scores = mean_iou(seen[:, 0].long(), true[:, 0].long(), num_classes=2, per_class=True, input_format="index")
    return scores.masked_fill(scores < 0, NOT_A_NUMBER)


def boundary_fs(seen: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """`boundary_f` of each pair of boolean tensors [N,1,H,W]; float [N]."""
    pairs = zip(seen[:, 0].cpu().numpy(), true[:, 0].cpu().numpy(), strict=True)
    return torch.tensor([boundary_f(*pair) for pair in pairs])


def absolute_differences(probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """MAD: mean absolute difference of each pair of soft masks [N,1,H,W]; float [N] in 0..1."""
    count = len(truth)
    difference = mean_absolute_error(probability.reshape(count, -1).T, truth.reshape(count, -1).T, num_outputs=count)
    return difference.reshape(count)


def measure(probability: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """All measures of single pictures, float [N] each; NaN where one says nothing about a picture.

    `person_iou` and `boundary_f` are for pictures with a person in the truth, `empty_share` (share of pixels taken for
    a person) is for those without. `mean_iou` averages over the classes that truth or answer have.
    """
    seen, true = probability >= 0.5, truth >= 0.5
    peopled = true.flatten(1).any(dim=1).cpu()
    ious = class_ious(seen, true).cpu()
    return {
        "pixel_accuracy": binary_accuracy(seen.int(), true.int(), multidim_average="samplewise").cpu().reshape(-1),
        "person_iou": ious[:, 1].masked_fill(~peopled, NOT_A_NUMBER),
        "background_iou": ious[:, 0],
        "mean_iou": ious.nanmean(dim=1),
        "boundary_f": boundary_fs(seen, true).masked_fill(~peopled, NOT_A_NUMBER),
        "mad": absolute_differences(probability, truth).cpu(),
        "empty_share": seen.float().mean(dim=(1, 2, 3)).cpu().masked_fill(peopled, NOT_A_NUMBER),
    }


class MaskMetrics:
    """Gathers the measures of many pictures; `compute` gives their means over pictures, not over pixels."""

    def __init__(self) -> None:
        self._values: dict[str, list[torch.Tensor]] = {}

    def update(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Add float logits [N,1,h,w] and targets [N,1,H,W], uint8 0..255 or float 0..1.

        The logits are brought to the target's size bilinearly, before the sigmoid, as the filter does.
        """
        truth = target.float() / 255 if target.dtype == torch.uint8 else target.float()
        full = functional.interpolate(logits.float(), truth.shape[-2:], mode="bilinear", align_corners=False)
        self.update_probability(torch.sigmoid(full), truth)

    def update_probability(self, probability: torch.Tensor, truth: torch.Tensor) -> None:
        """Add float probabilities and truths [N,1,H,W] in 0..1."""
        for name, values in measure(probability, truth).items():
            self._values.setdefault(name, []).append(values)

    def update_clip(self, probability: torch.Tensor, truth: torch.Tensor) -> None:
        """Add one clip [T,1,H,W] to `flicker`, and to nothing else."""
        self._values.setdefault("flicker", []).append(torch.tensor([flicker(probability, truth)]))

    def per_picture(self, name: str) -> list[float]:
        """The values of one measure in the order of the pictures, NaN included; empty if there are none."""
        return [float(value) for values in self._values.get(name, []) for value in values]

    def compute(self) -> dict[str, float]:
        """Mean of each measure over the pictures that it says something about; without any it is left out."""
        everything = {name: torch.cat(values) for name, values in self._values.items()}
        means = {name: float(values.nanmean()) for name, values in everything.items()}
        return {name: mean for name, mean in means.items() if mean == mean}

    def reset(self) -> None:
        """Forget everything, for the next round."""
        self._values = {}
