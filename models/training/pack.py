# SPDX-License-Identifier: GPL-2.0-or-later
"""Pack labelled RGBA pictures into one flat array, so that training reads no compressed files.

`pixels.npy` holds all pictures one behind the other (uint8, flat); `index.json` lists for each one its
offset, height, width, set, kind and the box of its person. Pixels are BGR plus alpha, as OpenCV stores them.

    ... models.training.cache --labels cache/labels --out cache/pack
"""

from __future__ import annotations

import argparse
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

# Whole sets that repeat nobody from the others, and every 20th hand-masked picture, are kept for validation.
VALIDATION_SETS = {"jupyter_bios", "ols", "csvconf"}
VALIDATION_EVERY = 20
CUT_OUT_IOU = 0.92


@dataclass(frozen=True)
class Entry:
    """Where one picture lies in `pixels.npy` and what is known about it; box: x0, y0, x1, y1 in pixels."""

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


class Pack:
    """Read-only access to packed pictures; the pixels stay in a memory map shared by all processes."""

    def __init__(self, folder: Path) -> None:
        self.pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        self.entries = [Entry(**record) for record in json.loads((folder / "index.json").read_text())]

    def picture(self, entry: Entry) -> np.ndarray:
        """BGRA picture, uint8 HxWx4, alpha 0..255."""
        size = entry.height * entry.width * 4
        flat = self.pixels[entry.offset : entry.offset + size]
        return np.asarray(flat).reshape(entry.height, entry.width, 4)


def describe(record: dict, picture: np.ndarray, offset: int) -> Entry:
    """Make the index entry of one BGRA picture (uint8 HxWx4) from its line in the labelling log."""
    rows, columns = np.nonzero(picture[:, :, 3] >= 128)
    box = (0, 0, 0, 0)
    if len(rows):
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    by_people = record["labels"] == "people"
    held_out = by_people and zlib.crc32(record["file"].encode()) % VALIDATION_EVERY == 0
    return Entry(
        file=record["file"],
        set_name=record["set"],
        kind=record["kind"],
        offset=offset,
        height=picture.shape[0],
        width=picture.shape[1],
        box=box,
        cut_at_bottom=box[3] >= picture.shape[0] - 3,
        clean=by_people or record.get("iou", 0) >= CUT_OUT_IOU,
        validation=held_out or record["set"] in VALIDATION_SETS,
    )


def build(labels: Path, out: Path) -> list[Entry]:
    """Pack every picture that the labelling logs call kept; returns the index."""
    logs = sorted(labels.glob("labels-*.jsonl"))
    records = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    entries, parts, offset = [], [], 0
    for record in records:
        path = labels / record["set"] / f"{Path(record['file']).stem}.png"
        if not record["kept"]:
            continue
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if record["kind"] != "rooms" and not (picture[:, :, 3] >= 128).any():
            continue
        entries.append(describe(record, picture, offset))
        parts.append(picture.reshape(-1))
        offset += picture.size
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "pixels.npy", np.concatenate(parts))
    (out / "index.json").write_text(json.dumps([asdict(entry) for entry in entries]))
    return entries


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="folder written by pseudo_label")
    parser.add_argument("--out", type=Path, required=True, help="folder for pixels.npy and index.json")
    arguments = parser.parse_args()
    entries = build(arguments.labels, arguments.out)
    print(f"{len(entries)} pictures, {sum(entry.validation for entry in entries)} of them for validation")


if __name__ == "__main__":
    main()
