# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames over the bridge: the newest, whole or not at all."""

import ctypes
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.frame_slots import TRIES, FrameReader, FrameWriter
from background_filter.filters.bridge.problems import BridgeError
from background_filter.filters.bridge.region import Region, has_room_for_two
from background_filter.tests.bridge import torn
from background_filter.tests.bridge.pictures import Pair, is_whole_frame, publish_frame


def test_a_frame_arrives_with_everything_it_had(pair: Pair) -> None:
    publish_frame(FrameWriter(pair.of_obs), 7)
    frame = FrameReader(pair.of_engine).take_newest(0)
    assert frame is not None and frame.frame_id == 7 and is_whole_frame(frame)


def test_nothing_has_been_published(pair: Pair) -> None:
    assert FrameReader(pair.of_engine).take_newest(0) is None


@pytest.mark.parametrize("count", range(1, 3 * layout.FRAME_SLOTS))
def test_the_newest_wins_and_comes_once(pair: Pair, count: int) -> None:
    writer, reader = FrameWriter(pair.of_obs), FrameReader(pair.of_engine)
    for frame_id in range(1, count + 1):
        publish_frame(writer, frame_id)
    frame = reader.take_newest(0)
    assert frame is not None and frame.frame_id == count and is_whole_frame(frame)
    assert reader.take_newest(count) is None
    publish_frame(writer, count + 1)
    assert is_whole_frame(reader.take_newest(count))


def test_a_taken_frame_stays_as_it_is(pair: Pair) -> None:
    writer, reader = FrameWriter(pair.of_obs), FrameReader(pair.of_engine)
    publish_frame(writer, 1)
    first = reader.take_newest(0)
    for frame_id in range(2, 9):
        publish_frame(writer, frame_id)
        reader.take_newest(0)
    assert is_whole_frame(first)


def test_a_second_writer_goes_on_where_the_first_ended(pair: Pair) -> None:
    publish_frame(FrameWriter(pair.of_obs), 1)
    publish_frame(FrameWriter(pair.of_obs), 2)
    frame = FrameReader(pair.of_engine).take_newest(1)
    assert frame is not None and frame.frame_id == 2


@pytest.mark.parametrize(("width", "height", "row_bytes"), [(1, 1, 4), (1024, 1024, 4096), (1000, 600, 4096)])
def test_the_smallest_and_largest_sizes_fit(pair: Pair, width: int, height: int, row_bytes: int) -> None:
    surface = ctypes.create_string_buffer(b"\xa5" * (height * row_bytes), height * row_bytes)
    writer = FrameWriter(pair.of_obs)
    writer.publish(ctypes.addressof(surface), row_bytes, width, height, 1, 2)
    frame = FrameReader(pair.of_engine).take_newest(0)
    used = (height - 1) * row_bytes + width * 4
    assert frame is not None and frame.pixels[:used] == surface.raw[:used]
    assert len(frame.pixels) == height * row_bytes


def test_two_pictures_fit_where_there_is_room_for_two_and_only_there(pair: Pair) -> None:
    assert has_room_for_two(1024, 512) and not has_room_for_two(1024, 513)
    surface = ctypes.create_string_buffer(b"\xa5" * (1024 * 4096), 1024 * 4096)
    writer, part = FrameWriter(pair.of_obs), Region(0.25, 0.5, 0.5)
    writer.publish(ctypes.addressof(surface), 4096, 1024, 512, 1, 2, region=part)
    frame = FrameReader(pair.of_engine).take_newest(0)
    assert frame is not None and frame.region == part and frame.pixels == surface.raw
    with pytest.raises(BridgeError) as refusal:
        writer.publish(ctypes.addressof(surface), 4096, 1024, 513, 2, 2, region=part)
    assert refusal.value.params["field"] == "row_bytes"


GOOD: dict[str, Any] = {
    "row_bytes": 24,
    "width": 5,
    "height": 3,
    "frame_id": 1,
    "capture_ns": 2,
    "ahead_ms": 0.5,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pixels_address", 0),
        ("row_bytes", 19),
        ("row_bytes", layout.FRAME_CAPACITY),
        ("width", 0),
        ("width", 1025),
        ("height", -1),
        ("height", 1025),
        ("frame_id", 0),
        ("frame_id", 2**63),
        ("capture_ns", -1),
        ("ahead_ms", 1000.1),
        ("ahead_ms", math.nan),
    ],
)
def test_the_writer_refuses_what_the_layout_does_not_allow(pair: Pair, field: str, value: float) -> None:
    surface = ctypes.create_string_buffer(128)
    writer = FrameWriter(pair.of_obs)
    with pytest.raises(BridgeError) as refusal:
        writer.publish(**{"pixels_address": ctypes.addressof(surface), **GOOD, field: value})
    assert refusal.value.code == "bridge.field" and refusal.value.params["field"] == field
    assert FrameReader(pair.of_engine).take_newest(0) is None


@pytest.mark.parametrize("already", [0, 1, 4, 255])
def test_a_writer_that_dies_after_any_byte_leaves_the_last_frame_or_none(pair: Pair, already: int) -> None:
    writer = FrameWriter(pair.of_obs)
    pair.of_obs.words[layout.word(layout.OBS_COUNTERS_OFFSET, layout.FRAMES_PUBLISHED)] = 0
    for frame_id in range(1, already + 1):
        publish_frame(writer, frame_id)
    publication = torn.record_frame(pair, writer, already + 1)
    assert all(len(stage) == 1 or not torn.CONTROL_WORDS & {s.offset for s in stage} for stage in publication.stages)
    stores = [store for stage in publication.stages for store in stage]
    torn.restore(pair.of_obs, publication.before)
    for store in stores[:-1]:
        torn.apply(pair.of_obs, [store])
        frame = FrameReader(pair.of_engine).take_newest(0)
        assert (frame is None) == (already == 0)
        if frame is not None:
            assert frame.frame_id == already and is_whole_frame(frame)
    torn.apply(pair.of_obs, stores[-1:])
    frame = FrameReader(pair.of_engine).take_newest(0)
    assert frame is not None and frame.frame_id == already + 1 and is_whole_frame(frame)


@settings(max_examples=60)
@given(data=st.data())
def test_stores_seen_in_any_order_between_fences_never_give_a_torn_frame(data: st.DataObject) -> None:
    with torn.fresh_pair() as pair:
        writer = FrameWriter(pair.of_obs)
        count = data.draw(st.integers(0, 5))
        for frame_id in range(1, count + 1):
            publish_frame(writer, frame_id)
        dead = torn.record_frame(pair, writer, count + 1)
        torn.restore(pair.of_obs, dead.before)
        at = data.draw(st.integers(0, len(dead.stages) - 1))
        for stage in dead.stages[:at]:
            torn.apply(pair.of_obs, stage)
        torn.apply(pair.of_obs, torn.some_of(dead.stages[at], data.draw(st.integers(0, 2**32))))
        frame = FrameReader(pair.of_engine).take_newest(0)
        assert frame is None or is_whole_frame(frame)


@settings(max_examples=100)
@given(bursts=st.lists(st.integers(0, 5), min_size=1, max_size=12), start=st.integers(1, 4))
def test_a_reader_overtaken_at_every_step_takes_a_whole_frame_or_none(bursts: list[int], start: int) -> None:
    with torn.fresh_pair() as pair:
        writer, reader = FrameWriter(pair.of_obs), FrameReader(pair.of_engine)
        published = 0

        def publish(count: int) -> None:
            nonlocal published
            for _ in range(count):
                published += 1
                publish_frame(writer, published)

        publish(start)
        pending = list(bursts)
        torn.at_each_fence(reader, lambda: publish(pending.pop()) if pending else None)
        frame = reader.take_newest(0)
        assert frame is None or is_whole_frame(frame)
        pending.clear()
        newest = reader.take_newest(0)
        assert newest is not None and newest.frame_id == published and is_whole_frame(newest)


@settings(max_examples=150)
@given(start=st.integers(1, 4), laps=st.integers(1, 2 * layout.FRAME_SLOTS), seed=st.integers(0, 2**32))
def test_a_slot_overwritten_while_it_is_copied_is_noticed(start: int, laps: int, seed: int) -> None:
    with torn.fresh_pair() as pair:
        writer, reader = FrameWriter(pair.of_obs), FrameReader(pair.of_engine)
        for frame_id in range(1, start + 1):
            publish_frame(writer, frame_id)
        to_come = [torn.record_frame(pair, writer, start + lap) for lap in range(1, laps + 1)]
        torn.restore(pair.of_obs, to_come[0].before)
        torn.at_each_fence(reader, torn.Arriving(pair.of_obs, to_come, seed))
        frame = reader.take_newest(0)
        assert frame is None or is_whole_frame(frame)


def test_a_reader_gives_up_after_a_few_tries(pair: Pair) -> None:
    writer, reader = FrameWriter(pair.of_obs), FrameReader(pair.of_engine)
    publish_frame(writer, 1)
    looks = 0

    def overtake() -> None:
        nonlocal looks
        looks += 1
        for frame_id in range(2, 2 + layout.FRAME_SLOTS):
            publish_frame(writer, frame_id)

    torn.at_each_fence(reader, overtake)
    assert reader.take_newest(0) is None
    assert looks <= 3 * TRIES


def test_a_closed_segment_is_an_error_and_not_a_crash(pair: Pair) -> None:
    writer, reader = FrameWriter(pair.of_obs), FrameReader(pair.of_engine)
    pair.of_obs.close()
    pair.of_engine.close()
    with pytest.raises(ValueError, match="released"):
        publish_frame(writer, 1)
    with pytest.raises(ValueError, match="released"):
        reader.take_newest(0)
