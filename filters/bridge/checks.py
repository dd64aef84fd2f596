# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of what stands in a slot, used before writing and after reading."""

from . import layout
from .problems import BridgeError

_MAX_MS = 1e9


def check_picture(width: int, height: int, row_bytes: int, bytes_per_px: int, capacity: int) -> None:
    """``bridge.field`` unless sides are 1 to 1024 pixels, rows hold their pixels and all rows fit the slot."""
    if not 1 <= width <= layout.MAX_SIDE_PX:
        raise field_error("width", f"1 to {layout.MAX_SIDE_PX}", width)
    if not 1 <= height <= layout.MAX_SIDE_PX:
        raise field_error("height", f"1 to {layout.MAX_SIDE_PX}", height)
    if not width * bytes_per_px <= row_bytes <= capacity // height:
        raise field_error("row_bytes", f"{width * bytes_per_px} to {capacity // height}", row_bytes)


def check_count(name: str, value: int, least: int = 0) -> None:
    """``bridge.field`` unless ``value`` is a count, id or time in nanoseconds from ``least`` on."""
    if not least <= value <= layout.MAX_COUNT:
        raise field_error(name, f"{least} to {layout.MAX_COUNT}", value)


def check_range(name: str, value: float, low: float, high: float) -> None:
    """``bridge.field`` unless ``value`` lies between (NaN doesn't)."""
    if not low <= value <= high:
        raise field_error(name, f"{low:g} to {high:g}", value)


def check_ms(name: str, value: float) -> None:
    """``bridge.field`` unless ``value`` is a finite duration, not negative."""
    check_range(name, value, 0.0, _MAX_MS)


def check_format(found: int, *expected: int) -> None:
    """``bridge.field`` unless the pixel format is one that this version knows."""
    if found not in expected:
        raise field_error("format", " or ".join(map(str, expected)), found)


def field_error(name: str, expected: str | int, found: object) -> BridgeError:
    """A ``bridge.field`` that says which field differed."""
    return BridgeError("bridge.field", field=name, expected=str(expected), found=str(found)[:100])
