# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of a frame that a picture or a mask shows: the whole, or a closer look at the person."""

from __future__ import annotations

from typing import NamedTuple

from . import layout
from .checks import check_range

# A smaller part could not be told from a mistake.
LEAST_SIDE = 1 / 64


class Region(NamedTuple):
    """A part of a frame in the frame's own proportions, in fractions of its width and height: where it begins, and how
    much of either side it spans. The engine chooses multiples of 1/64, which 32-bit floats hold exactly."""

    left: float
    top: float
    side: float

    @property
    def is_whole(self) -> bool:
        """All of the frame."""
        return self.side == 1.0

    @property
    def pictures(self) -> int:
        """How many pictures a frame slot holds: the whole frame, and the part if it is another."""
        return 1 if self.is_whole else 2


WHOLE = Region(0.0, 0.0, 1.0)


def check_region(name: str, region: Region) -> None:
    """``bridge.field`` unless the region, whose fields are called ``name``, lies within the frame (NaN doesn't)."""
    check_range(f"{name}_side", region.side, LEAST_SIDE, 1.0)
    check_range(f"{name}_left", region.left, 0.0, 1.0 - region.side)
    check_range(f"{name}_top", region.top, 0.0, 1.0 - region.side)


def has_room_for_two(width: int, height: int) -> bool:
    """Whether a frame slot can hold a second picture of this size, of the part that is looked at closer."""
    return 2 * width * height * layout.FRAME_BYTES_PER_PX <= layout.FRAME_CAPACITY
