# SPDX-License-Identifier: GPL-2.0-or-later
"""The control line: a thread reads stdin, the loop waits on a queue that other threads may fill, too.

A queue and not the pipe itself, because the loop must also be woken when a model has been loaded, and because
a loop that is stuck in a driver must still end when OBS is gone. The hop between threads costs about 0.03 ms.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..bridge import messages
from ..bridge.problems import BridgeError

READ_BYTES = 65536
GRACE_S = 2.0  # how long the loop may take to notice the end before the process is ended for it


@dataclass(frozen=True)
class Wake:
    """A frame may be waiting."""


@dataclass(frozen=True)
class Command:
    """A decoded control message (see ``bridge.messages``)."""

    message: dict[str, Any]


@dataclass(frozen=True)
class BadLine:
    """A line that is no control message."""

    error: BridgeError


@dataclass(frozen=True)
class News:
    """Work that another thread asks the loop to do in its own thread."""

    act: Callable[[], None]


@dataclass(frozen=True)
class End:
    """OBS is gone, or asked us to end by closing the line."""


Item = Wake | Command | BadLine | News | End
WAKE, END = Wake(), End()


class ControlLine:
    """Everything the loop waits for, in the order in which it came."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._pending = b""
        self._parent_id = os.getppid()
        self.on_wake: Callable[[], None] = lambda: None
        """Called, in the thread that reads, for a frame that may be waiting."""

    def start(self) -> None:
        """Begin to read in the background."""
        threading.Thread(target=self._read_until_end, name="control line", daemon=True).start()

    def post(self, act: Callable[[], None]) -> None:
        """From any thread: have the loop call ``act`` soon."""
        self._items.put(News(act))

    def wait(self, timeout_s: float) -> list[Item]:
        """Wait for news at most ``timeout_s``; returns all there is (perhaps none), one Wake at most."""
        items: list[Item] = []
        try:
            items.append(self._items.get(timeout=timeout_s))
            while True:
                item = self._items.get_nowait()
                if item is not WAKE or WAKE not in items:
                    items.append(item)
        except queue.Empty:
            return items if items or self._parent_lives() else [END]

    def _parent_lives(self) -> bool:
        # If OBS dies while another child of it holds the pipe open, no end of file comes, but we get a new
        # parent. Not PR_SET_PDEATHSIG: it fires when the *thread* that started us ends.
        return os.name == "nt" or os.getppid() == self._parent_id

    def _read_until_end(self) -> None:
        while True:
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except OSError:
                data = b""
            if not data:
                break
            for item in self.split(data):
                self._items.put(item)
                if item is WAKE:
                    self.on_wake()
        self._items.put(END)
        time.sleep(GRACE_S)
        os._exit(0)

    def split(self, data: bytes) -> list[Item]:
        """Cut received bytes into items; an unfinished line is kept for the next call, an endless one cut."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > messages.MAX_LINE:
            self._pending = self._pending[: messages.MAX_LINE + 1]  # too long still: refused at its end
        return [self._decode(line) for line in lines]

    @staticmethod
    def _decode(line: bytes) -> Item:
        try:
            message = messages.decode(line)
        except BridgeError as error:
            return BadLine(error)
        return Command(message) if message else WAKE
