# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a project in Supervisely's format into masks and a manifest.

A project is `meta.json` (classes and tags) and for each dataset `<dataset>/img/<file>` with
`<dataset>/ann/<file>.json`. Polygons (exterior, and holes in interior) and bitmaps (a PNG, zlib-compressed and in
base64, with the place of its corner) are read as the format's documentation describes them. In the Supervisely Person
set the classes person_poly and person_bmp are people; "neutral" is not read. Pictures tagged not-marked-people show
people whom nobody outlined: they would teach that people are background, and are left out.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...filters.cli.errors import CommandError
from . import manifest
from .import_aisegment import finish
from .manifest import Row, split_of
from .pictures import Picture, PictureError, in_parallel, list_pictures, read_picture, write_picture

UNFINISHED_TAG = "not-marked-people"


@dataclass(frozen=True)
class Annotated:
    """A picture, its annotation, and the name of its mask, which is unique in the project."""

    picture: Path
    annotation: Path
    mask_name: str


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; CommandError if the file holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} can't be read: {error}") from error
    if not isinstance(value, dict):
        raise CommandError(f"{path} holds no JSON object.")
    return value


def choose_classes(project: Path, wanted: Collection[str]) -> set[str]:
    """The classes to read: those wanted, or all with "person" in their names; CommandError lists what there is."""
    known = [str(each.get("title")) for each in read_json(project / "meta.json").get("classes", [])]
    chosen = set(wanted) or {title for title in known if "person" in title.lower()}
    if not chosen or not chosen <= set(known):
        missing = ", ".join(sorted(chosen - set(known))) or "with “person” in its name"
        raise CommandError(f"{project / 'meta.json'} has no class {missing}. It has {', '.join(known)}: see --classes.")
    return chosen


def list_annotated(project: Path) -> Iterator[Annotated]:
    """All pictures of all datasets; those without an annotation file too."""
    for folder in sorted(path for path in project.glob("*/img") if path.is_dir()):
        for picture in list_pictures(folder):
            annotation = folder.parent / "ann" / f"{picture.name}.json"
            # The suffix belongs to the name: a.jpg and a.png may stand side by side.
            yield Annotated(picture, annotation, f"{folder.parent.name}/{picture.name.replace('.', '_')}.png")


def draw(annotation: Mapping[str, Any], classes: Collection[str], width: int, height: int) -> Picture:
    """The mask (uint8 HxW, 0 or 255) of all objects of the classes; ValueError for what is not in the format."""
    mask = np.zeros((height, width), np.uint8)
    for item in annotation["objects"]:
        if item["classTitle"] not in classes:
            continue
        if item["geometryType"] == "polygon":
            mask = np.maximum(mask, _polygon(item["points"], width, height))
        elif item["geometryType"] == "bitmap":
            mask = np.maximum(mask, _bitmap(item["bitmap"], width, height))
        else:
            raise ValueError(f"geometry {item['geometryType']} has no area to fill")
    return mask


def _polygon(points: Mapping[str, Any], width: int, height: int) -> Picture:
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [_corners(points["exterior"])], 255)
    for hole in points.get("interior", []):
        cv2.fillPoly(mask, [_corners(hole)], 0)
    return mask


def _corners(points: list[list[float]]) -> Any:
    corners = np.round(np.array(points, np.float64)).astype(np.int32)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError("a polygon's points must be pairs")
    return corners


def _bitmap(bitmap: Mapping[str, Any], width: int, height: int) -> Picture:
    """The bitmap in its place; what lies outside of the picture is cut off."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(bitmap["data"])), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("a bitmap holds no picture")
    shape = (
        pixels[:, :, 3] if pixels.ndim == 3 and pixels.shape[2] == 4 else pixels.reshape(*pixels.shape[:2], -1)[:, :, 0]
    )
    left, top = (int(value) for value in bitmap["origin"])
    mask = np.zeros((height, width), np.uint8)
    window = mask[max(top, 0) : max(top + shape.shape[0], 0), max(left, 0) : max(left + shape.shape[1], 0)]
    part = shape[max(-top, 0) :, max(-left, 0) :][: window.shape[0], : window.shape[1]]
    window[:] = np.where(part > 0, 255, 0)
    return mask


def convert(item: Annotated, classes: Collection[str], mask_path: Path, keep_unfinished: bool) -> str:
    """Write the mask of a picture; gives the reason where that can't be, empty when all is well."""
    if mask_path.exists():
        return ""
    if not item.annotation.is_file():
        return "no annotation"
    annotation = read_json(item.annotation)
    if not keep_unfinished and UNFINISHED_TAG in {tag.get("name") for tag in annotation.get("tags", [])}:
        return f"tagged {UNFINISHED_TAG}"
    try:
        height, width = read_picture(item.picture).shape[:2]
        size = annotation["size"]
        if (size["width"], size["height"]) != (width, height):
            return "annotation of another size"
        mask = draw(annotation, classes, width, height)
    except PictureError:
        return "broken picture"
    except (KeyError, IndexError, TypeError, ValueError, zlib.error, binascii.Error):
        return "broken annotation"
    if not mask.any():
        return "nobody outlined"
    write_picture(mask_path, mask)
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train import supervisely`."""
    parser.add_argument("project", type=Path, help="folder that holds meta.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for masks/ and manifest.csv")
    parser.add_argument("--set", dest="set_name", default="supervisely", help="name of the set (%(default)s)")
    parser.add_argument("--classes", nargs="+", default=[], help="classes that are people (all named like “person”)")
    parser.add_argument("--keep-unfinished", action="store_true", help=f"also read pictures tagged {UNFINISHED_TAG}")
    manifest.add_workers_argument(parser)
    manifest.add_split_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Convert a project; started again, it goes on where it was stopped."""
    classes = choose_classes(options.project, options.classes)
    set_name, out = options.set_name, options.out.absolute()
    try:
        manifest.checked_set_name(set_name)
    except ValueError as error:
        raise CommandError(f"{error}. Choose another with --set.", 2) from error
    settings = {"supervisely": str(options.project.absolute()), "classes": sorted(classes)}
    manifest.claim_folder(out, {**settings, "keep_unfinished": options.keep_unfinished})
    masks = {item: out / "masks" / item.mask_name for item in list_annotated(options.project)}
    rows, skipped = [], Counter[str]()

    def work(item: Annotated) -> str:
        return convert(item, classes, masks[item], options.keep_unfinished)

    for item, problem in in_parallel(work, list(masks), options.workers, "Supervisely"):
        if problem:
            skipped[problem] += 1
            continue
        split = split_of(set_name, item.mask_name, options.val_every, options.val_share)
        texts = (options.licence, options.source, "people")
        rows.append(Row(item.picture.absolute(), masks[item], "people", set_name, split, *texts))
    finish(rows, skipped, out)
    return 0
