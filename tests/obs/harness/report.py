# SPDX-License-Identifier: GPL-2.0-or-later
"""What OBS says about itself when it ends: memory leaks and its own profiler."""

import re
from dataclasses import dataclass

_LEAKS = re.compile(r"Number of memory leaks: (-?\d+)")
_PROFILED = re.compile(
    r"^[^\w]*(?P<name>.+?)(?:\([\d.]+ ms\))?: min=(?P<min>[\d.]+) ms, median=(?P<median>[\d.]+) ms, "
    r"max=(?P<max>[\d.]+) ms(?:, 99th percentile=(?P<p99>[\d.]+) ms)?"
)
_TIME_STAMP = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}: |^(?:info|debug|warning|error): ")


@dataclass(frozen=True)
class Timing:
    """One row of OBS's profiler, in milliseconds per call."""

    min_ms: float
    median_ms: float
    max_ms: float
    p99_ms: float


@dataclass(frozen=True)
class ObsExit:
    """How OBS ended: exit code (negative: killed by that signal), leaks (None: it never came to say), profiler, log."""

    code: int
    leaks: int | None
    profiler: dict[str, Timing]
    log: str


def parse_leaks(log: str) -> int | None:
    """The number of leaked allocations that OBS counted, or None."""
    found = _LEAKS.findall(log)
    return int(found[-1]) if found else None


def parse_profiler(log: str) -> dict[str, Timing]:
    """Rows of the profiler by name; where a name stands twice, the first, which is the one highest in the tree."""
    results: dict[str, Timing] = {}
    inside = False
    # OBS writes a no-break space before "ms".
    for raw_line in log.replace("\xa0", " ").splitlines():
        line = _TIME_STAMP.sub("", raw_line)
        if line.startswith("== Profiler"):
            inside = line.startswith("== Profiler Results")
        found = _PROFILED.match(line) if inside else None
        if found:
            worst = found["p99"] or found["max"]
            numbers = (float(found["min"]), float(found["median"]), float(found["max"]), float(worst))
            results.setdefault(found["name"].strip(), Timing(*numbers))
    return results
