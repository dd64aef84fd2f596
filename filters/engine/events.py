# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine tells OBS on stdout, as JSON lines (``bridge.messages``)."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ..bridge import messages
from ..bridge.problems import Problem


class Events:
    """Writes events; never waits for a reader, because a stuck OBS must not make a stuck engine."""

    def __init__(self, descriptor: int, log_level: str) -> None:
        self._descriptor = descriptor
        self._levels = messages.LOG_LEVELS[: messages.LOG_LEVELS.index(log_level) + 1]
        # Windows before Python 3.12 can't; the few events fit into the pipe's buffer
        with contextlib.suppress(OSError, AttributeError):
            os.set_blocking(descriptor, False)

    def send(self, event: str, **fields: Any) -> None:
        """Write one event. One that finds the pipe full is lost: all lasting facts are in the status."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, messages.encode({"event": event, **fields}))

    def problem(self, stream_id: int, problem: Problem) -> None:
        """Report a problem of one stream, or of the engine as a whole (stream 0)."""
        self.send("problem", stream=stream_id, problem=problem)

    def log(self, level: str, text: str) -> None:
        """Report a line for the log of OBS; ``level`` is one of ``messages.LOG_LEVELS``."""
        if level in self._levels:
            self.send("log", level=level, text=text)
