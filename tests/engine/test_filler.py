# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames that the network misses get earlier masks, carried there; frames that it does not miss get their own."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from background_filter.filters.bridge import layout
from background_filter.filters.bridge.mask_slots import MaskReader
from background_filter.filters.bridge.status import State
from background_filter.models.catalog import default_model_id
from background_filter.tests.engine.moving import scene
from background_filter.tests.engine.running import OpenStream, Room

FRAME_STEP = 3  # every third frame is seen: the network misses two


def person_at(left_px: int) -> NDArray[np.uint8]:
    """Somebody bright before a dark room, both textured: 48x64x4 uint8."""
    random = np.random.default_rng(1)
    frame_rgba = random.integers(0, 40, (48, 64, 4), np.uint8)
    frame_rgba[12:, left_px : left_px + 20] = random.integers(215, 256, (36, 20, 4), np.uint8)
    return frame_rgba


def turn_behind(room: Room, frames: int = 6) -> int:
    """Let the network see only every third frame; gives the id of the last one."""
    for number in range(1, frames + 1):
        room.publish(1, person_at(10 + number), FRAME_STEP * number)
        room.control.post(lambda: None)
        room.engine.turn()
    return FRAME_STEP * frames


def test_a_missed_frame_gets_the_mask_carried_there(room: Room, bright: str) -> None:
    room.open(1, bright)
    last_id = turn_behind(room)
    masks = MaskReader(room.segments[1])
    masks.take_new()
    room.publish(1, person_at(19), last_id + 1)
    room.engine._filler.fill()
    [mask] = masks.take_new()
    assert mask.frame_id == last_id + 1 and mask.infer_ms == 0
    alpha = np.frombuffer(mask.pixels, np.uint8).reshape(mask.height, mask.row_bytes)
    own = person_at(19)[:, :, 1]
    assert np.abs((alpha > 127).astype(int) - (own > 127)).mean() < 0.02
    room.engine._filler.fill()  # the same frame once more
    room.control.post(lambda: None)
    room.engine.turn()  # now the network has looked at it, too
    assert masks.take_new() == []
    room.publish(1, person_at(20), last_id + 2)
    room.control.post(lambda: None)
    room.engine.turn()
    assert [mask.frame_id for mask in masks.take_new()] == [last_id + 2]


def test_a_network_that_misses_nothing_is_left_alone(room: Room, bright: str) -> None:
    room.open(1, bright)
    masks = MaskReader(room.segments[1])
    for number in range(1, 8):
        room.publish(1, person_at(10), number)
        room.control.post(lambda: None)
        room.engine.turn()
    masks.take_new()
    room.publish(1, person_at(11), 8)
    room.engine._filler.fill()
    assert masks.take_new() == []


def test_a_slot_of_nonsense_ends_its_stream_and_no_thread(room: Room, bright: str) -> None:
    room.open(1, bright)
    turn_behind(room)
    room.publish(1, person_at(20), 100)
    published = room.segments[1].words[layout.word(layout.OBS_COUNTERS_OFFSET, layout.FRAMES_PUBLISHED)]
    slot = layout.FRAMES_OFFSET + (published - 1) % layout.FRAME_SLOTS * layout.FRAME_SLOT_SIZE
    width = slot + layout.FRAME_WIDTH.offset
    room.segments[1].bytes[width : width + 4] = b"\xff" * 4
    room.engine._filler.fill()
    room.turn_until(lambda: 1 not in room.engine._streams)


def test_a_real_engine_that_gets_more_frames_than_it_can_hold_carries_masks_to_them(open_stream: OpenStream) -> None:
    stream = open_stream(default_model_id())
    stream.wait_for_state(State.READY)
    pictures = [scene(10.0 + step)[1] for step in range(0, 120, 4)]
    seen_ids, carried = [], 0
    for number in range(4000):
        stream.publish(pictures[number % len(pictures)])
        time.sleep(0.0005)  # less than the network takes
        masks = stream.take_masks()
        seen_ids += [mask.frame_id for mask in masks]
        carried += sum(mask.infer_ms == 0 for mask in masks)
        if carried > 20:
            break
    assert carried > 20
    assert seen_ids == sorted(set(seen_ids))
