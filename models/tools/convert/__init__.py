# SPDX-License-Identifier: GPL-2.0-or-later
"""Make an ONNX file of a network in another format, or a TFLite file of one; checked against the original.

    models convert selfie_segmentation.tflite selfie.onnx
    models convert u2net.pth u2net.onnx --architecture u2net
    models convert selfie.onnx selfie.tflite

Both networks get the same pictures. The result is written only if their answers agree.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from ....filters.cli.errors import CommandError
from ....filters.cli.steps import HERE, hand_over
from ....filters.cli.workshop import FOR_TENSORFLOW, FOR_TFLITE, ROOT, VENV_TENSORFLOW, VENV_TFLITE, prepare_venv
from .formats import FROM_TENSORFLOW, PROGRAMS, Format, format_of

ALLOWED_DIFFERENCE = 1e-3  # of an output's largest value: rounding in another order
ALLOWED_FLIPS = 1e-3  # of the mask's pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `models convert`."""
    add = parser.add_argument
    add("source", metavar="IN", type=Path, help="file or SavedModel folder; its format is found out")
    add("out", metavar="OUT", type=Path, help="file to write: .onnx, or .tflite")
    add("--size", metavar="WxH", help="input size in pixels, where the file leaves it open")
    add("--architecture", metavar="NAME", help="for PyTorch weights: the network that they belong to")
    add("--option", metavar="KEY=VALUE", action="append", default=[], help="an option of the architecture; repeatable")
    add("--input", metavar="NAME=SHAPE", action="append", default=[],
        help="for TorchScript with a memory: the shape of a further input, h=1x16x36x64; repeatable")  # fmt: skip
    add("--as", dest="model", metavar="ID", help="it is this model of the catalogue, which says how to feed it")
    add("--pictures", metavar="FILE", type=Path, nargs="+", default=[], help="pictures to compare on")
    add("--allowed-difference", metavar="PART", type=part, default=ALLOWED_DIFFERENCE,
        help="of an output's largest value, by which it may differ (%(default)s)")  # fmt: skip
    add("--allowed-flips", metavar="PART", type=part, default=ALLOWED_FLIPS,
        help="of the mask's pixels that may change sides at .5 (%(default)s)")  # fmt: skip
    add(
        "--trust",
        action="store_true",
        help="IN may run code of its own (TorchScript, .pt2, SavedModel, Keras's Lambda)",
    )


def part(text: str) -> float:
    """A number from 0 to 1 for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def run(options: argparse.Namespace) -> int:
    """Convert a file."""
    check_target(options.source, options.out)
    kind = format_of(options.source)
    if kind in PROGRAMS and not options.trust:
        message = (
            f"{options.source}: a {kind.value} is a program. It must run here to be converted, and can do anything."
        )
        raise CommandError(f"{message} If you know where it comes from, add --trust.")
    if options.input and kind is not Format.TORCHSCRIPT:
        raise CommandError(f"--input is for TorchScript: a {kind.value} says itself what it takes.", 2)
    if options.out.suffix == ".tflite":
        return to_tflite_file(options, kind)
    if kind is Format.ONNX:
        raise CommandError(f"{options.source} is ONNX already. To make TFLite of it, let OUT end in .tflite.")
    if kind in FROM_TENSORFLOW and importlib.util.find_spec("tensorflow") is None:
        return in_environment(FOR_TENSORFLOW, VENV_TENSORFLOW, options)
    # What follows needs ONNX Runtime, which the environment that TFLite files of checkpoints are made in does not hold.
    from .making import make_onnx

    return make_onnx(options, kind)


def to_tflite_file(options: argparse.Namespace, kind: Format) -> int:
    """Convert to TFLite: an ONNX file here, a checkpoint of our training by Google's converter."""
    if kind is Format.STATE_DICT:
        if importlib.util.find_spec("litert_torch") is None:
            return in_environment(FOR_TFLITE, VENV_TFLITE, options)
        return checkpoint_to_tflite(options)
    if kind is not Format.ONNX:
        raise CommandError(
            f"TFLite files are made of ONNX files and checkpoints. Make an ONNX file of {options.source} first."
        )
    from .making import make_tflite

    return make_tflite(options)


def checkpoint_to_tflite(options: argparse.Namespace) -> int:
    """What `models.training.tflite` does, with this command's arguments."""
    from ...sizes import parse_size
    from ...training import tflite
    from ...training.checkpoint import restore

    size = parse_size(options.size) if options.size else None
    restored = restore(options.source, size, options.architecture)
    tflite.convert(restored, options.out, tflite.read_pictures(options.pictures, restored))
    return 0


def check_target(source: Path, out: Path) -> None:
    """CommandError for a place where the result can't go, before anything takes time."""
    if out.suffix not in (".onnx", ".tflite"):
        raise CommandError(f"OUT: expected a name that ends in .onnx or .tflite, found {out.name!r}", 2)
    if not out.parent.is_dir():
        raise CommandError(f"OUT: there is no folder {out.parent}", 2)
    if out.is_dir() or (out.exists() and source.exists() and out.samefile(source)):
        raise CommandError(f"OUT: {out} is a folder or the original. Choose another name.", 2)


def in_environment(requirements: Path, environment: Path, options: argparse.Namespace) -> int:
    """Go on with the same arguments in another environment, made first if need be."""
    if Path(sys.prefix).resolve() == environment.resolve():
        raise CommandError(f"The environment {environment} is incomplete. Delete it, and try again.")
    python = prepare_venv(requirements, environment)
    script = str(ROOT / "obs_background_filter.py")
    return hand_over([str(python), script, "models", HERE, "convert", *as_typed(options)])


def as_typed(options: argparse.Namespace) -> list[str]:
    """The arguments that these options come from."""
    typed = [f"--allowed-difference={options.allowed_difference}", f"--allowed-flips={options.allowed_flips}"]
    typed += [f"--{name}={value}" for name in ("size", "architecture") if (value := getattr(options, name))]
    typed += [f"--{name}={text}" for name in ("option", "input") for text in getattr(options, name)]
    typed += [f"--as={options.model}"] if options.model else []
    typed += ["--trust"] if options.trust else []
    typed += ["--pictures", *map(str, options.pictures)] if options.pictures else []
    return [*typed, "--", str(options.source), str(options.out)]
