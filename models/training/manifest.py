# SPDX-License-Identifier: GPL-2.0-or-later
"""The manifest: one CSV line for each training picture, with its mask, its split, its licence and its source.

Every later step (resize, label, pack, run, evaluate, attribution) reads manifests and nothing else. Paths are relative
to the manifest's folder or absolute. `train manifest` makes one from folders, joins several, or checks one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...filters.cli.errors import CommandError
from .pictures import PictureError, list_pictures, picture_size, write_whole

COLUMNS = ("picture", "mask", "kind", "set", "split", "licence", "source", "labels", "aspect")
# Written only where a teacher's labels are: how well the teachers agreed, 0..1.
AGREEMENT = "agreement"
KINDS = ("people", "room")
SPLITS = ("train", "val", "test")
LABELS = ("", "people", "teachers", "room")
PICTURE_FOLDERS, MASK_FOLDERS = ("images", "img"), ("masks", "mask")
VAL_SHARE = 0.05
# A set's name becomes a folder's name.
_SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHOWN_NAMES = 3


@dataclass(frozen=True)
class Row:
    """One picture. `mask` None: none yet. `aspect`: true width / height of a squeezed picture. See `COLUMNS`."""

    picture: Path
    mask: Path | None
    kind: str
    set_name: str
    split: str
    licence: str = ""
    source: str = ""
    labels: str = ""
    aspect: float | None = None
    agreement: float | None = None


def read(path: Path) -> list[Row]:
    """All rows of a manifest, with absolute paths; CommandError names the line of what is wrong.

    Missing files, unknown kinds and splits and doubled pictures are errors; an empty licence is warned of.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The manifest {path} can't be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text), strict=True)
    rows: list[Row] = []
    lines: dict[Path, int] = {}
    try:
        _check_header(reader.fieldnames or [])
        for values in reader:
            row = _parse(values, path.parent)
            if row.picture in lines:
                raise ValueError(f"{row.picture} is in line {lines[row.picture]} already")
            lines[row.picture] = reader.line_num
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise CommandError(f"{path}, line {max(reader.line_num, 1)}: {error}") from error
    if not rows:
        raise CommandError(f"{path} lists no pictures.")
    _warn_of_licences(rows, path)
    return rows


def _check_header(names: Sequence[str]) -> None:
    if tuple(names) not in (COLUMNS, (*COLUMNS, AGREEMENT)):
        raise ValueError(f"the columns must be {','.join(COLUMNS)}, found {','.join(names) or 'none'}")


def _parse(values: Mapping[str | None, str | None], folder: Path) -> Row:
    """A checked row; ValueError says what is wrong."""
    if None in values or None in values.values():
        raise ValueError(f"expected {len(COLUMNS)} columns; text with a comma must stand in double quotes")
    fields = {str(name): str(value) for name, value in values.items()}
    for name, known in (("kind", KINDS), ("split", SPLITS), ("labels", LABELS)):
        if fields[name] not in known:
            raise ValueError(f"{name} is “{fields[name]}”, must be {' or '.join(filter(None, known))}")
    return Row(
        picture=_existing(fields["picture"], folder, "picture"),
        mask=_existing(fields["mask"], folder, "mask") if fields["mask"] else None,
        kind=fields["kind"],
        set_name=checked_set_name(fields["set"]),
        split=fields["split"],
        licence=fields["licence"],
        source=fields["source"],
        labels=fields["labels"],
        aspect=_number(fields["aspect"], "aspect", 0.05, 20),
        agreement=_number(fields.get(AGREEMENT, ""), AGREEMENT, 0, 1),
    )


def _existing(name: str, folder: Path, column: str) -> Path:
    path = Path(os.path.abspath(folder / name))
    if not name or not path.is_file():
        raise ValueError(f"{column}: there is no file {path}")
    return path


def checked_set_name(name: str) -> str:
    """The name itself if it can be a folder's name, otherwise ValueError."""
    if not _SET_NAME.fullmatch(name):
        raise ValueError(f"set is “{name}”, must be letters, digits, “_”, “-” and “.”")
    return name


def _number(text: str, column: str, low: float, high: float) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ValueError(f"{column} is “{text}”, must be a number from {low:g} to {high:g}, or empty")
    return value


def _warn_of_licences(rows: Sequence[Row], path: Path) -> None:
    without = Counter(row.set_name for row in rows if not row.licence)
    for name, count in without.items():
        warn(f"{path}: {count} pictures of “{name}” have no licence. You need one to publish what you train on them.")


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a manifest as a whole; paths become relative to its folder where that is possible."""
    rows = list(rows)
    names = [*COLUMNS, AGREEMENT] if any(row.agreement is not None for row in rows) else list(COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(as_values(row, path.parent) for row in rows)
    write_whole(path, text.getvalue().encode())


def as_values(row: Row, folder: Path) -> dict[str, str]:
    """A row as the texts of its columns, for a manifest in `folder`."""
    return {
        "picture": _relative(row.picture, folder),
        "mask": _relative(row.mask, folder) if row.mask else "",
        "kind": row.kind,
        "set": row.set_name,
        "split": row.split,
        "licence": row.licence,
        "source": row.source,
        "labels": row.labels,
        "aspect": "" if row.aspect is None else f"{row.aspect:.6g}",
        AGREEMENT: "" if row.agreement is None else f"{row.agreement:.4f}",
    }


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def split_of(set_name: str, key: str, val_every: int = 0, val_share: float = VAL_SHARE) -> str:
    """ "val" or "train", by a hash of the set and `key` (a file's name or a group of files): the same on every machine,
    and no picture changes sides when others are added. `val_every` (every n-th) goes before `val_share`."""
    digest = hashlib.sha256(f"{set_name}/{key}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    chosen = number % val_every == 0 if val_every else number < val_share * 2**64
    return "val" if chosen else "train"


def group_key(pattern: re.Pattern[str] | None, name: str) -> str:
    """What all files of one person share: the pattern's first group, or its whole match; else the name itself."""
    match = pattern.search(name) if pattern else None
    if not match:
        return name
    return str(match.group(1) if match.re.groups and match.group(1) is not None else match.group(0))


def unique_names(rows: Sequence[Row]) -> list[str]:
    """`set/stem` for each row, to name what is made from it; doubled stems get a digest of their path."""
    plain = [f"{row.set_name}/{row.picture.stem}" for row in rows]
    # Case does not tell files apart everywhere.
    counts = Counter(name.lower() for name in plain)
    digests = (hashlib.sha256(row.picture.as_posix().encode()).hexdigest()[:8] for row in rows)
    return [
        f"{name}-{digest}" if counts[name.lower()] > 1 else name for name, digest in zip(plain, digests, strict=True)
    ]


def from_folder(folder: Path, row: Callable[[Path, Path | None], Row]) -> list[Row]:
    """A row for each picture in `images/` or `img/` (or right in the folder), with its mask in `masks/` or `mask/`."""
    if not folder.is_dir():
        raise CommandError(f"There is no folder {folder}.")
    pictures = list_pictures(_child(folder, PICTURE_FOLDERS) or folder)
    if not pictures:
        raise CommandError(f"No pictures in {folder}: they belong in {folder / 'images'}, masks in {folder / 'masks'}.")
    mask_folder = _child(folder, MASK_FOLDERS)
    masks = {path.stem: path for path in list_pictures(mask_folder)} if mask_folder else {}
    if mask_folder:
        stems = {path.stem for path in pictures}
        _warn_of_files("pictures have no mask (a teacher can label them)", [p for p in pictures if p.stem not in masks])
        _warn_of_files("masks have no picture", [path for stem, path in masks.items() if stem not in stems])
    return [row(path, masks.get(path.stem)) for path in pictures]


def _child(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _warn_of_files(what: str, paths: Sequence[Path]) -> None:
    if paths:
        names = ", ".join(path.name for path in paths[:_SHOWN_NAMES])
        warn(f"{len(paths)} {what}: {names}{', …' if len(paths) > _SHOWN_NAMES else ''}")


def warn(message: str) -> None:
    """Say something that does not stop the command."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def check_sizes(rows: Iterable[Row]) -> None:
    """CommandError for the first picture that can't be read, or whose mask has another size."""
    try:
        for row in rows:
            size = picture_size(row.picture)
            if row.mask and picture_size(row.mask) != size:
                mask_size = "{}x{}".format(*picture_size(row.mask))
                raise CommandError(f"{row.mask}: the mask is {mask_size}, its picture {'{}x{}'.format(*size)}.")
    except PictureError as error:
        raise CommandError(str(error)) from error


def claim_folder(out: Path, settings: Mapping[str, object]) -> None:
    """Remember in `out` how its files are made, so that going on later with other settings is refused."""
    path = out / "settings.json"
    wanted = json.loads(json.dumps(settings))
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        odd = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        if odd:
            was, now = found.get(odd[0]), wanted.get(odd[0])
            raise CommandError(
                f"{out} was made with {odd[0]} {was}, now it is {now}. Choose another folder with --out."
            )
    write_whole(path, json.dumps(wanted, indent=2).encode())


def summary(rows: Sequence[Row]) -> str:
    """An aligned table: pictures by set, split, and whether they have masks."""
    head = ("set", "kind", "train", "val", "test", "masks")
    table: list[tuple[str, ...]] = [head]
    for name, kind in sorted({(row.set_name, row.kind) for row in rows}):
        own = [row for row in rows if (row.set_name, row.kind) == (name, kind)]
        splits = Counter(row.split for row in own)
        table.append((name, kind, *(str(splits[split]) for split in SPLITS), str(sum(bool(row.mask) for row in own))))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def report(path: Path, rows: Sequence[Row]) -> None:
    """Say what was written."""
    print(f"{summary(rows)}\n{len(rows)} pictures in {path}", flush=True)


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number from 1")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not from 0 to 1")
    return value


def add_workers_argument(parser: argparse.ArgumentParser) -> None:
    """The option of all steps that take one picture after the other."""
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="pictures at a time (%(default)s)")


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every maker of manifests has."""
    parser.add_argument("--licence", default="", help="the licence of the pictures, written into every row")
    parser.add_argument("--source", default="", help="where the pictures come from, written into every row")
    parser.add_argument("--val-share", type=share, default=VAL_SHARE, help="share kept for validation (%(default)s)")
    parser.add_argument(
        "--val-every", type=positive, default=0, metavar="N", help="keep one of N for validation instead"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train manifest`."""
    parser.add_argument("folder", type=Path, nargs="?", help="pictures, or images/ and masks/ (img/ and mask/)")
    parser.add_argument("--out", type=Path, help="the CSV file to write")
    parser.add_argument("--kind", choices=KINDS, default="people", help="what the pictures show (%(default)s)")
    parser.add_argument("--set", dest="set_name", help="name of the set (the folder's)")
    parser.add_argument("--labels", choices=LABELS[1:], help="who made the masks (people)")
    parser.add_argument("--aspect", type=float, help="true width / height, if the pictures were squeezed")
    parser.add_argument("--split", choices=SPLITS, help="put all pictures into this split")
    parser.add_argument("--group-by", metavar="REGEX", help="files that share this part of the name stay in one split")
    add_split_arguments(parser)
    parser.add_argument("--join", type=Path, nargs="+", metavar="CSV", help="join manifests instead")
    parser.add_argument("--check", type=Path, metavar="CSV", help="check a manifest and all its files instead")


def run(options: argparse.Namespace) -> int:
    """Make, join or check a manifest."""
    if sum(bool(choice) for choice in (options.folder, options.join, options.check)) != 1:
        raise CommandError("Name one of: a folder of pictures, manifests to --join, a manifest to --check.", 2)
    if options.check:
        rows = read(options.check)
        check_sizes(rows)
        report(options.check, rows)
        return 0
    if not options.out:
        raise CommandError("Say with --out which CSV file to write.", 2)
    rows = _joined(options.join) if options.join else _from_options(options)
    check_sizes(rows)
    write(options.out, rows)
    report(options.out, rows)
    return 0


def _joined(paths: Sequence[Path]) -> list[Row]:
    rows = [row for path in paths for row in read(path)]
    double = [path for path, count in Counter(row.picture for row in rows).items() if count > 1]
    if double:
        raise CommandError(f"{len(double)} pictures are in more than one manifest, the first is {double[0]}.")
    return rows


def _from_options(options: argparse.Namespace) -> list[Row]:
    try:
        set_name = checked_set_name(options.set_name or options.folder.resolve().name)
        pattern = re.compile(options.group_by) if options.group_by else None
    except re.error as error:
        raise CommandError(f"--group-by: “{options.group_by}” is no regular expression: {error}", 2) from error
    except ValueError as error:
        raise CommandError(f"{error}. Choose another with --set.", 2) from error

    def row(picture: Path, mask: Path | None) -> Row:
        key = group_key(pattern, picture.name)
        split = options.split or split_of(set_name, key, options.val_every, options.val_share)
        labels = (options.labels or "people") if mask else ""
        texts = (options.licence, options.source, labels)
        return Row(picture.absolute(), mask and mask.absolute(), options.kind, set_name, split, *texts, options.aspect)

    return from_folder(options.folder, row)
