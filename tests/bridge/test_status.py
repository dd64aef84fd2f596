# SPDX-License-Identifier: GPL-2.0-or-later
"""The status block: whole, newest, cut to size; signs of life."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.mask_slots import MaskWriter
from background_filter.filters.bridge.problems import BridgeError, Problem
from background_filter.filters.bridge.status import State, Status, StatusReader, StatusWriter
from background_filter.tests.bridge import torn
from background_filter.tests.bridge.pictures import Pair, publish_mask

FULL = Status(
    State.REFUSED,
    256,
    144,
    30.0,
    0.25,
    1.5,
    0.5,
    2.5,
    "person_fast_256x144",
    "cpu",
    Problem("model.digest_mismatch", {"file": "x.onnx", "expected": "ab", "found": "cd"}),
)


def test_before_the_first_status_it_is_starting(pair: Pair) -> None:
    assert StatusReader(pair.of_obs).read() == Status()


def test_a_status_arrives_with_everything_it_had(pair: Pair) -> None:
    StatusWriter(pair.of_engine).write(**vars(FULL))
    assert StatusReader(pair.of_obs).read() == FULL


def test_fields_that_are_not_named_stay(pair: Pair) -> None:
    writer, reader = StatusWriter(pair.of_engine), StatusReader(pair.of_obs)
    writer.write(**vars(FULL))
    writer.write(state=State.READY, problem=None)
    status = reader.read()
    assert (status.state, status.problem, status.model) == (State.READY, None, FULL.model)
    assert reader.read() is status


@settings(max_examples=60)
@given(
    model=st.text(max_size=200),
    detail=st.text(max_size=2000),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_fits_after_cutting_and_is_read_back(model: str, detail: str, number: float) -> None:
    problem_number = max(-1e15, min(1e15, number))
    with torn.fresh_pair() as pair:
        problem = Problem("model.load_failed", {"detail": detail, "number": problem_number})
        StatusWriter(pair.of_engine).write(model=model, problem=problem)
        status = StatusReader(pair.of_obs).read()
    readable = model.replace("\0", " ").encode("utf-8", "replace").decode()
    assert readable.startswith(status.model)
    assert status.problem is not None
    assert status.problem.code == problem.code
    if len(detail) < 100:
        assert status.problem.params["number"] == problem_number
        assert status.problem.params["detail"] == detail.encode("utf-8", "replace").decode()
        assert len(readable.encode()) > layout.STATUS_MODEL.size or status.model == readable


@pytest.mark.parametrize(
    ("field", "value"),
    [("state", 9), ("input_width", 5000), ("masks_per_s", -1.0), ("infer_ms", float("nan"))],
)
def test_the_writer_refuses_what_the_layout_does_not_allow(pair: Pair, field: str, value: float) -> None:
    writer = StatusWriter(pair.of_engine)
    writer.write(model="before")
    with pytest.raises(BridgeError) as refusal:
        writer.write(**{field: value})
    assert refusal.value.params["field"] == field
    assert StatusReader(pair.of_obs).read().model == "before"


def test_an_unknown_field_is_a_mistake_in_the_code(pair: Pair) -> None:
    with pytest.raises(TypeError):
        StatusWriter(pair.of_engine).write(modell="x")


@settings(max_examples=60)
@given(data=st.data())
def test_a_writer_that_dies_after_any_store_leaves_the_status_before(data: st.DataObject) -> None:
    with torn.fresh_pair() as pair:
        writer = StatusWriter(pair.of_engine)
        writer.write(model="old", state=State.LOADING)
        old = StatusReader(pair.of_obs).read()
        reader = StatusReader(pair.of_obs)
        if data.draw(st.booleans()):
            reader.read()
        publication = torn.record(pair.of_engine, writer, lambda: writer.write(**vars(FULL)))
        torn.restore(pair.of_engine, publication.before)
        at = data.draw(st.integers(0, len(publication.stages) - 1))
        for stage in publication.stages[:at]:
            torn.apply(pair.of_engine, stage)
        torn.apply(pair.of_engine, torn.some_of(publication.stages[at], data.draw(st.integers(0, 2**32))))
        assert reader.read() in (old, FULL, Status())


def test_a_reader_overtaken_at_every_step_keeps_what_it_had(pair: Pair) -> None:
    writer, reader = StatusWriter(pair.of_engine), StatusReader(pair.of_obs)
    writer.write(model="first")
    first = reader.read()
    writer.write(model="second")
    torn.at_each_fence(reader, lambda: writer.write(model="again"))
    assert reader.read() == first
    torn.at_each_fence(reader, lambda: None)
    assert reader.read().model == "again"


def test_signs_of_life(pair: Pair) -> None:
    writer, reader = StatusWriter(pair.of_engine), StatusReader(pair.of_obs)
    assert reader.pulse() == (0, 0, 0)
    writer.take_in_hand(7)
    publish_mask(MaskWriter(pair.of_engine), 7)
    pulse = reader.pulse()
    assert (pulse.frame_in_hand_id, pulse.masks_published) == (7, 1)
    writer.beat()
    assert reader.pulse().heartbeat_ns >= pulse.heartbeat_ns > 0
