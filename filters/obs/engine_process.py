# SPDX-License-Identifier: GPL-2.0-or-later
"""One engine process: started with its own interpreter, told what to do on stdin, listened to on stdout."""

import contextlib
import io
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from ..bridge.messages import MAX_LINE, WAKE, encode

TOP_SCRIPT = Path(__file__).resolve().parent.parent.parent / "obs_background_filter.py"
# Variables that belong to OBS's Python or to OBS's bundled libraries and would mislead another interpreter.
FOREIGN_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "LD_PRELOAD")


class EngineProcess:
    """A running engine. ``events`` gets each line of its stdout as a dict, each line of its stderr as a log event, and
    ``{"event": "ended"}`` last.

    The pipe to its stdin never blocks: what does not fit is not sent. It is closed by ``close`` or when the last link
    that holds this object is gone, never while a filter may still write to it.
    """

    def __init__(self, python: Path, on_event: threading.Event) -> None:
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._on_event = on_event
        environment = {key: value for key, value in os.environ.items() if key not in FOREIGN_VARIABLES}
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        else:
            options["start_new_session"] = True
        self._process = subprocess.Popen(
            [str(python), "-I", str(TOP_SCRIPT), "engine", "--log-level", "debug"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            **options,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin = self._process.stdin
        make_non_blocking(self._stdin.fileno())
        for stream, name in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr")):
            arguments = (io.BufferedReader(stream), name == "stdout")  # type: ignore[type-var]
            threading.Thread(target=self._listen, args=arguments, name=f"engine {name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> bool:
        """Write one control line; False if the pipe is full or the engine gone (the caller tries again later)."""
        line = encode(message)
        try:
            return self._stdin.write(line) == len(line)
        except (OSError, ValueError):
            return False

    def wake(self) -> None:
        """Wake the engine. A full pipe means that it has wake-ups enough."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(WAKE)

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once: it hangs."""
        self._process.kill()

    def close(self) -> None:
        """Say that OBS is done: end of file on its stdin, upon which it ends by itself."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _listen(self, stream: IO[bytes], is_events: bool) -> None:
        while line := stream.readline(MAX_LINE * 4):
            event: Any = {"event": "log", "level": "info", "text": line.decode(errors="replace").rstrip()}
            if is_events:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
            if isinstance(event, dict):
                self.events.put(event)
                self._on_event.set()
        stream.close()
        if is_events:
            self._process.wait()
            self.events.put({"event": "ended"})
            self._on_event.set()


def make_non_blocking(descriptor: int) -> None:
    """Writes to this pipe return at once, also when nobody reads it."""
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        pipe_nowait = ctypes.c_ulong(0x00000001)
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        if not ctypes.windll.kernel32.SetNamedPipeHandleState(handle, ctypes.byref(pipe_nowait), None, None):
            raise ctypes.WinError()
    else:
        os.set_blocking(descriptor, False)
