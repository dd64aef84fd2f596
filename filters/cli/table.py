# SPDX-License-Identifier: GPL-2.0-or-later
"""Text in columns."""

import textwrap
from collections.abc import Sequence

TEXT_WIDTH = 100


def table(rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Rows as lines whose columns align, two blanks apart; those in ``numbers`` to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def wrapped(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows of a word and a text, with long texts in several rows; what has no blanks stays whole."""
    lines = []
    for word, text in rows:
        parts = textwrap.wrap(text, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [(word, parts[0]), *(("", part) for part in parts[1:])]
    return lines
