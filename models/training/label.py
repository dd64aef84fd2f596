# SPDX-License-Identifier: GPL-2.0-or-later
"""Label pictures that have no masks, and pack people-made masks, into one folder of RGBA pictures.

Every picture becomes `<out>/<set>/<name>.png`: RGB with the person alpha (0..255) in the fourth channel. The
alpha is people-made where the set has masks, otherwise it is RVM's soft alpha, kept only where MediaPipe's
general segmenter agrees (IoU at .5 of at least `--agree`). Rooms get alpha 0, and a room in which both
teachers see somebody is dropped. `labels-<part>.jsonl` records every decision.

    ... models.training.pseudo_label --data ../shared/data --models ../shared/models --out cache/labels
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .teachers import MEDIAPIPE_GENERAL_FILE, MediaPipe, RobustVideoMatting

LONG_SIDE = 448
SMALLEST_PERSON = 0.02
ROOM_PERSON_LIMIT = 0.01
# Open Images came squeezed to a square; most of its originals are 4:3.
ASPECT_OF_SQUEEZED_SETS = {"openimages_person": 4 / 3}
# Full-body street photos: legs do not occur in front of a webcam, and resolution is better spent above.
TOP_PART_OF_TALL_SETS = {"ccp_unmasked": 0.75, "ccp": 0.75}


@dataclass(frozen=True)
class Source:
    """One picture to label: its set, kind ("masked", "people" or "rooms") and files."""

    kind: str
    set_name: str
    picture: Path
    mask: Path | None = None


def list_sources(data: Path) -> Iterator[Source]:
    """Yield all training pictures below `data/train`; `data/dev` is never read here."""
    for kind in ("masked", "rooms", "people"):
        for folder in sorted((data / "train" / kind).iterdir()):
            for picture in sorted((folder / "img").iterdir()):
                mask = folder / "mask" / f"{picture.stem}.png" if kind == "masked" else None
                yield Source(kind, folder.name, picture, mask)


def prepare(picture: np.ndarray, set_name: str) -> np.ndarray:
    """Undo a known squeeze, cut off legs, and limit the long side; works for pictures and for masks."""
    height, width = picture.shape[:2]
    if set_name in TOP_PART_OF_TALL_SETS:
        height = round(height * TOP_PART_OF_TALL_SETS[set_name])
        picture = picture[:height]
    aspect = ASPECT_OF_SQUEEZED_SETS.get(set_name, width / height)
    scale = min(1.0, LONG_SIDE / max(height * aspect, height))
    size = (round(height * aspect * scale), round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> float:
    """IoU of two soft masks (any equal shape, 0..1) cut at .5; 1 when both are empty."""
    first, second = first >= 0.5, second >= 0.5
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


class Labeller:
    """Decides the alpha of one picture, or that the picture is dropped."""

    def __init__(self, models: Path, agree: float, steps: int) -> None:
        self.matting = RobustVideoMatting(models, LONG_SIDE, steps)
        self.referee = MediaPipe(models / MEDIAPIPE_GENERAL_FILE)
        self.agree = agree

    def label(self, source: Source, picture_rgb: np.ndarray) -> tuple[np.ndarray | None, dict]:
        """Return the alpha (uint8 HxW), or None for a dropped picture, and a record of the decision."""
        if source.kind == "masked":
            mask = prepare(cv2.imread(str(source.mask), cv2.IMREAD_GRAYSCALE), source.set_name)
            return mask, {"labels": "people"}
        alpha, referee = self.matting(picture_rgb), self.referee(picture_rgb)
        share = float((alpha >= 0.5).mean())
        if source.kind == "rooms":
            seen = min(share, float((referee >= 0.5).mean()))
            empty = np.zeros(alpha.shape, np.uint8)
            return (empty if seen < ROOM_PERSON_LIMIT else None), {"labels": "room", "person": round(seen, 4)}
        iou = intersection_over_union(alpha, referee)
        keep = iou >= self.agree and share >= SMALLEST_PERSON
        record = {"labels": "teachers", "iou": round(iou, 4), "person": round(share, 4)}
        return (np.round(alpha * 255).astype(np.uint8) if keep else None), record


def label_part(labeller: Labeller, sources: list[Source], out: Path, log_path: Path) -> None:
    """Label `sources` one by one; pictures in the log are skipped, so a run can be resumed."""
    lines = log_path.read_text().splitlines() if log_path.exists() else []
    done = {(record["set"], record["file"]) for record in map(json.loads, lines)}
    with log_path.open("a", buffering=1) as log:
        for source in sources:
            if (source.set_name, source.picture.name) in done:
                continue
            picture_bgr = prepare(cv2.imread(str(source.picture)), source.set_name)
            alpha, record = labeller.label(source, cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2RGB))
            if alpha is not None:
                target = out / source.set_name / f"{source.picture.stem}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(target), np.dstack([picture_bgr, alpha]))
            head = {"kind": source.kind, "set": source.set_name, "file": source.picture.name}
            log.write(json.dumps({**head, "kept": alpha is not None, **record}) + "\n")


def main() -> None:
    """Command line; start it several times with `--part i/n` to use several cores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with train/")
    parser.add_argument("--models", type=Path, required=True, help="folder with the teachers' ONNX files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the RGBA pictures")
    parser.add_argument("--agree", type=float, default=0.85, help="smallest IoU of the two teachers")
    parser.add_argument("--steps", type=int, default=2, help="how often RVM sees the same picture")
    parser.add_argument("--part", default="0/1", help="label every n-th picture, starting with i: i/n")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    labeller = Labeller(arguments.models, arguments.agree, arguments.steps)
    sources = list(list_sources(arguments.data))[part::parts]
    label_part(labeller, sources, arguments.out, arguments.out / f"labels-{part}.jsonl")


if __name__ == "__main__":
    main()
