# SPDX-License-Identifier: GPL-2.0-or-later
"""A progress line from the standard library: one that moves on a terminal, a few plain lines elsewhere."""

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

BAR_WIDTH = 24
# Where lines can't be overwritten, one is written for each new step, and for each such part.
PLAIN_STEP = 0.25
PLAIN_LINE_S = 10.0  # between two lines of figures


class Progress:
    """Context manager; call it with the part done (0..1) and a few words, as ``build_environment`` does."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = stream or sys.stderr
        self._moves = self._stream.isatty()
        self._last_step, self._next_part = "", 0.0

    def __call__(self, part: float, step: str, detail: str = "") -> None:
        """Show how far it is; ``detail`` changes all the time and stands only where the line moves, or with others."""
        percent, shown = f"{min(max(part, 0.0), 1.0):4.0%}", f"{step} {detail}".strip()
        if self._moves:
            filled = round(BAR_WIDTH * part)
            line = f"{self._title} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {percent} {shown}"
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + line[:width].ljust(width))
        elif step != self._last_step or part >= self._next_part:
            self._stream.write(f"{self._title} {percent} {shown}\n")
            self._next_part = min(part + PLAIN_STEP, 1.0) if part < 1.0 else 2.0
        self._last_step = step
        self._stream.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._moves and self._last_step:
            self._stream.write("\n")
            self._stream.flush()


class StatusLine:
    """One line that changes, and others above it that stay; on a terminal. Elsewhere a line now and then."""

    def __init__(self, debug: int) -> None:
        self._debug = debug
        self._moves = sys.stderr.isatty() and not debug
        self._due_s = 0.0
        self._last = ""

    def tell(self, words: str, from_debug: int = 0) -> None:
        """Something has happened; told only if ``-d`` was given so often."""
        if self._debug >= from_debug:
            self._write(f"{words}\n")

    def show(self, words: str) -> None:
        """How it goes now."""
        now_s = time.monotonic()
        if self._moves and words != self._last:
            width = shutil.get_terminal_size().columns - 1
            self._write(words[:width])
        elif not self._moves and now_s >= self._due_s:
            self._due_s = now_s + (1.0 if self._debug else PLAIN_LINE_S)
            self._write(f"{words}\n")
        self._last = words

    def end(self) -> None:
        """Go on below."""
        if self._moves:
            self._write("\n")

    def _write(self, words: str) -> None:
        before = "\r\x1b[K" if self._moves else ""
        sys.stderr.write(before + words)
        sys.stderr.flush()
