# SPDX-License-Identifier: GPL-2.0-or-later
"""Work for OBS's main thread, on which its windows live and settings are read and written.

Whoever wants something says so from any thread, without calling libobs; the next tick hands it over. A filter may be
gone by then: so only its handle is kept, and a reference to its source is taken on the main thread.
"""

from collections import deque
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_void_p
from typing import Any

from .libobs import OBS_TASK_UI, LibObs

Task = CFUNCTYPE(None, c_void_p)
Work = Callable[[int], None]


class MainThread:
    """Of all filters, by their handles. ``guarded`` makes a function a callback that does not raise."""

    def __init__(self, obs: LibObs, guarded: Callable[[Callable[..., Any], Any], Callable[..., Any]]) -> None:
        self._obs = obs
        self._weak: dict[int, int] = {}
        self._gone: set[int] = set()
        self._to_do: deque[tuple[int, Work]] = deque()
        self._is_handed_over = False
        self._task = Task(guarded(self._work_off, None))

    def add(self, handle: int, source: int) -> None:
        """A filter is made; ``source`` is its own."""
        self._weak[handle] = self._obs.obs_source_get_weak_source(source)

    def remove(self, handle: int) -> None:
        """A filter goes."""
        self._gone.add(handle)
        self._release(handle)

    def want(self, handle: int, work: Work) -> None:
        """Have ``work`` done with the filter's source, if that still exists then."""
        self._to_do.append((handle, work))

    def tick(self) -> None:
        """On the tick."""
        if self._to_do and not self._is_handed_over:
            self._is_handed_over = True
            self._obs.obs_queue_task(OBS_TASK_UI, self._task, None, False)

    def _work_off(self, _: int | None) -> None:
        self._is_handed_over = False
        for _number in range(len(self._to_do)):  # not what the work itself wants: that waits for the next tick
            handle, work = self._to_do.popleft()
            source = self._reference(handle)
            if source:
                try:
                    work(source)
                finally:
                    self._obs.obs_source_release(source)

    def _reference(self, handle: int) -> int:
        """A reference to the filter's source, or 0. While the weak one is out of the table nobody else releases it."""
        weak = self._weak.pop(handle, 0)
        if not weak:
            return 0
        source = int(self._obs.obs_weak_source_get_source(weak) or 0)
        self._weak[handle] = weak
        if handle in self._gone:
            self._release(handle)
        return source

    def _release(self, handle: int) -> None:
        weak = self._weak.pop(handle, 0)
        if weak:
            self._obs.obs_weak_source_release(weak)
            self._gone.discard(handle)
