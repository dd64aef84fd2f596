# SPDX-License-Identifier: GPL-2.0-or-later
"""One filter's end of the bridge to one engine process. A new engine process always means a new link.

The host (its own thread) makes links; from then on a link belongs to its filter, which alone uses and closes it, so
that no memory is unmapped under the graphics thread.
"""

import time
from typing import Protocol

from ..bridge.frame_slots import FrameWriter
from ..bridge.mask_slots import Mask, MaskReader
from ..bridge.segment import Segment
from ..bridge.status import Status, StatusReader


class Waker(Protocol):
    """What can wake the engine without waiting for it."""

    def wake(self) -> None: ...


class Link:
    """Frames out, masks and status in; nothing here waits. Times are ``time.monotonic_ns``."""

    def __init__(self, segment: Segment, waker: Waker) -> None:
        self.segment = segment
        self._waker = waker
        self.frames = FrameWriter(segment)
        self._masks = MaskReader(segment)
        self._status = StatusReader(segment)  # for the graphics thread
        self._host_status = StatusReader(segment)  # for the host's thread
        self._woken_ns = time.monotonic_ns()  # the oldest wake-up after which the engine's loop has not turned yet

    def wake(self) -> None:
        """Tell the engine that there is a new frame."""
        if not self._woken_ns:
            self._woken_ns = time.monotonic_ns()
        self._waker.wake()

    def silent_for_s(self) -> float:
        """How long the engine has owed a sign of life: 0 if its loop has turned since it was last woken."""
        woken_ns = self._woken_ns
        if woken_ns and self._host_status.pulse().heartbeat_ns >= woken_ns:
            self._woken_ns = woken_ns = 0
        return (time.monotonic_ns() - woken_ns) / 1e9 if woken_ns else 0.0

    def take_masks(self) -> list[Mask]:
        """The masks that came since the last call, oldest first."""
        return self._masks.take_new()

    def frame_in_hand_id(self) -> int:
        """The frame that the engine is working on, 0 if none."""
        return self._status.pulse().frame_in_hand_id

    def status(self) -> Status:
        """What the engine last said of this stream; for the graphics thread."""
        return self._status.read()

    def host_status(self) -> Status:
        """The same for the host's thread."""
        return self._host_status.read()

    def close(self) -> None:
        """Unmap the memory and remove its name if it still has one."""
        self.segment.close()
