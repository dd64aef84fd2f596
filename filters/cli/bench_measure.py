# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark itself: measure, print, and write the figures into ``docs/benchmarks.md``."""

from collections.abc import Sequence
from pathlib import Path

from ...models.atomic import replace_file
from ...tests.obs.harness import HarnessError
from ..environment.build import engine_python
from .bench_engine import measure_engine
from .bench_obs import facts, measure_obs
from .bench_options import PARTS, PICTURE, PictureOptions
from .bench_picture import SizeResult, measure_sizes
from .bench_picture_report import as_json, save_strip, section
from .bench_report import (
    PAGE,
    PICTURE_BEGIN,
    PICTURE_END,
    Section,
    Table,
    as_markdown,
    as_text,
    write_figures,
)
from .errors import CommandError
from .machine import machine
from .workshop import ROOT

STRIP = ROOT / "docs" / "picture.jpg"


def measure(parts: Sequence[str], write: bool, picture: PictureOptions) -> int:
    """Run the parts (without a name all but the picture); 1 when a figure misses what it should be."""
    python = engine_python()
    if python is None:
        raise CommandError("The engine is not installed: run install-engine", 2)
    pictured: list[SizeResult] = []

    def measure_picture(_python: Path) -> tuple[Section, dict[str, str]]:
        pictured.extend(measure_sizes(picture))
        return section(pictured, picture), facts(pictured[0].log)

    parts_by_name = {"engine": measure_engine, "obs": measure_obs, PICTURE: measure_picture}
    sections: list[Section] = []
    found = machine()
    try:
        for part in parts or PARTS:
            measured, more = parts_by_name[part](python)
            sections.append(measured)
            found |= more
        if pictured and picture.json:
            replace_file(picture.json, as_json(pictured, found))
    except (HarnessError, OSError) as error:
        raise CommandError(str(error)) from error
    about = Table(("part", "what it is"), list(found.items()), False)
    note = "All figures are of one run. Trust the ratios: times differ from machine to machine."
    print(as_text([Section("Machine", note, (), [about]), *sections]))
    if write:
        if pictured:
            write_picture(sections[0], about, pictured[-1])
        else:
            write_figures(PAGE, as_markdown([Section("Machine", note, (), [about]), *sections]))
        print(f"\nWritten: {PAGE}")
    return 0 if all(figure.is_met for section in sections for figure in section.figures) else 1


def write_picture(measured: Section, about: Table, result: SizeResult) -> None:
    """Put the picture's figures into their part of the page, and its strip of pictures beside the page."""
    whole = Section(measured.title, measured.note, measured.figures, [*measured.tables, about])
    write_figures(PAGE, as_markdown([whole]), (PICTURE_BEGIN, PICTURE_END))
    save_strip(STRIP, result)
