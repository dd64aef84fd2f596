# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a checkpoint into one ONNX file, checked against PyTorch, and where it is good enough, in 8 bits.

    train export runs/person/best.pt --out person_256x144.onnx --int8 --pack pack --catalog person_256x144.json

The network is made anew from what the checkpoint says about its architecture. The file has one input `picture`,
float32 [1,3,H,W] RGB in 0..1, and one output `logits`, float32 [1,1,h,w]; the sides are fixed. The same checkpoint
always gives the same bytes. With `--int8` see quantise.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from ...filters.cli.errors import CommandError
from .. import feeding
from ..catalog import CatalogError, load_catalog
from .checkpoint import Restored, halve, noise_pictures, parse_size, restore, write_weights
from .cost import count_macs
from .manifest import MASK_FOLDERS, PICTURE_FOLDERS
from .pictures import PictureError, list_pictures, read_pair, resize, write_whole
from .quantise import Bounds, Samples, choose, declare_only_what_is_used, feeds_of, measure_file, run_onnx
from .sharpen import sharpen

INPUT_NAME, OUTPUT_NAME = "picture", "logits"
OPSET = 17
# Rounding alone makes logits differ by about 1e-5; a real fault by whole numbers.
PARITY_LIMIT = 1e-2
PARITY_PICTURES = 16
CALIBRATION_FRAMES, CALIBRATION_SEED = 256, 7
FEWEST_PAIRS = 4
LICENCE = "GPL-2.0-or-later"
_NOT_IN_ID = re.compile(r"[^a-z0-9]+")


def export_float(restored: Restored, path: Path) -> None:
    """Write the float32 ONNX file with a fixed input of [1,3,height,width]."""
    example = torch.zeros(1, 3, restored.height, restored.width)
    with warnings.catch_warnings():
        # The exporter that traces: it needs nothing installed, and its graphs are those that quantise well.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not in its __all__
        torch.onnx.export(
            restored.network, (example,), str(path), opset_version=OPSET, dynamo=False,
            input_names=[INPUT_NAME], output_names=[OUTPUT_NAME],
        )  # fmt: skip


def check_parity(restored: Restored, path: Path, pictures: torch.Tensor) -> float:
    """The largest difference of logits between PyTorch and the ONNX file on uint8 pictures [N,3,H,W].

    CommandError if it is above `PARITY_LIMIT`.
    """
    with torch.no_grad():
        expected = torch.cat([restored.network(one[None].float() / 255) for one in pictures])
    difference = float((run_onnx(path, pictures) - expected).abs().max())
    print(f"parity with PyTorch: logits differ by at most {difference:.1e} on {len(pictures)} pictures", flush=True)
    if not difference <= PARITY_LIMIT:
        raise CommandError(f"The ONNX file does not compute what PyTorch does: expected logits within {PARITY_LIMIT}.")
    return difference


def describe(restored: Restored, model: onnx.ModelProto) -> dict[str, str]:
    """What stands in the file about itself, without the number of products."""
    _, _, rows, columns = (side.dim_value for side in model.graph.output[0].type.tensor_type.shape.dim)
    return {
        "task": "person segmentation",
        "architecture": restored.name,
        "input": f"float32 NCHW RGB, 0..1, {restored.width}x{restored.height}",
        "output": f"float32 logits, {columns}x{rows}; the sigmoid gives the person probability",
        "licence": LICENCE,
        **feeding.metadata(feeding.of_our_network(INPUT_NAME, restored.width, restored.height, OUTPUT_NAME)),
    }


def finish(source: Path, target: Path, restored: Restored) -> str:
    """Add the description, check the file, put it into its place as a whole; prints and returns its SHA-256."""
    model = onnx.load(source)
    zeros = np.zeros((1, 3, restored.height, restored.width), np.float32)
    macs = count_macs(model, {INPUT_NAME: zeros})
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, describe(restored, model) | {"multiply_accumulates": str(macs)})
    declare_only_what_is_used(model)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    write_whole(target, content)
    digest = hashlib.sha256(content).hexdigest()
    print(f"{target}: {len(content) / 1e6:.2f} MB, {macs / 1e6:.0f} million multiply-accumulates\nSHA-256 {digest}")
    return digest


def read_pairs(folder: Path, width: int, height: int) -> Samples:
    """All pictures of a folder with their masks, squeezed to the network's input; CommandError if there are too few.

    The folder holds `images` and `masks` (or `img` and `mask`), each mask a PNG file named after its picture.
    """
    places = [
        (folder / pictures, folder / masks) for pictures, masks in zip(PICTURE_FOLDERS, MASK_FOLDERS, strict=True)
    ]
    found = next((pair for pair in places if pair[0].is_dir() and pair[1].is_dir()), None)
    if found is None:
        raise CommandError(f"{folder}: expected the folders {places[0][0].name} and {places[0][1].name} in it")
    pictures, masks = [], []
    try:
        for path in list_pictures(found[0]):
            picture, mask = read_pair(path, found[1] / f"{path.stem}.png")
            pictures.append(resize(picture, (width, height))[:, :, ::-1].transpose(2, 0, 1))
            masks.append(resize(mask, (width, height))[None])
    except PictureError as error:
        raise CommandError(str(error)) from error
    if len(pictures) < FEWEST_PAIRS:
        raise CommandError(f"{found[0]}: expected at least {FEWEST_PAIRS} pictures, found {len(pictures)}")
    return Samples(torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(masks)))


def samples_of_pack(folder: Path, width: int, height: int) -> tuple[torch.Tensor, Samples]:
    """Training frames to calibrate on, and the held-out pictures of a pack."""
    from .batches import FrameBatches, validation_batch
    from .config import FramesSection  # only a pack takes the whole training system
    from .pack import Pack

    pack, size = Pack(folder), (width, height)
    frames, _ = next(iter(FrameBatches(pack, FramesSection(), size, CALIBRATION_FRAMES, CALIBRATION_SEED)))
    return frames, Samples(*validation_batch(pack, size))


def samples(options: argparse.Namespace, restored: Restored) -> tuple[torch.Tensor, Samples] | None:
    """Pictures to calibrate on and others to measure on, as the command line says; None if it says nothing."""
    if options.pack:
        return samples_of_pack(options.pack, restored.width, restored.height)
    if options.calibrate:
        pairs = read_pairs(options.calibrate, restored.width, restored.height)
        return pairs.pictures[::2], Samples(pairs.pictures[1::2], pairs.targets[1::2])
    return None


def catalogue_entry(restored: Restored, file: str, identity: str) -> dict[str, Any]:
    """The catalogue entry (models/catalog) of an exported file."""
    size = f"{restored.width}x{restored.height}"
    return {
        "id": identity,
        "name": f"{restored.name.replace('_', ' ').capitalize()} ({size})",
        "file": file,
        "license": LICENCE,
        "source": "trained with models/training",
        "note": f"Own network. Logits come at 1/{restored.output_stride} of the input's resolution."
        if restored.output_stride > 1
        else "Own network. Logits come at the input's resolution.",
        "input": {
            "tensor": None, "width": restored.width, "height": restored.height, "layout": "NCHW", "channels": "RGB",
            "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1],
        },
        "output": {"tensor": None, "kind": "logits", "layout": "NCHW", "channel": 0},
    }  # fmt: skip


def write_catalogue_entry(restored: Restored, file: str, path: Path) -> None:
    """Write the entry, named after its id; CommandError if the engine would not take it."""
    identity = path.stem
    if path.suffix != ".json" or _NOT_IN_ID.sub("_", identity) != identity:
        example = _NOT_IN_ID.sub("_", identity.lower()).strip("_") or "person"
        raise CommandError(f"--catalog: a file's name is its model's id; expected one such as {example}.json")
    content = json.dumps(catalogue_entry(restored, file, identity), indent=2) + "\n"
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / path.name).write_text(content, encoding="utf-8")
        try:
            load_catalog(Path(name))
        except CatalogError as error:
            raise CommandError(f"This can't be an entry of the catalogue: {error}") from error
    write_whole(path, content.encode())
    print(f"{path}: its entry for the catalogue")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train export`."""
    bounds = Bounds()
    add = parser.add_argument
    add("checkpoint", type=Path, help="best.pt or last.pt of a run")
    add("--out", type=Path, required=True, help="ONNX file to write")
    add("--network", metavar="NAME", help="for files with weights only: which architecture they belong to")
    add("--size", metavar="WxH", help="input size in pixels; by default that of the training")
    add(
        "--half-resolution", action="store_true", help="average full-resolution logits two by two: faster in the filter"
    )
    add(
        "--int8",
        action="store_true",
        help="8-bit numbers if the measured quality allows it; takes --pack or --calibrate",
    )
    add(
        "--sharpen",
        action="store_true",
        help="multiply the logits by a factor that makes hesitant masks firmer; takes --pack or --calibrate",
    )
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--pack", type=Path, help="packed pictures of the training, to calibrate and measure on")
    pictures.add_argument("--calibrate", type=Path, metavar="FOLDER", help="or a folder with images/ and masks/")
    add("--allowed-loss", type=float, default=bounds.person_iou, help="of IoU through 8 bits (%(default)s)")
    add("--allowed-boundary-loss", type=float, default=bounds.boundary_f, help="of boundary F (%(default)s)")
    add("--allowed-mad-gain", type=float, default=bounds.mad, help="of MAD, in 0..1 (%(default)s)")
    add("--catalog", type=Path, metavar="ID.json", help="also write the model's entry for models/catalog")
    add("--weights", type=Path, metavar="FILE.pt", help="also write the weights to fine-tune from (network.init_from)")
    add("--tflite", type=Path, metavar="FILE", help="also write a TFLite file (see tflite.py for what that takes)")


def check(options: argparse.Namespace) -> None:
    """CommandError for options that don't go together, before anything takes time."""
    if options.out.suffix != ".onnx":
        raise CommandError(f"--out: expected a name that ends in .onnx, found {options.out.name!r}")
    for name in ("int8", "sharpen"):
        if getattr(options, name) and not (options.pack or options.calibrate):
            raise CommandError(f"--{name} takes pictures to measure on: give --pack or --calibrate.")
    if options.tflite:
        from .tflite import check_installed

        check_installed()


def run(options: argparse.Namespace) -> int:
    """Export a checkpoint."""
    check(options)
    size = parse_size(options.size) if options.size else None
    restored = restore(options.checkpoint, size, options.network)
    if options.half_resolution:
        restored = halve(restored)
    known = samples(options, restored)
    if options.sharpen and known:
        restored = sharpen(restored, known[1])
    pictures = known[1].pictures[:PARITY_PICTURES] if known else noise_pictures(restored)
    with tempfile.TemporaryDirectory() as name:
        chosen = Path(name) / "float.onnx"
        export_float(restored, chosen)
        check_parity(restored, chosen, pictures)
        if options.int8 and known:
            bounds = Bounds(options.allowed_loss, options.allowed_boundary_loss, options.allowed_mad_gain)
            frames, held_out = known
            source, feeds = chosen, feeds_of(chosen, frames)
            chosen = choose(Path(name), source, feeds, lambda path: measure_file(path, held_out), bounds)
            in_8_bits = chosen != source
            print("the file holds " + ("8-bit numbers" if in_8_bits else "float32 numbers: no 8-bit copy ships"))
        finish(chosen, options.out, restored)
    if options.catalog:
        write_catalogue_entry(restored, options.out.name, options.catalog)
    if options.weights:
        write_weights(options.checkpoint, options.weights)
    if options.tflite:
        from .tflite import convert

        convert(restored, options.tflite, pictures)
    print(f"To use it in OBS: python3 obs_background_filter.py models trust {options.out}")
    return 0


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(_parser)
    raise SystemExit(run(_parser.parse_args()))
