# SPDX-License-Identifier: GPL-2.0-or-later
"""A publication cut into its stores, so that a test can let the writer die after any of them, in any allowed order.

Between two fences the processor may make stores visible in any order; across a fence it may not. A control word is one
store. So a publication is a list of stages, a stage a list of stores, and a dead writer leaves all stages before some
stage, plus any of that stage's stores.
"""

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.frame_slots import FrameWriter
from background_filter.filters.bridge.mask_slots import MaskWriter
from background_filter.filters.bridge.segment import Segment
from background_filter.tests.bridge.pictures import Pair, publish_frame, publish_mask

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
    return Publication(looks[0], [_stores(old, new) for old, new in itertools.pairwise(looks)])


def record_frame(pair: Pair, writer: FrameWriter, frame_id: int) -> Publication:
    """The stores that publish the test frame ``frame_id``."""
    return record(pair.of_obs, writer, lambda: publish_frame(writer, frame_id))


def record_mask(pair: Pair, writer: MaskWriter, frame_id: int) -> Publication:
    """The stores that publish the test mask of ``frame_id``."""
    return record(pair.of_engine, writer, lambda: publish_mask(writer, frame_id))


def apply(segment: Segment, stores: list[Store]) -> None:
    """Make these stores."""
    for store in stores:
        segment.bytes[store.offset : store.offset + len(store.raw)] = store.raw


def at_each_fence(side: Any, act: Callable[[], object]) -> None:
    """Have a reader or writer call ``act`` at each fence: what the other side does meanwhile."""
    side._fence = act


def some_of(stage: list[Store], seed: int) -> list[Store]:
    """Some of a stage's stores in some order. Not drawn one by one: how many there are depends on the clock."""
    chance = random.Random(seed)
    return chance.sample(stage, chance.randint(0, len(stage)))


class Arriving:
    """Stores of the other side that arrive while we read: some of them, in their order, at each of our fences."""

    def __init__(self, segment: Segment, publications: list[Publication], seed: int) -> None:
        self._segment = segment
        self._stores = [store for each in publications for stage in each.stages for store in stage]
        self._chance = random.Random(seed)

    def __call__(self) -> None:
        count = self._chance.randint(0, len(self._stores))
        apply(self._segment, self._stores[:count])
        del self._stores[:count]


def _stores(old: dict[int, bytes], new: dict[int, bytes]) -> list[Store]:
    found = []
    for start, raw in new.items():
        before = old[start]
        for word in range(0, len(raw), 8):
            if raw[word : word + 8] != before[word : word + 8]:
                size = 8 if start + word in CONTROL_WORDS else 1
                parts = [(at, raw[at : at + size]) for at in range(word, word + 8, size)]
                found += [Store(start + at, part) for at, part in parts if part != before[at : at + size]]
    return found


@contextlib.contextmanager
def fresh_pair() -> Iterator[Pair]:
    """A new segment, mapped by both sides: for hypothesis, where a fixture would be shared by all examples."""
    with (
        contextlib.closing(Segment.create()) as of_obs,
        contextlib.closing(Segment.open(of_obs.name)) as of_engine,
    ):
        of_obs.unlink()
        yield Pair(of_obs, of_engine)
