# SPDX-License-Identifier: GPL-2.0-or-later
"""Garbage in every field: a reader says so or sees nothing new; it never crashes, hangs or looks outside its slot."""

import contextlib
import math
import struct
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.frame_slots import Frame, FrameReader, FrameWriter
from background_filter.filters.bridge.layout import Field
from background_filter.filters.bridge.mask_slots import Mask, MaskReader, MaskWriter
from background_filter.filters.bridge.problems import BridgeError
from background_filter.filters.bridge.segment import Segment, check_header
from background_filter.filters.bridge.status import State, Status, StatusReader, StatusWriter
from background_filter.tests.bridge import torn
from background_filter.tests.bridge.pictures import Pair, publish_frame, publish_mask

FIRST_FRAME = layout.FRAMES_OFFSET
FIRST_MASK = layout.MASKS_OFFSET
U64 = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2, 2**32, 2**63 - 1, 2**63, 2**64 - 1]))
CODES = {"u64": "<Q", "u32": "<I", "f32": "<f"}
ODD_VALUES: dict[str, list[float]] = {
    "u64": [0, 2**63, 2**64 - 1],
    "u32": [0, 1025, 2**31, 2**32 - 1],
    "f32": [math.nan, math.inf, -math.inf, -1e9, 3e38],
}


@pytest.fixture(scope="module")
def shared_pair() -> Iterator[Pair]:
    with torn.fresh_pair() as mapped:
        yield mapped


def look(segment_of_obs: Segment, segment_of_engine: Segment) -> list[Frame | Mask | Status]:
    """Read everything there is to read, twice; BridgeError is the only error a reader may raise."""
    found: list[Frame | Mask | Status] = []
    masks, status = MaskReader(segment_of_obs), StatusReader(segment_of_obs)
    frames = FrameReader(segment_of_engine)
    for _ in range(2):
        with contextlib.suppress(BridgeError):
            frame = frames.take_newest(0)
            found += [frame] if frame else []
        with contextlib.suppress(BridgeError):
            found += masks.take_new()
        with contextlib.suppress(BridgeError):
            found.append(status.read())
        status.pulse()
    return found


def assert_sane(found: list[Frame | Mask | Status]) -> None:
    for item in found:
        if isinstance(item, Status):
            assert isinstance(item.state, State)
            assert math.isfinite(
                item.masks_per_s + item.infer_ms + item.prepare_ms + item.refine_ms + item.round_trip_ms
            )
            continue
        if isinstance(item, Frame):
            bytes_per_px, capacity = layout.FRAME_BYTES_PER_PX, layout.FRAME_CAPACITY
        else:
            bytes_per_px, capacity = layout.MASK_FORMATS[item.pixel_format], layout.MASK_CAPACITY
        assert 1 <= item.width <= layout.MAX_SIDE_PX
        assert 1 <= item.height <= layout.MAX_SIDE_PX
        assert item.width * bytes_per_px <= item.row_bytes
        pictures = item.region.pictures if isinstance(item, Frame) else 1
        assert len(item.pixels) == pictures * item.height * item.row_bytes <= capacity
        assert item.frame_id >= 1
        for region in (item.region, item.wanted) if isinstance(item, Mask) else (item.region,):
            assert 0 < region.side <= 1
            assert 0 <= min(region.left, region.top) <= max(region.left, region.top) <= 1 - region.side


def fill(pair: Pair) -> None:
    """A valid frame, mask and status, so that garbage has something to spoil."""
    publish_frame(FrameWriter(pair.of_obs), 1)
    publish_mask(MaskWriter(pair.of_engine), 1)
    StatusWriter(pair.of_engine).write(state=State.READY, model="a model", device="cpu")


@settings(max_examples=150)
@given(
    patches=st.lists(
        st.tuples(st.sampled_from(torn.REGIONS), st.floats(0, 1), st.binary(min_size=1, max_size=400)),
        max_size=6,
    )
)
def test_random_bytes_anywhere(shared_pair: Pair, patches: list[tuple[tuple[int, int], float, bytes]]) -> None:
    blank = torn.snapshot(shared_pair.of_obs)
    try:
        fill(shared_pair)
        for (start, size), share, raw in patches:
            at = start + int(share * (size - len(raw)))
            shared_pair.of_obs.bytes[at : at + len(raw)] = raw
        assert_sane(look(*shared_pair))
    finally:
        torn.restore(shared_pair.of_obs, blank)


@settings(max_examples=150)
@given(number=U64, body=st.binary(min_size=80, max_size=80))
@example(number=1, body=bytes(80))
@example(number=1, body=b"\xff" * 80)
def test_any_body_between_matching_sequence_numbers(shared_pair: Pair, number: int, body: bytes) -> None:
    blank = torn.snapshot(shared_pair.of_obs)
    try:
        plant_frame(shared_pair.of_obs, number, body)
        plant_mask(shared_pair.of_engine, number, body)
        assert_sane(look(*shared_pair))
    finally:
        torn.restore(shared_pair.of_obs, blank)


def plant_frame(segment: Segment, number: int, body: bytes) -> None:
    start = layout.FRAMES_OFFSET + (number - 1) % layout.FRAME_SLOTS * layout.FRAME_SLOT_SIZE
    segment.bytes[start + 8 : start + 8 + len(body)] = body
    segment.words[layout.word(start, layout.FRAME_SEQUENCE_BEGIN)] = number
    segment.words[layout.word(start, layout.FRAME_SEQUENCE_END)] = number
    segment.words[layout.word(layout.OBS_COUNTERS_OFFSET, layout.FRAMES_PUBLISHED)] = number


def plant_mask(segment: Segment, number: int, body: bytes) -> None:
    start = layout.MASKS_OFFSET + (number - 1) % layout.MASK_SLOTS * layout.MASK_SLOT_SIZE
    segment.bytes[start + 8 : start + 8 + len(body)] = body
    segment.words[layout.word(start, layout.MASK_SEQUENCE_BEGIN)] = number
    segment.words[layout.word(start, layout.MASK_SEQUENCE_END)] = number
    segment.words[layout.word(layout.ENGINE_COUNTERS_OFFSET, layout.MASKS_PUBLISHED)] = number


def odd(fields: tuple[Field, ...]) -> list[tuple[Field, float]]:
    return [(field, value) for field in fields if field.kind in ODD_VALUES for value in ODD_VALUES[field.kind]]


def allowed(field: Field, value: float) -> bool:
    """The odd values that are nothing wrong in their field."""
    if field.name == "row_bytes":
        return value == 1025
    return value == 0 and field.name in (
        "capture_ns",
        "publish_ns",
        "input_width",
        "input_height",
        "state",
        "flags",
        "ahead_ms",
        "region_left",
        "region_top",
        "wanted_left",
        "wanted_top",
    )


def names_the_field(refusal: BridgeError, field: Field) -> bool:
    """Whether the refusal is about the field; of sides and rows that don't go together it may name either."""
    return refusal.params["field"] == field.name or refusal.params["field"] == "row_bytes"


def put(segment: Segment, start: int, field: Field, value: float) -> None:
    struct.pack_into(CODES[field.kind], segment.bytes, start + field.offset, value)


@pytest.mark.parametrize(("field", "value"), odd(layout.FRAME_BODY), ids=str)
def test_a_whole_frame_with_an_odd_field_is_refused_by_its_name(pair: Pair, field: Field, value: float) -> None:
    fill(pair)
    put(pair.of_obs, FIRST_FRAME, field, value)
    if allowed(field, value):
        assert FrameReader(pair.of_engine).take_newest(0) is not None
        return
    with pytest.raises(BridgeError) as refusal:
        FrameReader(pair.of_engine).take_newest(-1)
    assert names_the_field(refusal.value, field)


@pytest.mark.parametrize(("field", "value"), odd(layout.MASK_BODY), ids=str)
def test_a_whole_mask_with_an_odd_field_is_refused_by_its_name(pair: Pair, field: Field, value: float) -> None:
    fill(pair)
    put(pair.of_engine, FIRST_MASK, field, value)
    reader = MaskReader(pair.of_obs)
    if allowed(field, value):
        assert len(reader.take_new()) == 1
        return
    with pytest.raises(BridgeError) as refusal:
        reader.take_new()
    assert names_the_field(refusal.value, field)
    assert reader.take_new() == []  # refused once; the next mask has its chance


@pytest.mark.parametrize(("field", "value"), odd(layout.STATUS_BODY), ids=str)
def test_a_whole_status_with_an_odd_field_is_refused_by_its_name(pair: Pair, field: Field, value: float) -> None:
    fill(pair)
    put(pair.of_engine, layout.STATUS_OFFSET, field, value)
    if allowed(field, value):
        StatusReader(pair.of_obs).read()
        return
    with pytest.raises(BridgeError) as refusal:
        StatusReader(pair.of_obs).read()
    assert refusal.value.params["field"] == field.name


@pytest.mark.parametrize("field", [layout.STATUS_MODEL, layout.STATUS_DEVICE, layout.STATUS_PROBLEM])
@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x80", b'{"code":', b"[" * 1000, b'{"code":"a.b","x":1e999}'])
def test_text_fields_with_garbage(pair: Pair, field: Field, raw: bytes) -> None:
    fill(pair)
    start = layout.STATUS_OFFSET + field.offset
    raw = raw[: field.size]
    pair.of_engine.bytes[start : start + len(raw)] = raw
    if field is not layout.STATUS_PROBLEM and raw.isascii():
        StatusReader(pair.of_obs).read()
        return
    with pytest.raises(BridgeError) as refusal:
        StatusReader(pair.of_obs).read()
    assert refusal.value.params["field"] == field.name


@given(header=st.binary(max_size=128))
def test_random_headers_are_refused(header: bytes) -> None:
    with pytest.raises(BridgeError):
        check_header(header)


@pytest.mark.parametrize("counter", [layout.FRAMES_PUBLISHED, layout.MASKS_PUBLISHED])
def test_writers_refuse_a_count_that_they_could_not_raise(pair: Pair, counter: Field) -> None:
    frames = counter is layout.FRAMES_PUBLISHED
    start = layout.OBS_COUNTERS_OFFSET if frames else layout.ENGINE_COUNTERS_OFFSET
    pair.of_obs.words[layout.word(start, counter)] = 2**64 - 1
    with pytest.raises(BridgeError) as refusal:
        FrameWriter(pair.of_obs) if frames else MaskWriter(pair.of_engine)
    assert refusal.value.params["field"] == counter.name
