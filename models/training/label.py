# SPDX-License-Identifier: GPL-2.0-or-later
"""Label pictures without masks by the soft answers of several networks, and drop what they disagree on.

The first teacher is a matting network. It must be steady (a second look at the same picture changes little) and at
least one other teacher must roughly agree. The label is the weighted mean of the matting teacher and those others that
agree well, with a little more contrast. A room in which two teachers see somebody is dropped, any other gets an empty
mask.

    train label pictures.csv --models models --out labelled --teacher rvm --teacher mediapipe_general

writes `labelled/masks/<set>/<name>.png` (grey, 8 bits), `labelled/manifest.csv`, and `labelled/dropped.csv` with the
reasons. Started again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...filters.cli.errors import CommandError
from . import manifest
from .manifest import Row
from .pictures import (
    Alpha,
    Picture,
    PictureError,
    contact_sheet,
    fitted_size,
    in_parallel,
    read_mask,
    read_picture,
    resize,
    write_picture,
    write_whole,
)
from .teachers import Teacher, open_teacher

DEFAULT_TEACHERS = ["rvm", "mediapipe_general", "sinet_320"]
# Not SINet: it knows portraits only, and in 10 of 12 empty rooms it saw more than 1 % person. DeepLab saw none there.
DEFAULT_ROOM_TEACHERS = ["rvm", "mediapipe_general", "deeplabv3"]
LONG_SIDE = 576


@dataclass(frozen=True)
class Rule:
    """When a label is good enough, and how it is mixed; every field is an option of the command."""

    steady: float = 0.85
    smallest_person: float = 0.02
    agree: float = 0.5
    join: float = 0.9
    matting_weight: float = 1.5
    other_weight: float = 0.75
    contrast: float = 1.3
    room_person: float = 0.01


RULE_HELP = {
    "steady": "smallest IoU of the first teacher's first and last look",
    "smallest_person": "smallest share of the picture that is person",
    "agree": "smallest IoU with the first teacher that at least one other must reach",
    "join": "smallest IoU with the first teacher to be mixed into the label",
    "matting_weight": "weight of the first teacher",
    "other_weight": "weight of each other teacher",
    "contrast": "how much the mean is stretched around one half",
    "room_person": "share of a room above which a teacher sees somebody",
}


@dataclass(frozen=True)
class Decision:
    """The label of one picture (uint8 HxW), or why it was dropped; `agreement` is the best IoU of the others."""

    mask: Picture | None
    reason: str
    agreement: float | None = None


def intersection_over_union(first: Alpha, second: Alpha) -> float:
    """IoU of two soft masks (any equal shape, 0..1) cut at .5; 1 when both are empty."""
    inside, other = first >= 0.5, second >= 0.5
    union = np.count_nonzero(inside | other)
    return float(np.count_nonzero(inside & other) / union) if union else 1.0


def decide_person(first_look: Alpha, matting: Alpha, others: Sequence[Alpha], rule: Rule) -> Decision:
    """Label a picture of people by the first teacher's two looks and the other teachers' alphas (float32 HxW, 0..1)."""
    steadiness = intersection_over_union(first_look, matting)
    share = float((matting >= 0.5).mean())
    overlaps = [intersection_over_union(matting, other) for other in others]
    agreement = max(overlaps)
    if steadiness < rule.steady:
        return Decision(None, f"the first teacher is unsteady: IoU {steadiness:.3f}", agreement)
    if share < rule.smallest_person:
        return Decision(None, f"too little person: {share:.2%}", agreement)
    if agreement < rule.agree:
        return Decision(None, f"no other teacher agrees: IoU {agreement:.3f}", agreement)
    joined = [other for other, overlap in zip(others, overlaps, strict=True) if overlap >= rule.join]
    total = rule.matting_weight * matting + rule.other_weight * np.sum(joined, axis=0, dtype=np.float32)
    mean = total / (rule.matting_weight + rule.other_weight * len(joined))
    label = np.clip((mean - 0.5) * rule.contrast + 0.5, 0, 1)
    return Decision(np.asarray(np.round(label * 255), np.uint8), "", agreement)


def decide_room(alphas: Sequence[Alpha], rule: Rule) -> Decision:
    """An empty mask, unless two teachers see somebody."""
    shares = sorted((float((alpha >= 0.5).mean()) for alpha in alphas), reverse=True)
    if shares[1] > rule.room_person:
        return Decision(None, f"two teachers see somebody: {shares[1]:.2%}")
    return Decision(np.zeros(alphas[0].shape, np.uint8), "")


class Labeller:
    """Decides on one picture at a time; several threads may share it."""

    def __init__(
        self, teachers: Sequence[Teacher], room_teachers: Sequence[Teacher], rule: Rule, long_side: int
    ) -> None:
        self.teachers, self.room_teachers = teachers, room_teachers
        self.rule, self.long_side = rule, long_side

    def decide(self, row: Row) -> Decision:
        """The label of a manifest's picture, in the size of its file; unreadable files are dropped."""
        try:
            picture = read_picture(row.picture)
        except PictureError as error:
            return Decision(None, f"unreadable: {error}")
        height, width = picture.shape[:2]
        fitted = resize(picture, fitted_size(width, height, self.long_side, row.aspect))
        picture_rgb = np.asarray(cv2.cvtColor(fitted, cv2.COLOR_BGR2RGB), np.uint8)
        decision = self._decide(row.kind, picture_rgb)
        if decision.mask is None or decision.mask.shape == (height, width):
            return decision
        mask = cv2.resize(decision.mask, (width, height), interpolation=cv2.INTER_LINEAR)
        return dataclasses.replace(decision, mask=np.asarray(mask, np.uint8))

    def _decide(self, kind: str, picture_rgb: Picture) -> Decision:
        if kind == "room":
            return decide_room([teacher.predict(picture_rgb) for teacher in self.room_teachers], self.rule)
        first_look, matting = self.teachers[0].first_and_last(picture_rgb)
        others = [teacher.predict(picture_rgb) for teacher in self.teachers[1:]]
        return decide_person(first_look, matting, others, self.rule)


class Journal:
    """One JSON line for each decided picture; a last line that a kill cut off is forgotten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = path.read_bytes() if path.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        self.records: dict[str, dict[str, Any]] = {}
        try:
            records = [json.loads(line) for line in whole.splitlines()]
            self.records.update({record["name"]: record for record in records})
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{path} is damaged. Delete it, and the pictures are labelled again.") from error
        write_whole(path, whole)

    def add(self, name: str, decision: Decision) -> None:
        """Remember a decision whose mask is written."""
        record = {"name": name, "reason": decision.reason, "agreement": decision.agreement}
        self.records[name] = record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def label(
    rows: Sequence[Row], labeller: Labeller, out: Path, workers: int = 1
) -> tuple[list[Row], list[tuple[Row, str]]]:
    """Label the rows that have no mask; gives the rows of the new manifest, and the dropped ones with reasons."""
    journal = Journal(out / "journal.jsonl")
    names = dict(zip(manifest.unique_names(rows), rows, strict=True))
    todo = [(name, row) for name, row in names.items() if row.mask is None and not _is_done(name, journal, out)]

    def work(item: tuple[str, Row]) -> Decision:
        decision = labeller.decide(item[1])
        if decision.mask is not None:
            write_picture(mask_path(out, item[0]), decision.mask)
        return decision

    for (name, _), decision in in_parallel(work, todo, workers, "Labelling"):
        journal.add(name, decision)
    return _sorted_out(names, journal, out)


def _is_done(name: str, journal: Journal, out: Path) -> bool:
    record = journal.records.get(name)
    return record is not None and (bool(record["reason"]) or mask_path(out, name).exists())


def mask_path(out: Path, name: str) -> Path:
    """Where the mask of `set/stem` is written."""
    return out / "masks" / f"{name}.png"


def _sorted_out(names: dict[str, Row], journal: Journal, out: Path) -> tuple[list[Row], list[tuple[Row, str]]]:
    kept: list[Row] = []
    dropped: list[tuple[Row, str]] = []
    for name, row in names.items():
        record = journal.records.get(name)
        if row.mask is not None:
            kept.append(row)
        elif record is None or record["reason"]:
            dropped.append((row, record["reason"] if record else "not labelled"))
        else:
            labels = "room" if row.kind == "room" else "teachers"
            mask, agreement = mask_path(out, name), record["agreement"]
            kept.append(dataclasses.replace(row, mask=mask, labels=labels, agreement=agreement))
    return kept, dropped


def write_dropped(path: Path, dropped: Sequence[tuple[Row, str]]) -> None:
    """The manifest's lines of the dropped pictures, with the reason in front."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["reason", *manifest.COLUMNS], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({"reason": reason, **manifest.as_values(row, path.parent)} for row, reason in dropped)
    write_whole(path, text.getvalue().encode())


def write_sheets(rows: Sequence[Row], out: Path, count: int) -> None:
    """Contact sheets of labelled pictures: some at random, and those on which the teachers agree least."""
    labelled = [
        row for row in rows if row.labels == "teachers" and row.mask and row.mask.is_relative_to(out.absolute())
    ]
    chosen = {
        "sheet-random.jpg": random.Random(0).sample(labelled, min(count, len(labelled))),
        "sheet-least-agreed.jpg": sorted(labelled, key=lambda row: row.agreement or 0)[:count],
    }
    for name, sheet_rows in chosen.items():
        if sheet_rows:
            write_picture(out / name, contact_sheet([_tile(row) for row in sheet_rows]))
            print(f"Look at {out / name}", flush=True)


def _tile(row: Row) -> tuple[str, Picture, Picture]:
    assert row.mask is not None
    picture = read_picture(row.picture)
    size = fitted_size(picture.shape[1], picture.shape[0], LONG_SIDE, row.aspect)
    return f"{row.agreement or 0:.2f} {row.picture.stem}", resize(picture, size), resize(read_mask(row.mask), size)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train label`."""
    parser.add_argument("manifest", type=Path, help="CSV file; rows that have a mask keep it")
    parser.add_argument("--models", type=Path, required=True, help="folder with the teachers' ONNX files")
    parser.add_argument("--out", type=Path, required=True, help="folder for masks/, manifest.csv and dropped.csv")
    parser.add_argument(
        "--teacher",
        action="append",
        metavar="NAME",
        help=f"a teacher, the matting network first; give several ({', '.join(DEFAULT_TEACHERS)})",
    )
    parser.add_argument(
        "--room-teacher",
        action="append",
        metavar="NAME",
        help=f"a teacher for rooms; give several ({', '.join(DEFAULT_ROOM_TEACHERS)})",
    )
    parser.add_argument(
        "--long-side", type=manifest.positive, default=LONG_SIDE, help="pictures are shown smaller (%(default)s)"
    )
    manifest.add_workers_argument(parser)
    parser.add_argument("--sheet", type=int, default=0, metavar="N", help="also write contact sheets of N pictures")
    for field in dataclasses.fields(Rule):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=field.default, help=f"{RULE_HELP[field.name]} (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Label a manifest's pictures."""
    names = options.teacher or DEFAULT_TEACHERS
    room_names = options.room_teacher or DEFAULT_ROOM_TEACHERS
    if min(len(set(names)), len(set(room_names))) < 2:
        raise CommandError("One teacher alone can't agree with anybody: name two different ones or more.", 2)
    rule = Rule(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Rule)})
    rows = manifest.read(options.manifest)
    out = options.out.absolute()
    kinds = {row.kind for row in rows if row.mask is None}
    needed = [*(names if "people" in kinds else []), *(room_names if "room" in kinds else [])]
    teachers = {name: open_teacher(name, options.models) for name in dict.fromkeys(needed)}
    settings = {
        "manifest": str(options.manifest.absolute()),
        "teachers": names,
        "room_teachers": room_names,
        "long_side": options.long_side,
    }
    manifest.claim_folder(out, {**settings, **dataclasses.asdict(rule)})
    # Each worker is one thread; OpenCV's own would only be in the way.
    cv2.setNumThreads(1)
    for_people, for_rooms = ([teachers[name] for name in group if name in teachers] for group in (names, room_names))
    labeller = Labeller(for_people, for_rooms, rule, options.long_side)
    kept, dropped = label(rows, labeller, out, options.workers)
    write_dropped(out / "dropped.csv", dropped)
    for reason, count in Counter(reason.split(":")[0] for _, reason in dropped).most_common():
        print(f"dropped {count:6}  {reason}")
    if not kept:
        raise CommandError(f"No picture was kept, see {out / 'dropped.csv'} for the reasons.")
    manifest.write(out / "manifest.csv", kept)
    manifest.report(out / "manifest.csv", kept)
    write_sheets(kept, out, options.sheet)
    return 0
