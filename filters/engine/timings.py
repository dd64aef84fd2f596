# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving medians of what the stages cost, and the rate of masks."""

from __future__ import annotations

import statistics
from collections import deque

SAMPLES = 31
RATE_WINDOW_S = 2.0


class Timings:
    """The recent past of one stream."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, ...]] = deque(maxlen=SAMPLES)
        self._times_s: deque[float] = deque()

    def add(self, now_s: float, prepare_ms: float, infer_ms: float, refine_ms: float, round_trip_ms: float) -> None:
        """Note one mask, published at ``now_s`` (monotonic)."""
        self._rows.append((prepare_ms, infer_ms, refine_ms, round_trip_ms))
        self._times_s.append(now_s)

    def repeat(self, now_s: float) -> None:
        """Note a mask that was published but not inferred: it counts, what it cost says nothing."""
        self._times_s.append(now_s)

    def fields(self, now_s: float) -> dict[str, float]:
        """The status fields: masks_per_s, prepare_ms, infer_ms, refine_ms, round_trip_ms."""
        while self._times_s and self._times_s[0] < now_s - RATE_WINDOW_S:
            self._times_s.popleft()
        fields = {"masks_per_s": self._rate(now_s)}
        names = ("prepare_ms", "infer_ms", "refine_ms", "round_trip_ms")
        columns = zip(*self._rows) if self._rows else ((0.0,),) * len(names)
        fields.update(zip(names, map(statistics.median, columns)))
        return fields

    def _rate(self, now_s: float) -> float:
        """Intervals over the time they took; falls as soon as masks stop coming."""
        if len(self._times_s) < 2:
            return 0.0
        return (len(self._times_s) - 1) / max(now_s - self._times_s[0], 1e-3)
