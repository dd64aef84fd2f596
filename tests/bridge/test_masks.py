# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks over the bridge: each once, in order, whole or not at all."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.mask_slots import Mask, MaskReader, MaskWriter
from background_filter.filters.bridge.problems import BridgeError
from background_filter.tests.bridge import torn
from background_filter.tests.bridge.pictures import Pair, is_whole_mask, publish_mask

MOST = layout.MASK_SLOTS - 1


def test_a_mask_arrives_with_everything_it_had(pair: Pair) -> None:
    publish_mask(MaskWriter(pair.of_engine), 7)
    (mask,) = MaskReader(pair.of_obs).take_new()
    assert mask.frame_id == 7 and is_whole_mask(mask) and mask.publish_ns > 0


def test_nothing_new(pair: Pair) -> None:
    writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
    assert reader.take_new() == []
    publish_mask(writer, 1)
    assert len(reader.take_new()) == 1
    assert reader.take_new() == []


@settings(max_examples=60)
@given(bursts=st.lists(st.integers(0, 7), max_size=12))
def test_each_mask_comes_once_and_in_order_however_slow_the_reader(bursts: list[int]) -> None:
    with torn.fresh_pair() as pair:
        writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
        published = 0
        for burst in bursts:
            for _ in range(burst):
                published += 1
                publish_mask(writer, published)
            masks = reader.take_new()
            expected = range(published - min(burst, MOST) + 1, published + 1)
            assert [mask.frame_id for mask in masks] == list(expected)
            assert all(map(is_whole_mask, masks))


def test_factors_arrive_as_they_are(pair: Pair) -> None:
    factors = np.random.default_rng(1).normal(size=(6, 8, 4)).astype(np.float16)
    writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
    writer.publish(factors.data, 8, 6, 64, 1, 2, 0.0, 0.0, 0.0, layout.FORMAT_RGBA16F_FACTORS)
    (mask,) = reader.take_new()
    assert (mask.pixel_format, mask.width, mask.height) == (layout.FORMAT_RGBA16F_FACTORS, 8, 6)
    assert np.array_equal(np.frombuffer(mask.pixels, np.float16).reshape(6, 8, 4), factors)


def test_an_array_of_two_dimensions_and_padded_rows_are_taken(pair: Pair) -> None:
    alpha = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
    writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
    writer.publish(alpha, 5, 6, 8, 1, 2, 0.0, 0.0, 0.0)
    (mask,) = reader.take_new()
    assert np.array_equal(np.frombuffer(mask.pixels, np.uint8).reshape(6, 8)[:, :5], alpha[:, :5])


GOOD: dict[str, Any] = {
    "pixels": bytes(15),
    "width": 5,
    "height": 3,
    "row_bytes": 5,
    "frame_id": 1,
    "capture_ns": 2,
    "prepare_ms": 0.1,
    "infer_ms": 0.1,
    "refine_ms": 0.1,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pixels", bytes(14)),
        ("pixels", np.zeros((3, 5), np.float32)),
        ("pixels", np.zeros((3, 10), np.uint8)[:, ::2]),
        ("pixel_format", 3),
        ("pixel_format", layout.FORMAT_RGBA16F_FACTORS),
        ("width", 0),
        ("height", 1025),
        ("row_bytes", 4),
        ("row_bytes", layout.MASK_CAPACITY),
        ("frame_id", 0),
        ("capture_ns", 2**63),
        ("infer_ms", math.nan),
        ("refine_ms", -0.1),
        ("prepare_ms", math.inf),
    ],
)
def test_the_writer_refuses_what_the_layout_does_not_allow(pair: Pair, field: str, value: object) -> None:
    with pytest.raises(BridgeError) as refusal:
        MaskWriter(pair.of_engine).publish(**{**GOOD, field: value})
    assert refusal.value.code == "bridge.field" and refusal.value.params["field"] in (field, "format", "row_bytes")
    assert MaskReader(pair.of_obs).take_new() == []


@pytest.mark.parametrize("already", [0, 1, 5])
def test_a_writer_that_dies_after_any_byte_leaves_the_masks_before(pair: Pair, already: int) -> None:
    writer = MaskWriter(pair.of_engine)
    for frame_id in range(1, already + 1):
        publish_mask(writer, frame_id)
    publication = torn.record_mask(pair, writer, already + 1)
    assert all(len(stage) == 1 or not torn.CONTROL_WORDS & {s.offset for s in stage} for stage in publication.stages)
    stores = [store for stage in publication.stages for store in stage]
    torn.restore(pair.of_engine, publication.before)
    before = list(range(max(1, already - MOST + 1), already + 1))
    for store in stores[:-1]:
        torn.apply(pair.of_engine, [store])
        masks = MaskReader(pair.of_obs).take_new()
        assert [mask.frame_id for mask in masks] == before and all(map(is_whole_mask, masks))
    torn.apply(pair.of_engine, stores[-1:])
    assert MaskReader(pair.of_obs).take_new()[-1].frame_id == already + 1


@settings(max_examples=60)
@given(data=st.data())
def test_stores_seen_in_any_order_between_fences_never_give_a_torn_mask(data: st.DataObject) -> None:
    with torn.fresh_pair() as pair:
        writer = MaskWriter(pair.of_engine)
        count = data.draw(st.integers(0, 9))
        for frame_id in range(1, count + 1):
            publish_mask(writer, frame_id)
        dead = torn.record_mask(pair, writer, count + 1)
        torn.restore(pair.of_engine, dead.before)
        at = data.draw(st.integers(0, len(dead.stages) - 1))
        for stage in dead.stages[:at]:
            torn.apply(pair.of_engine, stage)
        torn.apply(pair.of_engine, torn.some_of(dead.stages[at], data.draw(st.integers(0, 2**32))))
        assert all(map(is_whole_mask, MaskReader(pair.of_obs).take_new()))


@settings(max_examples=100)
@given(bursts=st.lists(st.integers(0, 6), min_size=1, max_size=20), start=st.integers(1, 5))
def test_a_reader_overtaken_at_every_step_takes_whole_masks_in_order(bursts: list[int], start: int) -> None:
    with torn.fresh_pair() as pair:
        writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
        published = 0

        def publish(count: int) -> None:
            nonlocal published
            for _ in range(count):
                published += 1
                publish_mask(writer, published)

        publish(start)
        pending = list(bursts)
        torn.at_each_fence(reader, lambda: publish(pending.pop()) if pending else None)
        masks = reader.take_new()
        pending.clear()
        publish(1)
        masks += reader.take_new()
        ids = [mask.frame_id for mask in masks]
        assert ids == sorted(set(ids)) and ids[-1] == published
        assert all(map(is_whole_mask, masks))


@settings(max_examples=150)
@given(start=st.integers(1, 5), laps=st.integers(1, 2 * layout.MASK_SLOTS), seed=st.integers(0, 2**32))
def test_a_slot_overwritten_while_it_is_copied_is_noticed(start: int, laps: int, seed: int) -> None:
    with torn.fresh_pair() as pair:
        writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
        for frame_id in range(1, start + 1):
            publish_mask(writer, frame_id)
        to_come = [torn.record_mask(pair, writer, start + lap) for lap in range(1, laps + 1)]
        torn.restore(pair.of_engine, to_come[0].before)
        torn.at_each_fence(reader, torn.Arriving(pair.of_engine, to_come, seed))
        ids = [mask.frame_id for mask in map(whole, reader.take_new())]
        assert ids == sorted(set(ids))


def whole(mask: Mask) -> Mask:
    assert is_whole_mask(mask)
    return mask


def test_a_count_that_goes_backwards_is_refused(pair: Pair) -> None:
    writer, reader = MaskWriter(pair.of_engine), MaskReader(pair.of_obs)
    publish_mask(writer, 1)
    publish_mask(writer, 2)
    reader.take_new()
    pair.of_engine.words[layout.word(layout.ENGINE_COUNTERS_OFFSET, layout.MASKS_PUBLISHED)] = 1
    with pytest.raises(BridgeError) as refusal:
        reader.take_new()
    assert refusal.value.params["field"] == "masks_published"
