# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine for tests, run as a program: answers every frame it takes with a mask that follows from the frame's id.

Prints "opened", and at the end of its input how many frames it took and how many of those were torn.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import obs_background_filter  # noqa: F401  (makes the package importable)
from background_filter.filters.bridge.frame_slots import FrameReader
from background_filter.filters.bridge.mask_slots import MaskWriter
from background_filter.filters.bridge.segment import Segment
from background_filter.tests.bridge.pictures import is_whole_frame, publish_mask


def main(name: str) -> None:
    """Work until the end of standard input."""
    segment = Segment.open(name)
    frames, masks = FrameReader(segment), MaskWriter(segment)
    print("opened", flush=True)
    last_id = taken = torn = 0
    more = True
    while more:
        more = bool(os.read(0, 65536))
        frame = frames.take_newest(last_id)
        if frame is None:
            continue
        last_id = frame.frame_id
        taken += 1
        torn += not is_whole_frame(frame)
        publish_mask(masks, last_id)
    print(taken, torn, flush=True)
    segment.close()


if __name__ == "__main__":
    main(sys.argv[1])
