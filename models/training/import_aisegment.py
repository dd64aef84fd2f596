# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the AISegment matting set (34,427 half-length portraits of 600x800) into grey masks and a manifest.

Its publisher (github.com/aisegmentcn/matting_human_datasets) keeps pictures as
`clip_img/<group>/clip_<id>/<name>.jpg` and cut-outs as `matting/<group>/matting_<id>/<name>.png`, whose alpha is the
matte. The published archive holds broken files and leftovers of a Mac (`._<name>`): they are left out. Files of one
group stay in one split. The publisher names no licence on that page; ask before you publish what you train.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...filters.cli.errors import CommandError
from . import manifest
from .manifest import Row, split_of
from .pictures import PictureError, in_parallel, list_pictures, read_mask, read_picture, write_picture

SET_NAME = "aisegment"
SOURCE = "AISegment.com Matting Human Datasets, github.com/aisegmentcn/matting_human_datasets"


@dataclass(frozen=True)
class Pair:
    """A picture, its RGBA cut-out, and the group of pictures that it belongs to."""

    group: str
    picture: Path
    cut_out: Path


def find_tree(folder: Path) -> Path:
    """The folder that holds `clip_img` and `matting`: the given one, or one right inside it."""
    candidates = [folder, *sorted(path for path in folder.glob("*/"))]
    found = next((path for path in candidates if (path / "clip_img").is_dir() and (path / "matting").is_dir()), None)
    if found is None:
        raise CommandError(f"{folder} holds no folders clip_img/ and matting/: unpack the AISegment archive there.")
    return found


def list_pairs(tree: Path) -> Iterator[Pair]:
    """Every picture, with where its cut-out must be; leftovers of a Mac (`._…`) are none."""
    for clip in sorted((tree / "clip_img").glob("*/clip_*")):
        if not clip.is_dir():
            continue
        group, number = clip.parent.name, clip.name.removeprefix("clip_")
        for picture in list_pictures(clip):
            yield Pair(group, picture, tree / "matting" / group / f"matting_{number}" / f"{picture.stem}.png")


def convert(pair: Pair, mask: Path) -> str:
    """Write the grey mask of a pair; gives the reason where that can't be, empty when all is well."""
    if mask.exists():
        return ""
    if not pair.cut_out.is_file():
        return "no cut-out"
    try:
        alpha = read_mask(pair.cut_out)
        height, width = read_picture(pair.picture).shape[:2]
        if alpha.shape != (height, width):
            return "cut-out of another size"
        write_picture(mask, alpha)
    except PictureError:
        return "broken file"
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train import aisegment`."""
    parser.add_argument("folder", type=Path, help="folder that holds clip_img/ and matting/")
    parser.add_argument("--out", type=Path, required=True, help="folder for masks/ and manifest.csv")
    manifest.add_workers_argument(parser)
    manifest.add_split_arguments(parser)
    parser.set_defaults(source=SOURCE)


def run(options: argparse.Namespace) -> int:
    """Convert the set; started again, it goes on where it was stopped."""
    tree, out = find_tree(options.folder), options.out.absolute()
    manifest.claim_folder(out, {"aisegment": str(tree.absolute())})
    masks = {pair: out / "masks" / pair.group / f"{pair.picture.stem}.png" for pair in list_pairs(tree)}
    rows, skipped = [], Counter[str]()
    work = in_parallel(lambda pair: convert(pair, masks[pair]), list(masks), options.workers, "AISegment")
    for pair, problem in work:
        if problem:
            skipped[problem] += 1
            continue
        split = split_of(SET_NAME, pair.group, options.val_every, options.val_share)
        texts = (options.licence, options.source, "people")
        rows.append(Row(pair.picture.absolute(), masks[pair], "people", SET_NAME, split, *texts))
    finish(rows, skipped, out)
    return 0


def finish(rows: list[Row], skipped: Counter[str], out: Path) -> None:
    """Write the manifest, and say what was left out."""
    for problem, count in skipped.most_common():
        manifest.warn(f"{count} pictures left out: {problem}")
    if not rows:
        raise CommandError("No picture could be used.")
    manifest.write(out / "manifest.csv", rows)
    manifest.report(out / "manifest.csv", manifest.read(out / "manifest.csv"))
