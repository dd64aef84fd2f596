# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes a well-behaved child process: low priority, few threads, clean stdout."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from ..bridge.problems import Problem
from .control import ControlLine
from .events import Events
from .priority import lower_priority

VERSION = "0.1.0"
GIL_SWITCH_S = 0.0005  # the thread that loads a model must not hold up the one that makes masks
EXIT_LIBRARIES = 3
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEPT_BYTES = -1, -3, 32 * 2**20  # of malloc.h; 32 MiB is the most the second takes


def run(log_level: str) -> int:
    """Set the process up, say hello, serve streams until stdin ends; returns the exit code."""
    lower_priority()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal of OBS: OBS ends first, then we do
    forbid_core_dumps()
    limit_threads()
    keep_freed_memory()
    sys.setswitchinterval(GIL_SWITCH_S)
    events = Events(claim_stdout(), log_level)
    control = ControlLine(sys.stdin.fileno())
    control.start()
    try:
        versions = load_libraries()
        from .loop import Engine
    except ImportError as error:
        events.problem(0, Problem("engine.start_failed", {"detail": str(error)}))
        return EXIT_LIBRARIES
    events.send("hello", pid=os.getpid(), version=VERSION, **versions)
    Engine(control, events).run()
    sys.stderr.flush()
    # A thread may still be inside a driver: interpreter teardown would wait for it or crash in it.
    os._exit(0)


def forbid_core_dumps() -> None:
    """A crash must not leave pictures of somebody's room on the disk."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_threads() -> None:
    """One thread per library. Must run before the libraries are imported: they read this once."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def keep_freed_memory() -> None:
    """Linux: what one mask frees the next one needs again. Given back to the system each time, it would come back page
    by page, zeroed: half of the time that the guided filter takes."""
    if sys.platform == "linux":
        import ctypes

        # A C library other than glibc has no such function, and no such habit.
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt:
            mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
            mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)


def claim_stdout() -> int:
    """Keep stdout for events alone: returns its descriptor, and sends what libraries print to stderr."""
    sys.stdout.flush()
    event_descriptor = os.dup(1)
    os.dup2(2, 1)
    return event_descriptor


def load_libraries() -> dict[str, Any]:
    """Import what the data path needs, silence it; returns the fields that ``hello`` reports."""
    import cv2
    import onnxruntime

    cv2.setNumThreads(1)
    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)  # fatal only: every failure is reported in our own words
    return {
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
    }
