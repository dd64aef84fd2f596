# SPDX-License-Identifier: GPL-2.0-or-later
"""Who goes first: OBS and the game, then masks, then what only measures. A system that refuses is left as it is."""

from __future__ import annotations

import os
import sys
import threading

NICE_STEP = 5  # below OBS and the game, above "only when idle": a mask that starves is a hidden person
NICE_STEP_OF_THREAD = 10  # one that only measures
BELOW_NORMAL_PRIORITY_CLASS = 0x4000
THREAD_PRIORITY_LOWEST = -2


def lower_priority() -> None:
    """Step behind OBS in the queue for the processor; a system that refuses is left as it is."""
    try:
        if sys.platform == "win32":
            set_on_windows("GetCurrentProcess", "SetPriorityClass", BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(NICE_STEP)
            let_others_finish()
    except OSError:
        pass


def lower_thread_priority() -> None:
    """Let the calling thread step behind the one that makes masks, where a system has priorities of threads."""
    try:
        if sys.platform == "win32":
            set_on_windows("GetCurrentThread", "SetThreadPriority", THREAD_PRIORITY_LOWEST)
        elif sys.platform == "linux":
            thread = threading.get_native_id()  # to Linux a thread is a process here
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0) + NICE_STEP_OF_THREAD)
    except OSError:
        pass


def set_on_windows(current: str, setter: str, priority: int) -> None:
    """Call ``setter`` of kernel32 with what ``current`` gives, this process or thread, and a priority of 32 bits."""
    if sys.platform == "win32":
        import ctypes

        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        current_handle, set_priority = getattr(kernel32, current), getattr(kernel32, setter)
        current_handle.restype = ctypes.c_void_p
        set_priority.argtypes = [ctypes.c_void_p, ctypes.c_int]
        set_priority(current_handle(), priority)


def let_others_finish() -> None:
    """Linux: being woken must not push OBS's graphics thread, which does the waking, off its processor.

    That cost it the length of a mask, 3 ms, in one frame of six on two busy cores. A batch process waits for a free
    processor or its turn.
    """
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
