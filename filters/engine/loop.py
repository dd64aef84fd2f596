# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's loop: wait, do what OBS says, give each stream the mask of its newest frame, report."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable
from typing import Any

from ...models.catalog import default_model_id
from ..bridge.messages import AUTOMATIC
from ..bridge.problems import BridgeError, Problem
from ..bridge.segment import Segment
from .automatic import USUAL_FPS, Answer, Automatic, Question
from .control import BadLine, Command, ControlLine, End, Item, News
from .events import Events
from .filler import Filler
from .guess import in_words
from .library import Library, Outcome, Wish, expected_size
from .network import InferenceError, Loaded
from .providers import DEVICES, NVIDIA, Dropped, first_line, missing_nvidia_driver
from .stream import Stream

IDLE_S = 0.5  # a sign of life at least this often
MAX_GUESSES, MAX_GUESS = 10, 100  # what fits into a message, in number and in characters: more than a dialog shows


class Engine:
    """All streams of one OBS, in one thread."""

    def __init__(self, control: ControlLine, events: Events) -> None:
        self._control = control
        self._events = events
        self._streams: dict[int, Stream] = {}
        self._library = Library(control, self._on_loaded, self._on_step)
        self._automatic = Automatic(control, self._on_answer, self._on_measuring)
        self._fps = USUAL_FPS
        self._filler = Filler(lambda: list(self._streams.values()), self._on_fill_failed)
        control.on_wake = self._filler.frame_came

    def run(self) -> None:
        """Serve until the control line ends."""
        self._filler.start()
        while self.turn():
            pass
        for stream in self._streams.values():
            stream.close()

    def turn(self) -> bool:
        """Wait for news, obey, and serve each stream its newest frame; False when the control line has ended."""
        if not self._obey(self._control.wait(IDLE_S)):
            return False
        streams = self._in_turn()
        self._filler.want(any(stream.is_behind for stream in streams))
        for stream in streams:
            self._guard(stream, stream.turn)
        self._filler.want(False)
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
        elif operation == "video":
            self._set_fps(float(message["fps"]))
        elif operation == "measure":
            self._automatic.ask(Question(message["device"], self._fps), anew=True)
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
        if stream.asked.model == AUTOMATIC and not self._choose(stream):
            stream.loading(None)
            return
        stream.loading(expected_size(stream.wish))
        self._library.ask(stream.wish)

    def _choose(self, stream: Stream) -> bool:
        """Name the model for a stream that left it to us; False if it has to be found out first."""
        question = Question(stream.asked.device, self._fps)
        answer = self._automatic.answer(question)
        if answer is None:
            self._automatic.ask(question)
            return False
        stream.wish = Wish(answer.model or default_model_id(), stream.asked.device)
        return True

    def _set_fps(self, fps: float) -> None:
        if fps != self._fps:
            self._fps = fps
            self._ask_automatic_ones()

    def _ask_automatic_ones(self) -> None:
        for stream in list(self._streams.values()):
            if stream.asked.model == AUTOMATIC:
                self._guard(stream, functools.partial(self._ask, stream))

    def _on_answer(self, question: Question, answer: Answer) -> None:
        self._events.send("suggestion", model=answer.model or "", fps=question.fps)
        compared = ", ".join(f"{each.id} {each.ms:.1f} ms" for each in answer.candidates) or "none"
        held = f"{question.fps:g} frames per second on {question.device}"
        self._events.log("info", f"Best model for {held}: {answer.model or 'none'} (measured: {compared})")
        self._ask_automatic_ones()

    def _on_measuring(self, model: str) -> None:
        for stream in self._streams.values():
            if stream.waits and stream.asked.model == AUTOMATIC:
                self._events.send("loading", stream=stream.id, model=model, step="measuring")

    def _on_step(self, wish: Wish, step: str) -> None:
        for stream in self._waiting_for(wish):
            self._events.send("loading", stream=stream.id, model=stream.title, step=step)

    def _waiting_for(self, wish: Wish) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.waits and stream.wish == wish]

    def _close(self, stream: Stream) -> None:
        del self._streams[stream.id]
        stream.close()
        self._tidy()

    def _tidy(self) -> None:
        self._library.keep_only([stream.network for stream in self._streams.values() if stream.network])

    def _on_loaded(self, wish: Wish, outcome: Outcome) -> None:
        waiting = self._waiting_for(wish)
        self._on_step(wish, "")
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
        told = [[guess.about, guess.value[:MAX_GUESS], guess.reason] for guess in network.ports.guesses]
        if told:
            with contextlib.suppress(BridgeError):  # names that fill a message: the log has them
                self._events.send("guesses", sha256=network.sha256, guesses=told[:MAX_GUESSES])

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

    def _on_fill_failed(self, stream: Stream, error: Exception) -> None:
        def fail() -> None:
            raise error

        self._control.post(lambda: self._guard(stream, fail))

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
