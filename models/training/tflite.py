# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a checkpoint into a TFLite file for phones and other small devices, checked against PyTorch.

    models convert runs/person/best.pt person_256x144.tflite

The converter is Google's litert-torch, an optional extra in an environment of its own: it brings two gigabytes, among
them an older pydantic than the training uses. Nothing else of the project needs it. The file takes float32
[1,H,W,3] RGB in 0..1 and gives logits [1,h,w,1], channels last as usual there. This filter runs ONNX files.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...filters.cli.errors import CommandError
from .checkpoint import Restored, halve, noise_pictures, parse_size, restore

# Logits; XNNPACK sums in another order than PyTorch.
PARITY_LIMIT = 1e-3
NEEDED = ("litert_torch", "ai_edge_litert")
HOW_TO_INSTALL = (
    "TFLite files take the converter litert-torch, which is not installed here. Install it into an environment of its "
    "own, and run this step with that:\n"
    "    python3 -m venv .venv-tflite\n"
    "    .venv-tflite/bin/pip install -r models/training/requirements-tflite.txt"
)


def check_installed() -> None:
    """CommandError with the lines to type if the converter is missing."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise CommandError(HOW_TO_INSTALL)


def convert(restored: Restored, path: Path, pictures: torch.Tensor) -> float:
    """Write the TFLite file and compare it with PyTorch on uint8 pictures [N,3,H,W]; the largest difference of logits.

    CommandError if the converter is missing or fails, or the difference is above `PARITY_LIMIT`: then no file is left.
    """
    check_installed()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tflite")
    try:
        _convert(restored, temporary)
        difference = compare(restored, temporary, pictures)
        print(f"TFLite: logits differ from PyTorch's by at most {difference:.1e} on {len(pictures)} pictures")
        if not difference <= PARITY_LIMIT:
            raise CommandError(f"The TFLite file does not compute what PyTorch does: expected within {PARITY_LIMIT}.")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return difference


def _convert(restored: Restored, path: Path) -> None:
    """Run the converter, without its progress on the terminal."""
    converter: Any = importlib.import_module("litert_torch")
    example = torch.zeros(1, restored.height, restored.width, 3)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            channels_last = converter.to_channel_last_io(restored.network, args=[0], outputs=[0])
            converter.convert(channels_last.eval(), (example,)).export(str(path))
        except Exception as error:  # whatever the converter and what is below it raise
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CommandError(f"litert-torch can't convert {restored.name}: {line[:300]}") from error


def compare(restored: Restored, path: Path, pictures: torch.Tensor) -> float:
    """Largest difference of logits between PyTorch and a TFLite file on uint8 pictures [N,3,H,W]."""
    with torch.no_grad():
        expected = torch.cat([restored.network(one[None].float() / 255) for one in pictures])
    return float(np.abs(run_tflite(path, pictures) - expected.numpy()).max())


def run_tflite(path: Path, pictures: torch.Tensor) -> NDArray[np.float32]:
    """Logits float32 [N,1,h,w] of a TFLite file for uint8 pictures [N,3,H,W], one by one on one thread."""
    runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = runtime.Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    answers = []
    for picture in pictures:
        interpreter.set_tensor(source, picture.permute(1, 2, 0)[None].contiguous().float().numpy() / np.float32(255))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(result).transpose(0, 3, 1, 2))
    return np.concatenate(answers)


def read_pictures(paths: list[Path], restored: Restored) -> torch.Tensor:
    """Picture files as uint8 [N,3,H,W], squeezed to the network's input; noise if there are none."""
    if not paths:
        return noise_pictures(restored)
    from .pictures import PictureError, read_picture, resize

    try:
        pixels = [resize(read_picture(path), (restored.width, restored.height)) for path in paths]
    except PictureError as error:
        raise CommandError(str(error)) from error
    return torch.from_numpy(np.stack([one[:, :, ::-1].transpose(2, 0, 1) for one in pixels]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options, as a program of its own."""
    add = parser.add_argument
    add("checkpoint", type=Path, help="best.pt or last.pt of a run")
    add("--out", type=Path, required=True, help="TFLite file to write")
    add("--network", metavar="NAME", help="for files with weights only: which architecture they belong to")
    add("--size", metavar="WxH", help="input size in pixels; by default that of the training")
    add("--half-resolution", action="store_true", help="average full-resolution logits two by two")
    add("--picture", type=Path, nargs="*", default=[], help="pictures to compare on; otherwise coloured noise")


def run(options: argparse.Namespace) -> int:
    """Convert a checkpoint."""
    check_installed()
    restored = restore(options.checkpoint, parse_size(options.size) if options.size else None, options.network)
    if options.half_resolution:
        restored = halve(restored)
    convert(restored, options.out, read_pictures(options.picture, restored))
    return 0


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(_parser)
    raise SystemExit(run(_parser.parse_args()))
