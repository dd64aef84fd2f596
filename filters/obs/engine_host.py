# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the one engine of this OBS, watches it, restarts it; gives every filter its stream.

All of it happens on a thread of its own that sleeps nearly always. Filters only read ``Stream.link`` and call
``Link``'s methods, which never wait.
"""

import itertools
import threading
import time
from typing import Any

from ..bridge.messages import MAX_FPS, STEPS
from ..bridge.problems import BridgeError, Problem, problem_from_dict
from ..bridge.segment import Segment, remove_stale_segments
from ..environment.build import engine_python
from .engine_process import EngineProcess
from .libobs import LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARNING, LibObs
from .link import Link
from .own_file import Guess
from .stream import Stream
from .words import Loading, describe

LOOK_EVERY_S = 0.25
# No turn of the engine's loop this long after it was woken: it hangs. A new stream has to wait for its start.
HUNG_AFTER_S, OPEN_WITHIN_S = 3.0, 15.0
FIRST_RESTART_AFTER_S, LAST_RESTART_AFTER_S = 0.25, 30.0
HEALTHY_AFTER_S = 20.0
REOPEN_AFTER_S = 1.0
# A switch of the scene collection removes all filters and makes new ones: the engine waits for them this long.
LINGER_S = 3.0
LOG_LEVELS = {"error": LOG_ERROR, "warning": LOG_WARNING, "info": LOG_INFO, "debug": LOG_DEBUG}


class EngineHost:
    """``model`` is a catalogue id, ``file:/path`` or ``auto``; ``device`` is auto, cpu, cuda, …; ``suggestion`` is the
    id of the best model that this computer holds (empty: it holds none; None: not measured yet); ``guesses`` is what
    the engine found out about files of the user's own, by digest."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count(1)
        self._process: EngineProcess | None = None
        self._wake_up = threading.Event()
        self._thread: threading.Thread | None = None
        self._unused_since = 0.0
        self._lock = threading.Lock()  # never held while libobs is called
        self._restart_after_s = FIRST_RESTART_AFTER_S
        self._next_start = 0.0
        self._started = 0.0
        self._why_ended = "engine.crashed"
        self._last_words: Problem | None = None
        self.model, self.device, self.log_level = "", "auto", "info"
        self.problem: Problem | None = None
        self.hello: dict[str, Any] = {}
        self.suggestion: str | None = None
        self.is_measuring = False
        self.guesses: dict[str, list[Guess]] = {}
        self._told_fps = 0.0

    def configure(self, model: str, device: str, log_level: str) -> None:
        """What all streams run that were given no model of their own. Takes effect at once, without a restart."""
        self.model, self.device, self.log_level = model, device, log_level
        self._wake_up.set()

    def choose(self, stream: Stream, model: str) -> None:
        """What one stream is to run; empty: what all run. Takes effect at once."""
        if stream.model != model:
            stream.model = model
            self._wake_up.set()

    def measure(self) -> None:
        """Have the engine measure the models anew, if it runs; ``suggestion`` will say which is the best."""
        process = self._process
        if process and not self.is_measuring:
            self.is_measuring = process.send({"op": "measure", "device": self.device})

    def reload_model(self) -> None:
        """Ask again for the model that is set: its file or the trust in it has changed."""
        for stream in self.streams():
            stream.wanted = ("", "")
        self._wake_up.set()

    def streams(self) -> list[Stream]:
        """Every filter's stream."""
        with self._lock:
            return list(self._streams.values())

    def add_stream(self) -> Stream:
        """A filter was made. The engine starts if it doesn't run."""
        with self._lock:
            stream = Stream(next(self._numbers))
            self._streams[stream.number] = stream
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="engine host", daemon=True)
                self._thread.start()
        self._wake_up.set()
        return stream

    def remove_stream(self, stream: Stream) -> None:
        """A filter is gone. The engine ends some time after the last one."""
        with self._lock:
            self._streams.pop(stream.number, None)
            self._unused_since = time.monotonic()
        process = self._process
        if process:
            process.send({"op": "close", "stream": stream.number})

    def restart(self) -> None:
        """Start the engine anew as soon as possible: its environment has changed."""
        self._restart_after_s, self._next_start = FIRST_RESTART_AFTER_S, 0.0
        process = self._process
        if process:
            process.close()
        self._wake_up.set()

    def _run(self) -> None:
        remove_stale_segments()
        while not self._is_done():
            self._wake_up.wait(LOOK_EVERY_S)
            self._wake_up.clear()
            try:
                self._look_after()
            except Exception as error:  # the thread must live on: without it the filter stays blank for ever
                self._obs.log(LOG_ERROR, f"engine host: {type(error).__name__}: {error}")
                time.sleep(1.0)

    def _is_done(self) -> bool:
        """Whether nobody has needed the engine for a while; if so, it is told to end, and this thread may end too."""
        with self._lock:
            if self._streams or time.monotonic() - self._unused_since < LINGER_S:
                return False
            self._thread = None
            process, self._process = self._process, None
        if process:
            process.close()
            if not process.wait(1.0):
                process.kill()
        return True

    def _look_after(self) -> None:
        if self._process is None:
            self._start_if_due()
        if self._process is not None:
            self._take_events(self._process)
        if self._process is not None:
            self._tell_fps(self._process)
            for stream in self.streams():
                self._look_after_stream(self._process, stream)

    def _tell_fps(self, process: EngineProcess) -> None:
        interval_ns = self._obs.obs_get_frame_interval_ns()
        fps = min(max(round(1e9 / interval_ns, 2), 1.0), MAX_FPS) if interval_ns else 0.0
        if fps and fps != self._told_fps and process.send({"op": "video", "fps": fps}):
            self._told_fps = fps

    def _start_if_due(self) -> None:
        if time.monotonic() < self._next_start:
            return
        python = engine_python()
        if python is None:
            self._report(Problem("engine.missing"))
            self._next_start = time.monotonic() + 1.0
            return
        try:
            self._process = EngineProcess(python, self._wake_up)
        except OSError as error:
            self._report(Problem("engine.start_failed", {"detail": str(error)}))
            self._plan_restart()
            return
        self._started = time.monotonic()
        self._why_ended, self._last_words = "engine.crashed", None
        self._told_fps, self.is_measuring = 0.0, False
        self._obs.log(LOG_INFO, f"engine started, process {self._process.pid}")

    def _report(self, problem: Problem) -> None:
        """A problem of all filters: in their dialogs, and once in the log."""
        if problem != self.problem:
            self._obs.log(LOG_WARNING, describe(problem))
        self.problem = problem

    def _take_events(self, process: EngineProcess) -> None:
        while not process.events.empty():
            event = process.events.get()
            kind = event.get("event")
            if kind == "log":
                level = LOG_LEVELS.get(str(event.get("level")), LOG_INFO)
                if level <= LOG_LEVELS[self.log_level]:
                    self._obs.log(level, f"engine: {event.get('text')}")
            elif kind == "hello":
                self.hello = event
                self.problem = None
            elif kind == "opened":
                self._opened(event.get("stream"))
            elif kind == "loading":
                self._loading(event)
            elif kind == "guesses":
                self.guesses[str(event.get("sha256"))] = [Guess(*map(str, item)) for item in event.get("guesses", [])]
            elif kind == "suggestion":
                self.suggestion, self.is_measuring = str(event.get("model")), False
            elif kind == "problem":
                self._stream_problem(event)
            elif kind == "ended":
                self._ended(process)

    def _opened(self, number: Any) -> None:
        stream = self._streams.get(number) if isinstance(number, int) else None
        if stream and stream.link:
            stream.opened = True
            stream.link.segment.unlink()

    def _loading(self, event: dict[str, Any]) -> None:
        number, step = event.get("stream"), event.get("step")
        stream = self._streams.get(number) if isinstance(number, int) else None
        if stream:
            stream.loading = Loading(str(event.get("model")), str(step)) if step and step in STEPS else None

    def _stream_problem(self, event: dict[str, Any]) -> None:
        """Problems of models and devices stand in the status; the others mean that the engine let go of the stream."""
        try:
            problem = problem_from_dict(event.get("problem"))
        except BridgeError as error:
            problem = Problem(error.code, error.params)
        if problem.code.startswith(("model.", "device.")):
            return
        self._obs.log(LOG_WARNING, describe(problem))
        if event.get("stream") == 0:
            self._last_words = problem
        for stream in self.streams():
            if event.get("stream") == stream.number:
                self._drop_stream(stream, problem)

    def _drop_stream(self, stream: Stream, problem: Problem) -> None:
        """The stream's link can't be used any more; a new one is made in a moment."""
        stream.forget_link()
        stream.problem, stream.not_before = problem, time.monotonic() + REOPEN_AFTER_S

    def _ended(self, process: EngineProcess) -> None:
        self._process, self.is_measuring = None, False
        code = process.exit_code()
        self.problem = self._last_words or Problem(self._why_ended, {"exit_code": code if code is not None else ""})
        self._plan_restart()
        wait_s = max(0.0, self._next_start - time.monotonic())
        self._obs.log(LOG_WARNING, f"the engine ended with code {code}; it starts again in {wait_s:.1f} s")
        for stream in self.streams():
            stream.forget_link()

    def _plan_restart(self) -> None:
        now = time.monotonic()
        if now - self._started > HEALTHY_AFTER_S:
            self._restart_after_s = FIRST_RESTART_AFTER_S
        self._next_start = now + self._restart_after_s
        self._restart_after_s = min(self._restart_after_s * 2, LAST_RESTART_AFTER_S)

    def _look_after_stream(self, process: EngineProcess, stream: Stream) -> None:
        link = stream.link
        if link is None:
            self._open_stream(process, stream)
            return
        wanted = (stream.model or self.model, self.device)
        if stream.wanted != wanted and process.send(
            {"op": "model", "stream": stream.number, "model": wanted[0], "device": wanted[1]}
        ):
            stream.wanted = wanted
        if stream.opened:
            try:
                stream.status = link.host_status()
            except BridgeError as error:
                self._drop_stream(stream, Problem(error.code, error.params))
                return
            for level, words in stream.news():
                self._obs.log(level, words)
        limit_s = HUNG_AFTER_S if stream.opened else OPEN_WITHIN_S
        if link.silent_for_s() > limit_s:
            self._obs.log(LOG_WARNING, f"the engine gave no sign of life for {limit_s:.0f} s: ending it")
            self._why_ended = "engine.hung"
            process.kill()

    def _open_stream(self, process: EngineProcess, stream: Stream) -> None:
        if time.monotonic() < stream.not_before:
            return
        try:
            segment = Segment.create()
        except BridgeError as error:
            self._drop_stream(stream, Problem(error.code, error.params))
            return
        except OSError as error:
            self._drop_stream(stream, Problem("bridge.segment", {"name": "", "reason": str(error)}))
            return
        wanted = (stream.model or self.model, self.device)
        message = {"op": "open", "stream": stream.number, "segment": segment.name}
        if not process.send({**message, "model": wanted[0], "device": wanted[1]}):
            segment.close()
            return
        stream.wanted, stream.problem, stream.opened = wanted, None, False
        stream.link = Link(segment, process)
        if stream.number not in self._streams:  # the filter went away meanwhile and has not seen this link
            segment.close()
