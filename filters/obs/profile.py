# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of each video frame our own Python takes on OBS's graphics thread, for the benchmark.

Off unless the environment variable names a file to write. Then every libobs call and every callback is timed: what a
callback takes beyond the libobs calls in it is ours, and so is the timing itself: a fifth of a microsecond for each of
nearly a hundred calls while all is in the processor's caches, a multiple of that while it is not. The figure is too
high by that, never too low; so whatever is done for each call here is as little as can be.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "OBS_BACKGROUND_FILTER_PROFILE"
_now = time.perf_counter_ns


class Profile:
    """Per video frame: nanoseconds in our callbacks, and in the libobs calls made from them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all_libobs_ns = [0]
        self._callbacks_ns = self._libobs_ns = 0
        self._depth = 0
        self._frames_ns: list[tuple[int, int]] = []

    def timed_call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` of libobs, timed."""
        total, now = self._all_libobs_ns, _now

        def call(*arguments: Any) -> Any:
            start = now()
            result = function(*arguments)
            total[0] += now() - start
            return result

        return call

    def timed_callback(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A callback of ours, timed. One that runs inside a libobs call of another (two filters on one source) counts
        as libobs's time."""

        def callback(*arguments: Any) -> Any:
            start, libobs_before = _now(), self._all_libobs_ns[0]
            self._depth += 1
            try:
                return function(*arguments)
            finally:
                self._depth -= 1
                if not self._depth:
                    self._libobs_ns += self._all_libobs_ns[0] - libobs_before
                    self._callbacks_ns += _now() - start

        return callback

    def next_frame(self) -> None:
        """A video frame ends and another begins."""
        self._frames_ns.append((self._callbacks_ns, self._libobs_ns))
        self._callbacks_ns = self._libobs_ns = 0

    def save(self) -> None:
        """Write ``{"frames_ns": [[callbacks, of which libobs], …]}``."""
        self._path.write_text(json.dumps({"frames_ns": self._frames_ns}), encoding="utf-8")


def wanted_profile() -> Profile | None:
    """A profile if the user asked for one, else None."""
    path = os.environ.get(VARIABLE)
    return Profile(Path(path)) if path else None
