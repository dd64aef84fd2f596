# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks for the frames that the loop has no time for: a thread that carries earlier masks while the network runs.

ONNX Runtime and OpenCV let Python's lock go, so both run at once. A network that holds the frame rate never needs it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from .stream import Stream

# From this share of its time on that the loop is busy, frames are missed; and how long it looks back.
BEHIND, LOOKS_BACK_S = 0.85, 0.5


class Load:
    """How much of its time the loop is busy. For the loop's thread."""

    def __init__(self) -> None:
        self._share = 0.0
        self._begin_s = self._end_s = time.monotonic()

    def begin(self) -> bool:
        """The loop begins to work; returns whether it is behind."""
        self._begin_s = time.monotonic()
        return self._share > BEHIND

    def end(self) -> None:
        """The loop has nothing more to do for now."""
        now_s = time.monotonic()
        whole_s = max(now_s - self._end_s, 1e-6)
        weight = min(whole_s / LOOKS_BACK_S, 1.0)
        self._share += weight * ((now_s - self._begin_s) / whole_s - self._share)
        self._end_s = now_s


class Filler:
    """The thread. ``streams`` gives those there are, ``on_error`` hears, in this thread, of one that failed."""

    def __init__(self, streams: Callable[[], Iterable[Stream]], on_error: Callable[[Stream, Exception], None]) -> None:
        self._streams, self._on_error = streams, on_error
        self._frame_came = threading.Event()
        self._is_wanted = False

    def start(self) -> None:
        """Begin to wait for frames."""
        threading.Thread(target=self._run, name="filler", daemon=True).start()

    def want(self, is_wanted: bool) -> None:
        """The loop begins to work and is behind, or has done its work."""
        self._is_wanted = is_wanted
        if is_wanted:
            self.frame_came()

    def frame_came(self) -> None:
        """There may be a new frame. From any thread."""
        if self._is_wanted:
            self._frame_came.set()

    def _run(self) -> None:
        while True:
            self._frame_came.wait()
            self._frame_came.clear()
            self.fill()

    def fill(self) -> None:
        """One mask for each stream that lacks one."""
        for stream in self._streams():
            try:
                stream.fill()
            except Exception as error:
                self._on_error(stream, error)
