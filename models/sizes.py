# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of pictures as people type them."""

from ..filters.cli.errors import CommandError


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from a text such as ``256x144``; CommandError if it is none."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise CommandError(f"--size: expected WIDTHxHEIGHT in pixels, such as 256x144, found {text!r}")
    return int(parts[0]), int(parts[1])
