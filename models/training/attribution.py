# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the attribution list of the pictures in a manifest: each set, how many, their source and licence.

train attribution labelled/manifest.csv --out ATTRIBUTION.md
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...filters.cli.errors import CommandError
from . import manifest
from .manifest import Row
from .pictures import write_whole

INTRODUCTION = """# Attribution

The weights were trained on the pictures below, some of them kept for validation. No picture is part of this
repository. Sources and licences are as each set declares them. Pictures were decoded, made smaller, cropped, mirrored
and recoloured, and people were cut out and put in front of other pictures."""
LABELS = {
    "people": "made by people",
    "teachers": "made by networks",
    "room": "none, nobody is in the pictures",
    "": "none",
}


def describe(name: str, rows: Sequence[Row]) -> str:
    """The Markdown section of one set."""
    makers = Counter(LABELS[row.labels] for row in rows)
    lines = [f"## {name} ({len(rows)} pictures)", ""]
    for pair in sorted({(row.source, row.licence) for row in rows}):
        source, licence = (" ".join(text.split()) or "not declared" for text in pair)
        lines += [f"- Source: {source}", f"- Licence: {licence}"]
    counted = [f"{maker} ({count})" if len(makers) > 1 else maker for maker, count in makers.most_common()]
    return "\n".join([*lines, f"- Masks: {', '.join(counted)}"])


def attribution(rows: Sequence[Row]) -> str:
    """The whole list. Pictures for testing are left out: nothing was trained on them."""
    used = [row for row in rows if row.split != "test"]
    names = sorted({row.set_name for row in used})
    sections = [describe(name, [row for row in used if row.set_name == name]) for name in names]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train attribution`."""
    parser.add_argument("manifest", type=Path, help="CSV file of what was trained on")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="SET", help="sets that were not used after all")


def run(options: argparse.Namespace) -> int:
    """Write the list."""
    rows = manifest.read(options.manifest)
    unknown = set(options.leave_out) - {row.set_name for row in rows}
    if unknown:
        raise CommandError(f"--leave-out: {options.manifest} has no set {', '.join(sorted(unknown))}.", 2)
    text = attribution([row for row in rows if row.set_name not in options.leave_out])
    write_whole(options.out, text.encode())
    print(f"Written: {options.out}")
    return 0
