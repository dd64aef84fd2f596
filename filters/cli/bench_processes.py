# SPDX-License-Identifier: GPL-2.0-or-later
"""What Linux knows about a running process: processor time and memory, from /proc."""

import contextlib
import os
from pathlib import Path


def cpu_ns(pid: int, proc: Path = Path("/proc")) -> int:
    """Nanoseconds on a processor of all living threads of a process; in steps of a clock tick where the kernel keeps
    no finer count. OSError when the process is gone."""
    times_ns = []
    for task in (proc / str(pid) / "task").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            times_ns.append(int((task / "schedstat").read_text().split()[0]))
    if any(times_ns):
        return sum(times_ns)
    # The command's name, in brackets, may hold spaces.
    fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int, proc: Path = Path("/proc"), name: str = "VmRSS") -> float:
    """Megabytes of a process that are in memory now (VmRSS, libraries and shared memory included).

    With VmHWM the most that ever were.
    """
    for line in (proc / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"process {pid} has no memory of its own")
