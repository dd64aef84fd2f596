# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes a scratch OBS needs; whatever happens, none of them outlives the test."""

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
_PR_SET_PDEATHSIG = 1


class HarnessError(Exception):
    """OBS or Xvfb did not do what was asked in time; the message ends with the end of OBS's log."""


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(
    what: str,
    probe: Callable[[], Value | None],
    timeout_s: float,
    explain: Callable[[], str],
    pause_s: float = 0.05,
) -> Value:
    """Call ``probe`` until it gives something true; HarnessError with ``explain()`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise HarnessError(f"waited {timeout_s:g} s for {what}\n{explain()}")
        time.sleep(pause_s)


def _end_with_parent() -> None:
    # A test runner that is killed can't clean up; the kernel then ends what it started.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A process in a session of its own, killed with all it started when it is stopped or Python ends."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], output: Path, keep: Sequence[int] = ()):
        with output.open("ab") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=output.parent,  # not ours: Python in OBS finds modules in the current folder first
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keep,
                preexec_fn=_end_with_parent,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """Its process id, which is also its session's."""
        return self.process.pid

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """Kill it and whatever else is left of its process group; harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        atexit.unregister(self.kill)


def descendants(pid: int) -> dict[int, list[str]]:
    """Process id and command line of all living children and grandchildren of ``pid`` (Linux)."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in brackets may hold spaces and brackets itself.
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(status.parent.name)] = int(parent)
    found: dict[int, list[str]] = {}
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        for child, parent_pid in parents.items():
            if parent_pid == current:
                waiting.append(child)
                with contextlib.suppress(OSError):
                    found[child] = Path(f"/proc/{child}/cmdline").read_text().rstrip("\0").split("\0")
    return found


def kill_survivors(processes: Mapping[int, Sequence[str]]) -> None:
    """Kill those of the processes (id, command line) that are still there under the same command line."""
    for pid, command in processes.items():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0") == list(command):
                os.kill(pid, signal.SIGKILL)
