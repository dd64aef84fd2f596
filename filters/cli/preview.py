# SPDX-License-Identifier: GPL-2.0-or-later
"""``models preview``: how a model does on one picture, what was guessed about it, and how to say it better."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ...models.catalog import CatalogError, find_model
from ...models.choices import Chosen, load_choices, parse_choice, save_choices
from ...models.trust import ModelRefused, VerifiedModel, read_model
from ..environment.build import engine_python
from ..locale import text
from .errors import CommandError
from .workshop import LIBRARIES_OF_ENGINE, ROOT, has_libraries

if TYPE_CHECKING:
    from ..engine.network import Network

SAMPLE = ROOT / "tests" / "pictures" / "astronaut.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``models preview``."""
    parser.add_argument("model", metavar="FILE", help="a trusted ONNX file, or the id of a model of the catalogue")
    parser.add_argument("--picture", type=Path, default=SAMPLE, help="a picture with a person; by default a portrait")
    parser.add_argument("--out", type=Path, default=Path("preview.png"), metavar="PNG", help="where the result goes")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="chosen",
        help="what you know better, and keep: input.channels=BGR, input.scale=1, input.mean=0.5,0.5,0.5, "
        "input.width=512, output.tensor=NAME, output.kind=logits, output.channel=1, …",
    )
    parser.add_argument("--forget", action="store_true", help="forget what was set for this file before")


def run(options: argparse.Namespace) -> int:
    """Show the model's mask of the picture, here or in the engine's environment; the exit code."""
    if has_libraries(LIBRARIES_OF_ENGINE):
        return preview_here(options)
    python = engine_python()
    if python is None:
        raise CommandError("The engine is not installed: run install-engine", 2)
    command = [str(python), "-I", str(ROOT / "obs_background_filter.py"), "models", "preview", options.model]
    command += ["--picture", str(options.picture.absolute()), "--out", str(options.out.absolute())]
    command += [f"--set={item}" for item in options.chosen] + ["--forget"] * options.forget
    return subprocess.run(command, check=False).returncode


def preview_here(options: argparse.Namespace) -> int:
    """As ``run``, in a Python that has the engine's libraries."""
    import cv2
    import numpy as np
    import onnxruntime

    from ..engine import preview
    from ..engine.network import InferenceError, load_network

    onnxruntime.set_default_logger_severity(4)  # what fails is said in our own words
    found = cv2.imread(str(options.picture))
    if found is None:
        raise CommandError(f"{options.picture}: no picture that can be read")
    picture_bgr = np.asarray(found, np.uint8)
    try:
        model = find_verified(options.model)
        chosen = choices_for(model, options)
        network = load_network(model, "cpu", chosen).network
        mask_r8 = preview.preview(network, picture_bgr)
        if options.chosen or options.forget:
            save_choices(model.sha256, chosen)
    except ModelRefused as refusal:
        raise CommandError(text(f"problem.{refusal.code}", **refusal.params)) from refusal
    except InferenceError as error:
        raise CommandError(f"{options.model}: {error}") from error
    except CatalogError as error:
        raise CommandError(f"The catalogue of models is damaged: {error}") from error
    if not cv2.imwrite(str(options.out), preview.sheet(picture_bgr, mask_r8)):
        raise CommandError(f"{options.out}: can't be written")
    describe(network)
    share = float((mask_r8 > 127).mean())
    print(f"\nPerson in {share:.0%} of the picture. Look at it before you go live: {options.out}")
    return 0


def find_verified(model: str) -> VerifiedModel:
    """The verified bytes of a catalogue id or a file; raises ModelRefused, CatalogError."""
    return read_model(find_model(model) or Path(model).absolute())


def choices_for(model: VerifiedModel, options: argparse.Namespace) -> Chosen:
    """What was set for an own file, before and now; CommandError for a model of the catalogue."""
    if model.entry is not None and (options.chosen or options.forget):
        raise CommandError(f"{model.name} is a model of the catalogue, which says all about it: nothing can be set", 2)
    chosen = {} if options.forget or model.entry is not None else load_choices(model.sha256)
    for item in options.chosen:
        for side, fields in parse_choice(item).items():
            chosen[side] = {**chosen.get(side, {}), **fields}
    return chosen


def describe(network: Network) -> None:
    """Print what goes in and comes out, and for an own file why we think so."""
    rows = [(text(f"guess.about.{guess.about}"), guess.value, guess.reason) for guess in network.ports.guesses]
    if not rows:
        print(f"As the catalogue says: {network.width}x{network.height}, {network.ports.output.kind}")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for about, value, reason in rows:
        print(f"{about:<{widths[0]}}  {value:<{widths[1]}}  {text(f'guess.reason.{reason}')}")
