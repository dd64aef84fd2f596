# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a collection of photographs, `train/{masked,people,rooms}/<set>/{img,mask}`, into one manifest.

Each set says its licence and source in `LICENSE.txt` (line "Licence:") and `SOURCE.txt` (line "From:"). A folder
`dev/` beside `train/` is for measuring and never read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...filters.cli.errors import CommandError
from . import manifest
from .manifest import Row
from .pictures import list_pictures

KINDS = {"masked": "people", "people": "people", "rooms": "room"}
# Sets of which nobody occurs in another set: whole sets are the honest validation.
VALIDATION_SETS = ("jupyter_bios", "ols")
VALIDATION_EVERY = {"masked": 20, "openimages_person": 12, "event_photos": 12}
# Came squeezed to a square; most of the originals are 4:3.
TRUE_ASPECT = {"openimages_person": 4 / 3}

_CLOTHING = "(Yang, Luo and Lin: Clothing Co-Parsing by Joint Image Segmentation and Labeling, CVPR 2014)"
_CLOTHING_LICENCE = "Apache-2.0, as declared for the repository"
# Sets that came without a word: source, licence.
KNOWN_SOURCES = {
    "ccp": (
        f"bearpaw/clothing-co-parsing photos/** and annotations/pixel-level/** {_CLOTHING}",
        _CLOTHING_LICENCE,
    ),
    "ccp_unmasked": (f"bearpaw/clothing-co-parsing photos/** {_CLOTHING}", _CLOTHING_LICENCE),
}
# The collector's remarks in words that anyone may say.
WORDING = {
    "my reading of the id": "judged by the id",
    "rendered by me": "rendered",
    "; see index.jsonl for each file": "",
    " (file names keep the Pixabay id)": "",
    " (indoor.txt = 178 indoor ones chosen by eye)": "",
    " (cc0_era.txt, 374 files)": "",
}


@dataclass(frozen=True)
class PictureSet:
    """One set's folder, `group` being masked, people or rooms, with what its texts say."""

    folder: Path
    group: str
    source: str
    licence: str


def read_sets(collection: Path) -> Iterator[PictureSet]:
    """All sets below `train/`; CommandError where there are none."""
    folders = [(group, folder) for group in KINDS for folder in sorted((collection / "train" / group).glob("*/"))]
    if not folders:
        raise CommandError(f"No sets in {collection / 'train'}: expected {'/, '.join(KINDS)}/ with a folder for each.")
    for group, folder in folders:
        yield PictureSet(folder, group, *_texts(folder))


def _texts(folder: Path) -> tuple[str, str]:
    """Source and licence of a set; empty where nothing says them."""
    source, licence = KNOWN_SOURCES.get(folder.name, ("", ""))
    return _field(folder / "SOURCE.txt", "From") or source, _field(folder / "LICENSE.txt", "Licence") or licence


def _field(path: Path, key: str) -> str:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    value = next((line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{key}:")), "")
    for remark, wording in WORDING.items():
        value = value.replace(remark, wording)
    return value


def rows_of(picture_set: PictureSet, validation_sets: frozenset[str]) -> Iterator[Row]:
    """The rows of a set; CommandError for a picture of a masked set that has no mask."""
    name = picture_set.folder.name
    every = VALIDATION_EVERY.get(name) or VALIDATION_EVERY.get(picture_set.group, 0)
    for picture in list_pictures(picture_set.folder / "img"):
        split = manifest.split_of(name, picture.name, every, val_share=0)
        mask = _mask_of(picture) if picture_set.group == "masked" else None
        yield Row(
            picture=picture.absolute(),
            mask=mask,
            kind=KINDS[picture_set.group],
            set_name=name,
            split="val" if name in validation_sets else split,
            licence=picture_set.licence,
            source=picture_set.source,
            labels="people" if mask else "",
            aspect=TRUE_ASPECT.get(name),
        )


def _mask_of(picture: Path) -> Path:
    mask = picture.parent.parent / "mask" / f"{picture.stem}.png"
    if not mask.is_file():
        raise CommandError(f"{picture} has no mask: expected {mask}.")
    return mask.absolute()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train import collection`."""
    parser.add_argument("collection", type=Path, help="folder that holds train/")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    parser.add_argument(
        "--val-sets", default=",".join(VALIDATION_SETS), help="whole sets for validation, by name (%(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the manifest of a collection."""
    wanted = frozenset(filter(None, options.val_sets.split(",")))
    sets = list(read_sets(options.collection))
    unknown = wanted - {each.folder.name for each in sets}
    if unknown and options.val_sets != ",".join(VALIDATION_SETS):
        raise CommandError(f"--val-sets: the collection has no set {', '.join(sorted(unknown))}.", 2)
    rows = [row for each in sets for row in rows_of(each, wanted)]
    manifest.write(options.out, rows)
    manifest.report(options.out, manifest.read(options.out))
    return 0
