# SPDX-License-Identifier: GPL-2.0-or-later
"""Both sides in processes of their own, as fast as they can: every picture that arrives is whole."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from background_filter.filters.bridge.frame_slots import FrameWriter
from background_filter.filters.bridge.mask_slots import MaskReader
from background_filter.filters.bridge.messages import WAKE
from background_filter.filters.bridge.segment import Segment
from background_filter.tests.bridge.pictures import is_whole_mask, publish_frame

ECHO = Path(__file__).with_name("echo_engine.py")
FRAMES = 6000


def test_thousands_of_frames_through_a_real_segment_and_a_pipe() -> None:
    with contextlib.closing(Segment.create()) as segment:
        command = [sys.executable, str(ECHO), segment.name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
            assert engine.stdin is not None and engine.stdout is not None
            assert engine.stdout.readline() == "opened\n"
            segment.unlink()
            mask_ids = send_frames_and_take_masks(segment, engine.stdin.fileno())
            engine.stdin.close()
            frames_taken, torn = map(int, engine.stdout.readline().split())
            assert engine.wait() == 0
            mask_ids += [mask.frame_id for mask in check_masks(MaskReader(segment)) if mask.frame_id > mask_ids[-1]]
    assert torn == 0
    assert mask_ids == sorted(set(mask_ids))
    assert mask_ids[-1] == FRAMES  # the newest wins, also the last one
    assert frames_taken >= len(mask_ids) - 1 >= 1


def send_frames_and_take_masks(segment: Segment, wake_up: int) -> list[int]:
    """Publish as the graphics thread does; sometimes let the engine run, as there are only so many cores."""
    writer, reader = FrameWriter(segment), MaskReader(segment)
    mask_ids = [0]
    os.set_blocking(wake_up, False)
    for frame_id in range(1, FRAMES + 1):
        publish_frame(writer, frame_id)
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes just as well
            os.write(wake_up, WAKE)
        mask_ids += [mask.frame_id for mask in check_masks(reader)]
        if frame_id % 8 == 0:
            time.sleep(0)
    return mask_ids


def check_masks(reader: MaskReader) -> list:
    masks = reader.take_new()
    assert all(map(is_whole_mask, masks))
    return masks
