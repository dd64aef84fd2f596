# SPDX-License-Identifier: GPL-2.0-or-later
"""Measuring several things in turns, so that whatever else the computer does hits them all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

LEAST_RUNS = 3  # in a row within a round, without the first

# What runs on one thread runs in the thread that calls it. Windows counts a thread's time in steps too coarse for this.
_COUNTS_THREADS = time.get_clock_info("thread_time").resolution < 1e-5
processor_ms: Callable[[], float] = (
    (lambda: time.thread_time() * 1e3) if _COUNTS_THREADS else (lambda: time.perf_counter() * 1e3)
)
"""The time of this thread on a processor: other work on the computer hardly counts."""


def wall_ms() -> float:
    """The time that passes: for what a device does while this thread waits."""
    return time.perf_counter() * 1e3


Row = tuple[float, ...]  # figures of one run


def in_turns(
    steps: Mapping[str, Callable[[], Row]],
    rounds: int,
    slice_s: float = 0.0,
    report: Callable[[float], None] = lambda part: None,
) -> dict[str, list[Row]]:
    """For each step and round the medians of its figures over some runs in a row.

    A step runs at least ``LEAST_RUNS`` times, and on until ``slice_s`` is over, once every round. Its first run pays
    for the caches that the others have filled, and is dropped. ``report`` hears the part done, 0 to 1.
    """
    found: dict[str, list[Row]] = {name: [] for name in steps}
    for turn in range(rounds):
        for place, (name, step) in enumerate(steps.items()):
            found[name].append(_one_round(step, slice_s))
            report((turn + (place + 1) / len(steps)) / rounds)
    return found


def _one_round(step: Callable[[], Row], slice_s: float) -> Row:
    end_s = time.perf_counter() + slice_s
    step()
    rows: list[Row] = []
    while len(rows) < LEAST_RUNS or time.perf_counter() < end_s:
        rows.append(step())
    return medians(rows)


def medians(rows: list[Row]) -> Row:
    """The median of each column."""
    return tuple(statistics.median(column) for column in zip(*rows))
