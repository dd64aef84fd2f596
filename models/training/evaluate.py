# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure person networks on pictures with people-made masks, all in one run: tables, plots and contact sheets.

    train evaluate --data SETS --rooms ROOMS --network person.onnx --teachers-from MODELS --out report

`models evaluate` is the same for models of the catalogue and a user's own files, as the engine runs them.

Each folder in `--data` is a set, with `images` and `masks` (or `img` and `mask`). A picture is brought to at most 640
pixels at its long side, squeezed to the network's input, and the answer is brought back bilinearly (logits before the
sigmoid) and by nothing else. IoU and boundary F (2 pixels) cut at probability .5, MAD is of the soft mask. All figures
are means over pictures. Every set is measured as it is, darkened and brightened (`darken`, `brighten`). In rooms
without people every pixel above .5 is an error. Flicker (dtSSD) is that of a still picture with fresh noise each time.
Milliseconds of processor time are of the bare network on one thread, all networks in turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import cv2
import torch

from ...filters.cli.errors import CommandError
from .measuring import (
    CONDITIONS,
    YARDSTICK,
    Measurable,
    Results,
    fill,
    find_rooms,
    find_sets,
    measure,
    measure_cost,
    measure_flicker,
)
from .pictures import PictureError
from .teachers import Teacher, find_file, known_teachers, own_network


def known_networks(folder: Path) -> dict[str, Teacher]:
    """Every network of teachers.py whose file lies in a folder or in one of those in it."""
    if not folder.is_dir():
        raise CommandError(f"--teachers-from: there is no folder {folder}")
    files = {name: (find_file(description, folder), description) for name, description in known_teachers().items()}
    return {name: Teacher(path, description) for name, (path, description) in files.items() if path}


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train evaluate` that `models evaluate` has too."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of sets, each with images/ and masks/ (or img/ and mask/)")
    add("--rooms", type=Path, nargs="*", default=[], help="folders of pictures with nobody in them")
    add("--frames", type=int, metavar="N", help="only so many pictures of each set and room folder, evenly spread")
    add("--conditions", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS), help="lights (default: all)")
    add("--rounds", type=int, default=50, help="rounds of timing (%(default)s)")
    add("--out", type=Path, required=True, help="folder for table.md, results.json, plots and contact sheets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train evaluate`."""
    add_shared_arguments(parser)
    add = parser.add_argument
    add("--network", type=Path, nargs="+", default=[], help="ONNX files of `train export`")
    add("--teachers-from", type=Path, metavar="FOLDER", help="folder with other projects' networks, see teachers.py")
    add("--only", nargs="+", metavar="NAME", help="of those, only these (the yardstick is always measured)")


def collect(options: argparse.Namespace) -> dict[str, Measurable]:
    """All networks to measure by name, own ones first; CommandError if there are none or two of one name."""
    own: dict[str, Measurable] = {path.stem: own_network(path) for path in options.network}
    if len(own) < len(options.network):
        raise CommandError("--network: two files have the same name; the tables would mix them up.")
    others = known_networks(options.teachers_from) if options.teachers_from else {}
    unknown = set(options.only or []) - others.keys()
    if unknown:
        raise CommandError(f"--only: no network {sorted(unknown)[0]!r}; there are {', '.join(others) or 'none'}")
    if options.only:
        others = {name: each for name, each in others.items() if name in (*options.only, YARDSTICK)}
    if not own and not others:
        raise CommandError("Nothing to measure: give --network or --teachers-from.")
    return {**own, **others}


def run(options: argparse.Namespace) -> int:
    """`train evaluate`."""
    evaluate(collect(options), [path.stem for path in options.network], options)
    return 0


def evaluate(networks: Mapping[str, Measurable], own: list[str], options: argparse.Namespace) -> None:
    """Measure, print and write everything, as `add_shared_arguments` says; `own` are names to be set off."""
    from . import report  # matplotlib takes a second

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    sets, room_cases = find_sets(options.data, options.frames), find_rooms(options.rooms, options.frames)
    found = measure_cost(networks, options.rounds)
    try:
        people = measure(sets, networks, options.conditions)
        if "as is" in options.conditions:
            measure_flicker(people, networks)
        rooms = measure(room_cases, networks, options.conditions)
    except PictureError as error:
        raise CommandError(str(error)) from error
    for each in found:
        fill(each, options.conditions, people, rooms)
    counts = {name: len(cases) for name, cases in (people.cases | rooms.cases).items()}
    yardstick = YARDSTICK if YARDSTICK in networks else None
    report.write(Results(yardstick, options.conditions, counts, found, own), people, networks, options.out)


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(_parser)
    raise SystemExit(run(_parser.parse_args()))
