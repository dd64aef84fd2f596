# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark itself: measure, print, and write the figures into ``docs/benchmarks.md``."""

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from ...tests.obs.harness import HarnessError
from ..environment.build import engine_python
from .bench import PARTS
from .bench_engine import measure_engine
from .bench_obs import measure_obs
from .bench_report import Section, Table, as_markdown, as_text, write_figures
from .errors import CommandError
from .workshop import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def measure(parts: Sequence[str], write: bool) -> int:
    """Run the parts (all when none is named); 1 when a figure misses what it should be."""
    python = engine_python()
    if python is None:
        raise CommandError("The engine is not installed: run install-engine", 2)
    parts_by_name = {"engine": measure_engine, "obs": measure_obs}
    sections: list[Section] = []
    found = machine()
    try:
        for part in parts or PARTS:
            section, more = parts_by_name[part](python)
            sections.append(section)
            found |= more
    except (HarnessError, OSError) as error:
        raise CommandError(str(error)) from error
    note = "All figures are of one run. Trust the ratios: times differ from machine to machine."
    sections.insert(0, Section("Machine", note, (), [Table(("part", "what it is"), list(found.items()), False)]))
    print(as_text(sections))
    if write:
        write_figures(PAGE, as_markdown(sections))
        print(f"\nWritten: {PAGE}")
    return 0 if all(figure.is_met for section in sections for figure in section.figures) else 1


def machine() -> dict[str, str]:
    """What can be said about this computer before anything runs."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "load before the run": load,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the system tells it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
