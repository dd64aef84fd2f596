# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures as people read them: aligned on a terminal, as tables in ``docs/benchmarks.md``."""

import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .errors import CommandError
from .machine import machine
from .workshop import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
WRAP_COLUMNS = 110
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
ATTENTION_MARKERS = "<!-- attention: begin -->", "<!-- attention: end -->"
OFFLINE_MARKERS = "<!-- offline: begin -->", "<!-- offline: end -->"
PICTURE_BEGIN, PICTURE_END = "<!-- picture: begin -->", "<!-- picture: end -->"


@dataclass(frozen=True)
class Figure:
    """One measured number; ``limit`` is the most it should be (or the ``least``), None for one that only informs."""

    name: str
    value: float
    unit: str
    digits: int = 1
    limit: float | None = None
    above: bool = False  # the limit itself is too much already
    least: bool = False  # the limit is the least, not the most

    @property
    def is_met(self) -> bool:
        """Whether the limit is kept; True without one. Not-a-number keeps none."""
        if self.limit is None:
            return True
        if self.least:
            return self.value >= self.limit
        return self.value < self.limit or (self.value == self.limit and not self.above)

    def cells(self) -> tuple[str, str, str]:
        """Name, value, and what it should be."""
        value = f"{self.value:.{self.digits}f} {self.unit}".strip()
        if self.limit is None:
            return self.name, value, ""
        sign = "at least" if self.least else "under" if self.above else "at most"
        return self.name, value, f"{sign} {self.limit:g} {self.unit}".strip() + ("" if self.is_met else ", missed")


@dataclass(frozen=True)
class Table:
    """Rows of texts under ``header``; the first column is aligned left, the others right if they are numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass(frozen=True)
class Section:
    """What one part of the benchmark found: ``note`` says how it was measured, ``tables`` stand after the figures."""

    title: str
    note: str
    figures: Sequence[Figure]
    tables: Sequence[Table] = field(default=())

    def all_tables(self) -> list[Table]:
        """The figures and the other tables, as texts."""
        figures = [each.cells() for each in self.figures]
        return [*([Table(("figure", "measured", "should be"), figures)] if figures else []), *self.tables]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` (0 to 100) of ``values`` lie, by nearest rank; not-a-number for no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def median(values: Sequence[float]) -> float:
    """The median; not-a-number for no values."""
    return statistics.median(values) if values else float("nan")


def as_text(sections: Sequence[Section]) -> str:
    """For a terminal."""
    blocks = []
    for section in sections:
        blocks += [
            section.title.upper(),
            textwrap.fill(section.note, WRAP_COLUMNS),
            *(_aligned(each) for each in section.all_tables()),
        ]
    return "\n\n".join(blocks)


def as_markdown(sections: Sequence[Section]) -> str:
    """For the documentation."""
    blocks = []
    for section in sections:
        blocks += [
            f"## {section.title}",
            textwrap.fill(section.note, WRAP_COLUMNS),
            *(_piped(each) for each in section.all_tables()),
        ]
    return "\n\n".join(blocks)


def write_figures(page: Path, text: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Put ``text`` between the markers of a page, in place of what stands there; CommandError without markers."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise CommandError(f"{page} lacks the lines {markers[0]} and {markers[1]}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def tell(section: Section, markers: tuple[str, str] | None) -> int:
    """Print a part that stands alone, with the machine's description, and write it into the page between ``markers``;
    1 when a figure misses what it should be."""
    about = Table(("part", "what it is"), list(machine().items()), False)
    whole = Section(section.title, section.note, section.figures, [*section.tables, about])
    print(as_text([whole]))
    if markers:
        write_figures(PAGE, as_markdown([whole]), markers)
        print(f"\nWritten: {PAGE}")
    return 0 if all(figure.is_met for figure in section.figures) else 1


def _aligned(table: Table) -> str:
    rows = [table.header, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    place = str.rjust if table.numbers else str.ljust
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(place(text, width) for text, width in zip(row[1:], widths[1:]))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _piped(table: Table) -> str:
    rule = ["---", *("---:" if table.numbers else "---" for _ in table.header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [table.header, rule, *table.rows])
