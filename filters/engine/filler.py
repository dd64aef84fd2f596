# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks for the frames that the loop has no time for: a thread that carries earlier masks while the network runs.

ONNX Runtime and OpenCV let Python's lock go, so both run at once. A network that holds the frame rate never needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from .stream import Stream


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
