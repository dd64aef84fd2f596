# SPDX-License-Identifier: GPL-2.0-or-later
"""Write pictures and masks smaller, upright and in their true aspect, with a manifest of their own.

    train resize pictures.csv --long-side 576 --out small

writes `small/pictures/<set>/…`, `small/masks/<set>/…png` and `small/manifest.csv`. What is small enough already is
copied as it is. Masks go through the area filter too, so that soft edges stay soft. Started again, it goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2

from ...filters.cli.errors import CommandError
from . import manifest
from .manifest import Row
from .pictures import (
    PictureError,
    fitted_size,
    in_parallel,
    is_upright,
    picture_size,
    read_pair,
    read_picture,
    resize,
    write_picture,
    write_whole,
)

LONG_SIDE = 576


def resize_row(row: Row, name: str, out: Path, long_side: int) -> Row:
    """Write the files of one row, named after `set/stem`, unless they are there; PictureError for unreadable ones."""
    suffix = row.picture.suffix.lower() if row.picture.suffix.lower() in {".jpg", ".jpeg"} else ".png"
    picture_path = out / "pictures" / f"{name}{suffix}"
    mask_path = out / "masks" / f"{name}.png" if row.mask else None
    small = dataclasses.replace(row, picture=picture_path, mask=mask_path, aspect=None)
    # The mask is written first: where the picture is, both are.
    if picture_path.exists():
        return small
    size = fitted_size(*picture_size(row.picture), long_side, row.aspect)
    if row.mask and mask_path:
        picture, mask = read_pair(row.picture, row.mask)
        write_picture(mask_path, resize(mask, size))
    else:
        picture = read_picture(row.picture)
    if picture.shape[1::-1] == size and row.picture.suffix.lower() == suffix and is_upright(row.picture):
        write_whole(picture_path, row.picture.read_bytes())
    else:
        write_picture(picture_path, resize(picture, size))
    return small


def resize_all(rows: Sequence[Row], out: Path, long_side: int, workers: int) -> tuple[list[Row], list[str]]:
    """Resize all rows; gives the rows of the new manifest, and what was wrong with the ones left out."""
    names = dict(zip(rows, manifest.unique_names(rows), strict=True))

    def work(row: Row) -> Row | str:
        try:
            return resize_row(row, names[row], out, long_side)
        except PictureError as error:
            return str(error)

    results = [result for _, result in in_parallel(work, rows, workers, "Resizing")]
    return [each for each in results if isinstance(each, Row)], [each for each in results if isinstance(each, str)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train resize`."""
    parser.add_argument("manifest", type=Path, help="CSV file")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures/, masks/ and manifest.csv")
    parser.add_argument(
        "--long-side", type=manifest.positive, default=LONG_SIDE, help="largest width or height (%(default)s)"
    )
    manifest.add_workers_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Resize what a manifest lists."""
    if options.long_side < 16:
        raise CommandError(f"--long-side {options.long_side}: at least 16 pixels, please.", 2)
    rows = manifest.read(options.manifest)
    out = options.out.absolute()
    manifest.claim_folder(out, {"long_side": options.long_side, "manifest": str(options.manifest.absolute())})
    # Each worker is one thread; OpenCV's own would only be in the way.
    cv2.setNumThreads(1)
    small, problems = resize_all(rows, out, options.long_side, options.workers)
    for problem in problems:
        manifest.warn(f"left out: {problem}")
    if not small:
        raise CommandError("No picture could be resized.")
    manifest.write(out / "manifest.csv", small)
    manifest.report(out / "manifest.csv", small)
    return 0
