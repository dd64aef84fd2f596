# SPDX-License-Identifier: GPL-2.0-or-later
"""A publication cut into its stores, so that a test can let the writer die after any of them, in any allowed order.

Between two fences the processor may make stores visible in any order; across a fence it may not. A control word is one
store. So a publication is a list of stages, a stage a list of stores, and a dead writer leaves all stages before some
stage, plus any of that stage's stores.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.segment import Segment

from .pictures import Pair

_SLOT_PART = layout.SLOT_HEADER_SIZE + 256  # the header, and more than the pixels of the test's pictures
REGIONS = (
    (0, layout.FRAMES_OFFSET),
    *((layout.FRAMES_OFFSET + n * layout.FRAME_SLOT_SIZE, _SLOT_PART) for n in range(layout.FRAME_SLOTS)),
    *((layout.MASKS_OFFSET + n * layout.MASK_SLOT_SIZE, _SLOT_PART) for n in range(layout.MASK_SLOTS)),
)


def _control_words() -> frozenset[int]:
    frames = [layout.FRAMES_OFFSET + n * layout.FRAME_SLOT_SIZE for n in range(layout.FRAME_SLOTS)]
    masks = [layout.MASKS_OFFSET + n * layout.MASK_SLOT_SIZE for n in range(layout.MASK_SLOTS)]
    return frozenset(
        [layout.OBS_COUNTERS_OFFSET + layout.FRAMES_PUBLISHED.offset]
        + [layout.ENGINE_COUNTERS_OFFSET + layout.MASKS_PUBLISHED.offset]
        + [layout.STATUS_OFFSET + layout.STATUS_SEQUENCE_BEGIN.offset]
        + [layout.STATUS_OFFSET + layout.STATUS_SEQUENCE_END.offset]
        + [start + layout.FRAME_SEQUENCE_BEGIN.offset for start in frames]
        + [start + layout.FRAME_SEQUENCE_END.offset for start in frames]
        + [start + layout.MASK_SEQUENCE_BEGIN.offset for start in masks]
        + [start + layout.MASK_SEQUENCE_END.offset for start in masks]
    )


CONTROL_WORDS = _control_words()


class Store(NamedTuple):
    """One store: eight bytes for a control word, one byte for anything else."""

    offset: int
    raw: bytes


class Publication(NamedTuple):
    """What memory held before, and what was stored, stage by stage."""

    before: dict[int, bytes]
    stages: list[list[Store]]


def snapshot(segment: Segment) -> dict[int, bytes]:
    """The parts of the segment that the tests' publications can change, by offset."""
    return {start: bytes(segment.bytes[start : start + size]) for start, size in REGIONS}


def restore(segment: Segment, parts: dict[int, bytes]) -> None:
    """Put the memory back."""
    for start, raw in parts.items():
        segment.bytes[start : start + len(raw)] = raw


def record(segment: Segment, writer: Any, publish: Callable[[], None]) -> Publication:
    """Run ``publish`` and note its stores between each two fences."""
    looks = [snapshot(segment)]
    fence = writer._fence
    writer._fence = lambda: looks.append(snapshot(segment))
    try:
        publish()
    finally:
        writer._fence = fence
    looks.append(snapshot(segment))
    return Publication(looks[0], [_stores(old, new) for old, new in zip(looks, looks[1:])])


def apply(segment: Segment, stores: list[Store]) -> None:
    """Make these stores."""
    for store in stores:
        segment.bytes[store.offset : store.offset + len(store.raw)] = store.raw


def _stores(old: dict[int, bytes], new: dict[int, bytes]) -> list[Store]:
    found = []
    for start, raw in new.items():
        before = old[start]
        at = 0
        while at < len(raw):
            size = 8 if start + at in CONTROL_WORDS else 1
            if raw[at : at + size] != before[at : at + size]:
                found.append(Store(start + at, raw[at : at + size]))
            at += size
    return found


@contextlib.contextmanager
def fresh_pair() -> Iterator[Pair]:
    """A new segment, mapped by both sides: for hypothesis, where a fixture would be shared by all examples."""
    with contextlib.closing(Segment.create()) as of_obs, contextlib.closing(Segment.open(of_obs.name)) as of_engine:
        of_obs.unlink()
        yield Pair(of_obs, of_engine)
