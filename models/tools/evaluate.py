# SPDX-License-Identifier: GPL-2.0-or-later
"""`models evaluate`: models as the engine runs them, on pictures with people-made masks.

    models evaluate mediapipe_landscape mine.onnx --data SETS --out report

The same tables, plots and contact sheets as of `train evaluate`, see `models/training/evaluate.py`; but each model is
verified, is fed by its catalogue entry or by what the engine found out about an own file, and its mask is the engine's.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from ..catalog import ModelEntry
from ..places import shipped_models_folder
from ..training.cost import Feed
from ..training.evaluate import add_shared_arguments, evaluate
from ..training.measuring import Measurable
from ..training.pictures import Alpha, Picture
from .chosen import HELP, chosen_models
from .compare import Original, as_frame, portrait, read_original


class VerifiedNetwork:
    """A verified model on the CPU, for pictures of any size; a `Measurable`."""

    def __init__(self, original: Original) -> None:
        self.file = original.model.name
        self.data = original.model.data
        self.licence = original.model.entry.license if original.model.entry else "?"
        self.session = original.version.session
        self._version = original.version

    def feed_for_cost(self) -> Feed:
        """Inputs for one run: the portrait that comes with the filter, already seen by a network that remembers."""
        return self._version.feed(portrait(self._version.network).frame_rgba)

    def predict(self, picture_rgb: Picture) -> Alpha:
        """The engine's mask of a picture (uint8 RGB, HxWx3): float32 HxW, 0..1.

        The picture is squeezed to the input's size by its area mean, as OBS does it, and the mask brought back
        bilinearly. No picture knows of the ones before.
        """
        height, width = picture_rgb.shape[:2]
        frame_rgba = as_frame(np.asarray(picture_rgb[:, :, ::-1]), self._version.network)
        alpha = self._version.mask(frame_rgba).astype(np.float32) / 255
        return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def open_networks(models: Mapping[str, ModelEntry | Path]) -> dict[str, Measurable]:
    """Verify and open models by name; CommandError for one that may not run."""
    arguments = {name: model.id if isinstance(model, ModelEntry) else str(model) for name, model in models.items()}
    return {name: VerifiedNetwork(read_original(argument)) for name, argument in arguments.items()}


def our_own(models: Mapping[str, ModelEntry | Path]) -> list[str]:
    """Names of the models that ship with the filter, and of the user's own files."""
    shipped = shipped_models_folder()
    return [name for name, model in models.items() if isinstance(model, Path) or (shipped / model.file).exists()]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `models evaluate`."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help=HELP)
    add_shared_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, print and write everything."""
    onnxruntime.set_default_logger_severity(4)  # what fails is said in our own words
    models = chosen_models(options.models)
    evaluate(open_networks(models), our_own(models), options)
    return 0
