# SPDX-License-Identifier: GPL-2.0-or-later
"""Pack labelled pictures into one flat array, so that training decodes no files.

    train pack labelled/manifest.csv --out pack

writes `pixels.npy`, all pictures one behind the other (uint8, flat; each BGRA, the person in the fourth channel), and
`index.json`, which lists for each one where it lies, its set and kind, and the box of its person.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from ...filters.cli.errors import CommandError
from . import manifest
from .manifest import Row
from .pictures import Picture, PictureError, fitted_size, in_parallel, read_pair, read_picture, resize, write_whole

LONG_SIDE = 576
# Masks on which teachers agree this well, and all made by people, are good enough to cut somebody out by.
CUT_OUT_IOU = 0.92
PERSON = 128


@dataclass(frozen=True)
class Entry:
    """Where one picture lies in `pixels.npy` and what is known about it.

    `kind`: "masked" (by people), "people" (by teachers) or "rooms"; `box`: x0, y0, x1, y1 of the person in pixels;
    `clean`: fit to be cut out; `agreement`: IoU of the teachers, 1 where people made the mask.
    """

    file: str
    set_name: str
    kind: str
    offset: int
    height: int
    width: int
    box: tuple[int, int, int, int]
    cut_at_bottom: bool
    clean: bool
    validation: bool
    agreement: float = 1.0


class Pack:
    """Read-only access to packed pictures; the pixels stay in a memory map shared by all processes."""

    def __init__(self, folder: Path) -> None:
        try:
            self.pixels = np.load(folder / "pixels.npy", mmap_mode="r")
            records = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{folder} holds no pack: make one with `train pack`. ({error})") from error
        self.entries = [Entry(**{**record, "box": tuple(record["box"])}) for record in records]

    def picture(self, entry: Entry) -> Picture:
        """BGRA picture, uint8 HxWx4, alpha 0..255."""
        size = entry.height * entry.width * 4
        flat = self.pixels[entry.offset : entry.offset + size]
        return np.asarray(flat).reshape(entry.height, entry.width, 4)


def load(row: Row, long_side: int) -> Picture:
    """The BGRA picture of a row (uint8 HxWx4) in its true aspect; PictureError says which file is wrong."""
    if row.mask:
        picture, mask = read_pair(row.picture, row.mask)
    else:
        picture = read_picture(row.picture)
        mask = np.zeros(picture.shape[:2], np.uint8)
    size = fitted_size(picture.shape[1], picture.shape[0], long_side, row.aspect)
    return np.dstack([resize(picture, size), resize(mask, size)])


def describe(row: Row, picture: Picture, offset: int) -> Entry:
    """The index entry of a row's BGRA picture (uint8 HxWx4) at `offset`."""
    rows, columns = np.nonzero(picture[:, :, 3] >= PERSON)
    box = (0, 0, 0, 0)
    if len(rows):
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    agreement = 1.0 if row.agreement is None else row.agreement
    return Entry(
        file=row.picture.name,
        set_name=row.set_name,
        kind="rooms" if row.kind == "room" else "people" if row.labels == "teachers" else "masked",
        offset=offset,
        height=picture.shape[0],
        width=picture.shape[1],
        box=box,
        cut_at_bottom=box[3] >= picture.shape[0] - 3,
        clean=row.kind == "people" and agreement >= CUT_OUT_IOU,
        validation=row.split == "val",
        agreement=agreement,
    )


def check(rows: Sequence[Row]) -> None:
    """CommandError if a picture of people has no mask."""
    bare = [row for row in rows if row.kind == "people" and row.mask is None]
    if bare:
        raise CommandError(
            f"{len(bare)} pictures have no mask, the first is {bare[0].picture}. Use `train label` first."
        )


class PixelFile:
    """A flat uint8 `.npy` file that grows; its head, whose length does not change, is written anew at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, 0
        self._write_head()
        self._start = file.tell()

    def append(self, picture: Picture) -> None:
        """Add a picture's bytes."""
        self.file.write(np.ascontiguousarray(picture).data)
        self.size += picture.size

    def finish(self) -> None:
        """Write down how many bytes there are."""
        self.file.seek(0)
        self._write_head()
        if self.file.tell() != self._start:
            raise AssertionError("this NumPy leaves no room in the head of an array that grows")

    def _write_head(self) -> None:
        head = {"descr": "|u1", "fortran_order": False, "shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self.file, head)


def build(rows: Sequence[Row], out: Path, long_side: int = LONG_SIDE, workers: int = 1) -> list[Entry]:
    """Pack all rows but those for testing and those of people whose mask shows nobody; gives the index."""
    rows = [row for row in rows if row.split != "test"]
    check(rows)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".pixels.npy.{os.getpid()}.tmp"
    entries = []
    try:
        with temporary.open("wb") as file:
            pixels = PixelFile(file)
            for row, picture in _pictures(rows, long_side, workers):
                entries.append(describe(row, picture, pixels.size))
                pixels.append(picture)
            pixels.finish()
        # The old index belongs to the old pixels.
        (out / "index.json").unlink(missing_ok=True)
        os.replace(temporary, out / "pixels.npy")
    finally:
        temporary.unlink(missing_ok=True)
    write_whole(out / "index.json", json.dumps([asdict(entry) for entry in entries]).encode())
    return entries


def _pictures(rows: Sequence[Row], long_side: int, workers: int) -> Iterator[tuple[Row, Picture]]:
    try:
        for row, picture in in_parallel(lambda row: load(row, long_side), rows, workers, "Packing"):
            if row.kind == "room" or (picture[:, :, 3] >= PERSON).any():
                yield row, picture
    except PictureError as error:
        raise CommandError(str(error)) from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train pack`."""
    parser.add_argument("manifest", type=Path, help="CSV file; pictures of people need masks")
    parser.add_argument("--out", type=Path, required=True, help="folder for pixels.npy and index.json")
    parser.add_argument(
        "--long-side", type=manifest.positive, default=LONG_SIDE, help="larger pictures shrink (%(default)s)"
    )
    manifest.add_workers_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Pack what a manifest lists."""
    rows = manifest.read(options.manifest)
    cv2.setNumThreads(1)
    entries = build(rows, options.out, options.long_side, options.workers)
    if not any(entry.kind != "rooms" and not entry.validation for entry in entries):
        raise CommandError(f"{options.manifest} has no picture of people to train on.")
    kinds = Counter(entry.kind for entry in entries)
    left_out = len(rows) - len(entries)
    print(f"{len(entries)} pictures ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})")
    print(f"{sum(entry.validation for entry in entries)} of them for validation")
    if left_out:
        print(f"{left_out} left out: for testing, or nobody in the mask")
    return 0
