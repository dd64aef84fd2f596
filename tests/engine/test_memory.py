# SPDX-License-Identifier: GPL-2.0-or-later
"""Recurrent networks: what is remembered belongs to one stream, is the network's own, and is forgotten in time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from background_filter.filters.bridge.frame_slots import FrameWriter
from background_filter.filters.bridge.mask_slots import Mask, MaskReader
from background_filter.filters.engine.memory import MAX_GAP_S, Memory
from background_filter.filters.engine.network import InferenceError, load_network
from background_filter.filters.engine.output import AlphaDecoder
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.engine.ports import ports_of_entry
from background_filter.filters.engine.providers import open_session
from background_filter.filters.engine.refine import Refinement
from background_filter.models.catalog import (
    ConstantSpec,
    InputSpec,
    ModelEntry,
    OutputSpec,
    StateSpec,
    load_catalog,
)
from background_filter.tests.engine import shaped_nets
from background_filter.tests.engine.running import Room, Trust
from background_filter.tests.engine.test_catalogue_networks import entry_of, masks_of, overlap, read_pair
from background_filter.tests.engine.test_network import verified
from background_filter.tests.models.reference import open_plainly

Frame = NDArray[np.uint8]
FRAME_NS = 33_000_000
WIDTH, HEIGHT = 64, 48
SPEC = InputSpec("src", WIDTH, HEIGHT, "NCHW", "RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 16)
ENTRY = ModelEntry(
    "rvm",
    "RVM",
    "rvm.onnx",
    "GPL-3.0",
    "made here",
    "for tests",
    SPEC,
    OutputSpec("pha", "probability", "NCHW", 0),
    recurrence=tuple(StateSpec(f"r{i}i", f"r{i}o", (1, 1, 1, 1)) for i in range(1, 5)),
    constants=(ConstantSpec("downsample_ratio", (1,), 1.0),),
)


def frames(count: int, seed: int = 1) -> list[Frame]:
    """A still scene with a little noise: no cut in it."""
    random = np.random.default_rng(seed)
    scene = random.integers(40, 200, (HEIGHT, WIDTH, 4))
    return [np.clip(scene + random.integers(-8, 9, scene.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def expected(sequence: list[Frame]) -> list[NDArray[np.float64]]:
    """What ``shaped_nets.rvm`` says of each frame, by hand."""
    state, masks = 0.0, []
    for frame in sequence:
        grey = frame[..., :3].astype(np.float64).mean(axis=-1)
        masks.append(0.5 * grey + 0.5 * state)
        state = 0.5 * state + 0.5 * grey
    return masks


def recurrent(model: onnx.ModelProto) -> Segmenter:
    """A segmenter for a network of RVM's shape, through an entry."""
    made = verified(model)
    return Segmenter(load_network(type(made)(made.data, made.sha256, "user", "rvm.onnx", ENTRY), "cpu").network)


def run(segmenter: Segmenter, frame: Frame, time_ns: int) -> NDArray[np.float64]:
    """One mask."""
    return segmenter.segment(frame, time_ns, Refinement()).mask.astype(np.float64)


def same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Equal but for rounding."""
    return bool(np.abs(one - other).max() <= 1.0)


def test_each_frame_gets_what_the_frames_before_left() -> None:
    segmenter, sequence = recurrent(shaped_nets.rvm()), frames(5)
    for i, (frame, wanted) in enumerate(zip(sequence, expected(sequence))):
        assert same(run(segmenter, frame, i * FRAME_NS), wanted)


def test_own_file_of_that_shape_is_understood_without_an_entry() -> None:
    segmenter = Segmenter(load_network(verified(shaped_nets.rvm()), "cpu").network)
    network = segmenter.network
    assert [(state.input, state.output) for state in network.ports.states] == [
        (f"r{i}i", f"r{i}o") for i in (1, 2, 3, 4)
    ]
    assert (network.width, network.height, network.ports.output_name) == (256, 144, "pha")
    scene = np.random.default_rng(2).integers(40, 200, (144, 256, 4), dtype=np.uint8)
    masks = expected([scene, scene])
    assert same(run(segmenter, scene, 0), masks[0])
    assert same(run(segmenter, scene, FRAME_NS), masks[1])


def test_two_streams_of_one_network_keep_their_memories_apart() -> None:
    network = recurrent(shaped_nets.rvm()).network
    streams = Segmenter(network), Segmenter(network)
    scenes = frames(4, seed=1), frames(4, seed=2)
    wanted = expected(scenes[0]), expected(scenes[1])
    for i in range(4):
        for stream, scene, masks in zip(streams, scenes, wanted):
            assert same(run(stream, scene[i], i * FRAME_NS), masks[i])


@pytest.mark.parametrize("step_ns", [int(MAX_GAP_S * 1e9) + 1, -FRAME_NS], ids=["a gap", "time goes back"])
def test_a_gap_in_time_begins_anew(step_ns: int) -> None:
    segmenter, sequence = recurrent(shaped_nets.rvm()), frames(3)
    for i in range(2):
        run(segmenter, sequence[i], i * FRAME_NS)
    assert same(run(segmenter, sequence[2], FRAME_NS + step_ns), expected(sequence[2:])[0])


def test_another_source_begins_anew() -> None:
    segmenter, sequence = recurrent(shaped_nets.rvm()), frames(3)
    for i in range(2):
        run(segmenter, sequence[i], i * FRAME_NS)
    other = 255 - sequence[2]
    assert same(run(segmenter, other, 2 * FRAME_NS), expected([other])[0])


def test_what_is_not_finite_is_forgotten_and_the_mask_comes_all_the_same() -> None:
    segmenter = recurrent(shaped_nets.rvm(spoilt_when_dark=True))
    dark, grey = np.zeros((HEIGHT, WIDTH, 4), np.uint8), np.full((HEIGHT, WIDTH, 4), 30, np.uint8)
    assert run(segmenter, dark, 0).max() <= 1  # leaves a state that is not a number
    assert same(run(segmenter, grey, FRAME_NS), expected([grey])[0])


def memory_of(model: onnx.ModelProto) -> Memory:
    """The memory of one stream."""
    session = open_session(model.SerializeToString(), "cpu")
    ports = ports_of_entry("rvm.onnx", session, ENTRY)
    return Memory(ports, session, AlphaDecoder(ports.output, WIDTH, HEIGHT))


def tensor_of(frame: Frame) -> NDArray[np.float32]:
    return (frame[..., :3].transpose(2, 0, 1)[None] / 255).astype(np.float32)


def test_a_poisoned_memory_is_dropped_and_the_frame_tried_again() -> None:
    memory, frame = memory_of(shaped_nets.rvm()), frames(1)[0]
    fresh = memory.infer(tensor_of(frame), frame, 0).astype(np.float64)
    memory._feed["r1i"] = np.full((1, 1, HEIGHT, WIDTH), np.nan, np.float32)
    assert same(memory.infer(tensor_of(frame), frame, FRAME_NS).astype(np.float64), fresh)


def test_what_is_not_finite_without_any_memory_is_an_error() -> None:
    made = shaped_nets.rvm()
    made.graph.node[-1].CopyFrom(shaped_nets.node("Div", "scaled zero", "pha"))
    with pytest.raises(Exception, match="not finite"):
        recurrent(made)


def test_a_memory_that_grows_is_cut() -> None:
    memory = memory_of(shaped_nets.rvm(growing=True))
    for i, frame in enumerate(frames(6)):
        memory.infer(tensor_of(frame), frame, i * FRAME_NS)
        assert memory._feed["r4i"].shape[3] <= 2


def test_a_wrong_frame_is_an_error_of_inference() -> None:
    segmenter = recurrent(shaped_nets.rvm())
    with pytest.raises(InferenceError):
        segmenter._infer(np.zeros((1, 4, 8, 8), np.float32), frames(1)[0], 0)


MASK_LAYOUTS = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
MASK_NUMBERS = pytest.mark.parametrize("number", [shaped_nets.FLOAT, shaped_nets.FLOAT16, shaped_nets.UINT8])


@MASK_LAYOUTS
@MASK_NUMBERS
def test_a_network_gets_the_mask_of_the_frame_before(layout: str, number: int) -> None:
    network = load_network(verified(shaped_nets.with_its_mask(layout, number)), "cpu").network
    streams = Segmenter(network), Segmenter(network)
    scenes = frames(4, seed=1), frames(4, seed=2)
    wanted = expected(scenes[0]), expected(scenes[1])
    for i in range(4):
        for stream, scene, masks in zip(streams, scenes, wanted):
            assert np.abs(run(stream, scene[i], i * FRAME_NS) - masks[i]).max() <= 1.5  # each was rounded to a byte
    late = 4 * FRAME_NS + int(MAX_GAP_S * 1e9)
    assert same(run(streams[0], scenes[0][0], late), wanted[0][0])  # the mask is too old


def test_an_entry_may_say_that_a_network_takes_the_mask() -> None:
    made = verified(shaped_nets.with_its_mask())
    takes = InputSpec("picture", WIDTH, HEIGHT, "NCHW", "BGRM", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    entry = ModelEntry(
        "m", "M", "m.onnx", "MIT", "made here", "for tests", takes, OutputSpec("mask", "probability", "NCHW", 0)
    )
    network = load_network(type(made)(made.data, made.sha256, "user", "m.onnx", entry), "cpu").network
    assert network.ports.remembers
    segmenter, sequence = Segmenter(network), frames(2)
    for i, mask in enumerate(expected(sequence)):
        assert np.abs(run(segmenter, sequence[i], i * FRAME_NS) - mask).max() <= 1.5


def test_real_rvm_remembers_as_its_own_script_does(shared_folder: Path) -> None:
    """Four frames of a moving person; then two streams in turn, each as if alone."""
    path = shared_folder / "models" / "rvm" / "rvm_mobilenetv3.onnx"
    people = [people_frames(shared_folder, number) for number in (0, 1)]
    session = open_plainly(path)
    masks = []
    for sequence in people:
        state = {f"r{i}i:0": np.zeros((1, 1, 1, 1), np.float32) for i in range(1, 5)}
        own = []
        for frame in sequence:
            tensor = (frame[None, ..., :3] / 255).astype(np.float32)
            pha, *new = session.run(["pha", "r1o", "r2o", "r3o", "r4o"], {"src": tensor, **state})
            state = dict(zip(state, new))
            own.append(pha[0, ..., 0] * 255)
        masks.append(own)
    made = verified(onnx.load(path))
    model = type(made)(path.read_bytes(), made.sha256, "user", path.name, entry_of(path.name))
    network = load_network(model, "cpu").network
    streams = Segmenter(network), Segmenter(network)
    for i in range(len(people[0])):
        for stream, sequence, own in zip(streams, people, masks):
            alpha = run(stream, sequence[i], i * FRAME_NS)
            assert overlap(alpha > 127, own[i] > 127) > 0.98
            assert np.abs(alpha - own[i]).mean() < 1.0
    alone = run(Segmenter(network), people[0][-1], 0)
    assert np.abs(alone - masks[0][-1]).max() > 2.0  # the memory does matter


def people_frames(shared_folder: Path, number: int) -> list[Frame]:
    """Four frames of one street picture that is pushed aside a little each time, 144x256."""
    folder = shared_folder / "data" / "dev" / "street"
    picture_rgb = read_pair(folder, masks_of(folder, 8)[number]).picture_rgb
    small_rgb = cv2.resize(picture_rgb, (256, 144), interpolation=cv2.INTER_AREA)
    frame_rgba = np.dstack([small_rgb, np.full((144, 256), 255, np.uint8)])
    return [np.ascontiguousarray(np.roll(frame_rgba, 3 * i, axis=1)) for i in range(4)]


def test_the_catalogue_knows_what_rvm_remembers() -> None:
    remembering = [entry for entry in load_catalog().values() if entry.recurrence]
    assert {tuple(state.output for state in entry.recurrence) for entry in remembering} == {
        ("r1o", "r2o", "r3o", "r4o")
    }


def test_two_filters_share_the_network_but_not_its_memory(room: Room, trusted: Trust) -> None:
    """In the engine's loop, through the bridge."""
    model = trusted("recurrent.onnx", shaped_nets.rvm())
    for stream in (1, 2):
        room.open(stream, model, "cpu")
    networks = [room.engine._streams[stream].network for stream in (1, 2)]
    assert networks[0] is networks[1] is not None
    random = np.random.default_rng(4)
    scenes = [random.integers(40, 200, (144, 256, 4), dtype=np.uint8) for _ in range(2)]
    writers = [FrameWriter(room.segments[stream]) for stream in (1, 2)]
    readers = [MaskReader(room.segments[stream]) for stream in (1, 2)]
    wanted = [expected([scene] * 3) for scene in scenes]
    for i in range(3):
        for scene, writer in zip(scenes, writers):
            writer.publish(scene.ctypes.data, 256 * 4, 256, 144, i + 1, (i + 1) * FRAME_NS)
        masks: list[list[Mask]] = [[], []]

        def both(taken: list[list[Mask]] = masks) -> bool:
            for found, reader in zip(taken, readers):
                found += reader.take_new()
            return all(taken)

        room.turn_until(both)
        for found, own in zip(masks, wanted):
            rows = np.frombuffer(found[-1].pixels, np.uint8).reshape(144, found[-1].row_bytes)
            assert same(rows[:, :256].astype(np.float64), own[i])
