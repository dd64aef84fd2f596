# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's loop: wait, do what OBS says, give each stream the mask of its newest frame, report."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any

from ..bridge.problems import BridgeError, Problem
from ..bridge.segment import Segment
from .control import BadLine, Command, ControlLine, End, Item, News
from .events import Events
from .guess import in_words
from .library import Library, Outcome, Wish, expected_size
from .network import InferenceError, Loaded
from .providers import DEVICES, NVIDIA, Dropped, first_line, missing_nvidia_driver
from .stream import Stream

IDLE_S = 0.5  # a sign of life at least this often


class Engine:
    """All streams of one OBS, in one thread."""

    def __init__(self, control: ControlLine, events: Events) -> None:
        self._control = control
        self._events = events
        self._streams: dict[int, Stream] = {}
        self._library = Library(control, self._on_loaded)

    def run(self) -> None:
        """Serve until the control line ends."""
        while self.turn():
            pass
        for stream in self._streams.values():
            stream.close()

    def turn(self) -> bool:
        """Wait for news, obey, and serve each stream its newest frame; False when the control line has ended."""
        if not self._obey(self._control.wait(IDLE_S)):
            return False
        for stream in self._in_turn():
            self._guard(stream, stream.turn)
        return True

    def _in_turn(self) -> list[Stream]:
        """All streams; the one that came first last time comes last."""
        if self._streams:
            first = next(iter(self._streams))
            self._streams[first] = self._streams.pop(first)
        return list(self._streams.values())

    def _obey(self, items: list[Item]) -> bool:
        """Do what came in; False at the end."""
        for item in items:
            if isinstance(item, End):
                return False
            if isinstance(item, News):
                item.act()
            elif isinstance(item, BadLine):
                self._events.problem(0, problem_of(item.error))
            elif isinstance(item, Command):
                self._command(item.message)
        return True

    def _command(self, message: dict[str, Any]) -> None:
        operation = message.get("op")
        stream = self._streams.get(message.get("stream", 0))
        if operation == "open":
            self._open(message)
        elif stream is not None and operation == "close":
            self._close(stream)
        elif stream is not None and operation == "model":
            stream.ask_for(Wish(message["model"], message["device"]))
            self._guard(stream, lambda: self._ask(stream))

    def _open(self, message: dict[str, Any]) -> None:
        stream_id = message["stream"]
        if stream_id in self._streams:
            self._close(self._streams[stream_id])
        try:
            stream = Stream(stream_id, Segment.open(message["segment"]), Wish(message["model"], message["device"]))
        except BridgeError as error:
            self._events.problem(stream_id, problem_of(error))
            return
        except (OSError, ValueError) as error:
            self._events.problem(stream_id, Problem("engine.stream_failed", {"detail": first_line(error)}))
            return
        self._streams[stream_id] = stream
        self._events.send("opened", stream=stream_id)
        self._guard(stream, lambda: self._ask(stream))

    def _ask(self, stream: Stream) -> None:
        stream.loading(expected_size(stream.wish))
        self._library.ask(stream.wish)

    def _close(self, stream: Stream) -> None:
        del self._streams[stream.id]
        stream.close()
        self._tidy()

    def _tidy(self) -> None:
        self._library.keep_only([stream.network for stream in self._streams.values() if stream.network])

    def _on_loaded(self, wish: Wish, outcome: Outcome) -> None:
        waiting = [stream for stream in self._streams.values() if stream.waits and stream.wish == wish]
        if isinstance(outcome, Problem):
            for stream in waiting:
                self._events.problem(stream.id, outcome)
                self._guard(stream, functools.partial(stream.refuse, outcome))
        else:
            self._report(wish, outcome)
            problem = problem_of_dropped(wish, outcome.dropped)
            for stream in waiting:
                if problem is not None:
                    self._events.problem(stream.id, problem)
                self._guard(stream, functools.partial(stream.use, outcome.network, problem))
        self._tidy()

    def _report(self, wish: Wish, loaded: Loaded) -> None:
        network = loaded.network
        for dropped in loaded.dropped:
            self._events.log("info", f"Device not used: {dropped}")
        where = f"{DEVICES[network.device].title}, {network.width}x{network.height}"
        self._events.log("info", f"Model {wish.title} runs on: {where}")
        for guess in network.ports.guesses:
            self._events.log("info", f"Model {wish.title}: {in_words(guess)}")

    def _guard(self, stream: Stream, act: Callable[[], object]) -> None:
        """Nothing about one stream may end the others."""
        try:
            act()
        except InferenceError as error:
            self._fall_back(stream, error)
        except BridgeError as error:
            self._give_up(stream, problem_of(error))
        except Exception as error:
            self._events.log("error", "".join(traceback.format_exception(error))[-3000:])
            self._give_up(stream, Problem("engine.stream_failed", {"detail": first_line(error)}))

    def _give_up(self, stream: Stream, problem: Problem) -> None:
        self._events.problem(stream.id, problem)
        if self._streams.get(stream.id) is stream:
            self._close(stream)

    def _fall_back(self, stream: Stream, error: InferenceError) -> None:
        """The network failed on a frame: go on without it; if it did not run on the CPU, try that once."""
        network = stream.network
        assert network is not None
        for user in [user for user in self._streams.values() if user.network is network]:
            problem = Problem(
                "model.run_failed",
                {"file": user.wish.title, "device": DEVICES[network.device].title, "detail": str(error)},
            )
            self._events.problem(user.id, problem)
            user.fail(problem)
            if network.device != "cpu":
                user.wish, user.waits = Wish(user.wish.model, "cpu"), True
                self._library.ask(user.wish)
        self._tidy()


def problem_of(error: BridgeError) -> Problem:
    """A refusal by the bridge, to be sent over it."""
    return Problem(error.code, error.params)


def problem_of_dropped(wish: Wish, dropped: tuple[Dropped, ...]) -> Problem | None:
    """The dropped device that the user must hear of: the one asked for, or an NVIDIA card that lies idle."""
    for drop in dropped:
        if drop.device != wish.device and not (drop.device in NVIDIA and missing_nvidia_driver() is None):
            continue
        title = DEVICES[drop.device].title
        if drop.difference is not None:
            return Problem("device.disagrees", {"device": title, "difference": round(drop.difference, 3)})
        return Problem("device.unavailable", {"device": title, "reason": drop.reason})
    return None
