# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures whose every byte follows from their id, so that a mixture of two is noticed."""

import ctypes
from typing import NamedTuple

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.frame_slots import Frame, FrameWriter
from background_filter.filters.bridge.mask_slots import Mask, MaskWriter
from background_filter.filters.bridge.region import Region
from background_filter.filters.bridge.segment import Segment

FRAME_PX = (5, 3)
FRAME_ROW_BYTES = 24
MASK_PX = (5, 3)
MASK_ROW_BYTES = 5


class Pair(NamedTuple):
    """The same memory, mapped by either side."""

    of_obs: Segment
    of_engine: Segment


def pattern(picture_id: int, size: int) -> bytes:
    """``size`` bytes that no other id (of the next 250) has at any place."""
    return bytes((picture_id * 89 + at) % 251 for at in range(size))


def region(picture_id: int) -> Region:
    """The whole frame for every fourth id, else a part of it."""
    near = picture_id % 4
    return Region(near / 8, min(near, picture_id % 3) / 64, 1 - near / 4)


def publish_frame(writer: FrameWriter, frame_id: int) -> None:
    """Publish frame ``frame_id``: its pattern, and settings that follow from its id."""
    size = region(frame_id).pictures * FRAME_PX[1] * FRAME_ROW_BYTES
    surface = ctypes.create_string_buffer(pattern(frame_id, size), size)
    address = ctypes.addressof(surface)
    writer.publish(
        address, FRAME_ROW_BYTES, *FRAME_PX, frame_id, frame_id * 1000, frame_id % 8, (frame_id % 5) / 4,
        region(frame_id),
    )  # fmt: skip


def is_whole_frame(frame: Frame | None) -> bool:
    """Whether everything in the frame follows from its id. The last row ends with its pixels: see publish."""
    assert frame is not None
    used = (frame.region.pictures * FRAME_PX[1] - 1) * FRAME_ROW_BYTES + FRAME_PX[0] * 4
    facts = (frame.width, frame.height, frame.row_bytes, frame.capture_ns, frame.flags, frame.ahead_ms)
    number = frame.frame_id
    if frame.region != region(number):
        return False
    expected = (*FRAME_PX, FRAME_ROW_BYTES, number * 1000, number % 8, (number % 5) / 4)
    return facts == expected and frame.pixels[:used] == pattern(number, used)


def publish_mask(writer: MaskWriter, frame_id: int) -> None:
    """Publish the mask of frame ``frame_id``."""
    size = MASK_PX[1] * MASK_ROW_BYTES
    alpha = pattern(frame_id, size)
    times = frame_id * 1000, frame_id, frame_id + 1, frame_id + 2
    regions = region(frame_id), region(frame_id + 1)
    writer.publish(alpha, *MASK_PX, MASK_ROW_BYTES, frame_id, *times, layout.FORMAT_R8_ALPHA, *regions)


def is_whole_mask(mask: Mask) -> bool:
    """Whether everything in the mask follows from its frame's id."""
    number = mask.frame_id
    facts = (mask.width, mask.height, mask.row_bytes, mask.capture_ns)
    times_ms = (mask.prepare_ms, mask.infer_ms, mask.refine_ms)
    return (
        facts == (*MASK_PX, MASK_ROW_BYTES, number * 1000)
        and times_ms == (number, number + 1, number + 2)
        and (mask.region, mask.wanted) == (region(number), region(number + 1))
        and mask.pixels == pattern(number, MASK_PX[1] * MASK_ROW_BYTES)
    )
