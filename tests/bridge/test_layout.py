# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout agrees with itself and with the page that specifies it."""

import re
from pathlib import Path

import pytest

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.layout import Field

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bridge.md"
BLOCKS: dict[str, tuple[int, int, tuple[Field, ...]]] = {  # title on the page: (first byte, end, fields)
    "Header": (layout.HEADER_OFFSET, layout.OBS_COUNTERS_OFFSET, layout.HEADER),
    "Counters of OBS": (layout.OBS_COUNTERS_OFFSET, layout.ENGINE_COUNTERS_OFFSET, layout.OBS_COUNTERS),
    "Counters of the engine": (layout.ENGINE_COUNTERS_OFFSET, layout.STATUS_OFFSET, layout.ENGINE_COUNTERS),
    "Status": (layout.STATUS_OFFSET, layout.FRAMES_OFFSET, layout.STATUS),
    "Frame slot": (0, layout.SLOT_HEADER_SIZE, layout.FRAME_HEADER),
    "Mask slot": (0, layout.SLOT_HEADER_SIZE, layout.MASK_HEADER),
}


@pytest.mark.parametrize("title", BLOCKS)
def test_fields_follow_each_other_aligned_and_within_their_block(title: str) -> None:
    start, end, fields = BLOCKS[title]
    at = 0
    for field in fields:
        assert field.offset >= at
        assert field.offset % {"u64": 8, "u32": 4, "f32": 4}.get(field.kind, 1) == 0
        at = field.offset + field.size
    assert start + at <= end
    assert start % 64 == 0


def test_slots_are_aligned_and_fill_the_segment_to_its_end() -> None:
    assert layout.FRAMES_OFFSET % 4096 == 0
    assert layout.FRAME_SLOT_SIZE % 64 == layout.MASK_SLOT_SIZE % 64 == layout.MASKS_OFFSET % 64 == 0
    assert layout.MASKS_OFFSET == layout.FRAMES_OFFSET + layout.FRAME_SLOTS * layout.FRAME_SLOT_SIZE
    assert layout.TOTAL_SIZE == layout.MASKS_OFFSET + layout.MASK_SLOTS * layout.MASK_SLOT_SIZE
    assert layout.TOTAL_SIZE % 8 == 0


def test_the_version_is_what_it_was() -> None:
    """Any change here needs a new version: see "A new version" on the page."""
    assert layout.VERSION == 4
    assert (layout.TOTAL_SIZE, layout.MASKS_OFFSET, layout.MAGIC) == (20977408, 12587776, b"OBSBGFLT")


@pytest.mark.parametrize("title", BLOCKS)
def test_the_page_has_every_field_where_it_lies(title: str) -> None:
    fields = BLOCKS[title][2]
    section = page_section(title)
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE)
    assert rows == [(str(field.offset), field.name, field.kind) for field in fields]


def test_the_page_has_the_places_and_sizes_of_all_blocks() -> None:
    section = page_section("Map")
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([^|]+?) \|", section, re.MULTILINE)
    expected = [(layout.HEADER_OFFSET, 128, "header")]
    expected += [(layout.OBS_COUNTERS_OFFSET, 64, "counters of OBS")]
    expected += [(layout.ENGINE_COUNTERS_OFFSET, 64, "counters of the engine")]
    expected += [(layout.STATUS_OFFSET, layout.FRAMES_OFFSET - layout.STATUS_OFFSET, "status")]
    for number in range(layout.FRAME_SLOTS):
        start = layout.FRAMES_OFFSET + number * layout.FRAME_SLOT_SIZE
        expected += [(start, layout.FRAME_SLOT_SIZE, f"frame slot {number}")]
    for number in range(layout.MASK_SLOTS):
        start = layout.MASKS_OFFSET + number * layout.MASK_SLOT_SIZE
        expected += [(start, layout.MASK_SLOT_SIZE, f"mask slot {number}")]
    assert rows == [(str(start), str(size), name) for start, size, name in expected]
    assert str(layout.TOTAL_SIZE) in section


def page_section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
