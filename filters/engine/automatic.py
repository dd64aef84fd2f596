# SPDX-License-Identifier: GPL-2.0-or-later
"""Which model this computer holds: the choice "Automatic", and what the script's dialog suggests.

Every model that is there, may run and was measured once for its quality (``catalog.Measured``) is timed here, on the
device that was asked for; the rule is ``models.suggest``. A choice is made once for a device and a frame rate: models
that swap places in the middle of a show would be worse than either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from ...models.catalog import CatalogError, ModelEntry, load_catalog
from ...models.places import find_file
from ...models.refusal import ModelRefused
from ...models.suggest import Candidate, suggest
from ...models.trust import read_model
from .control import ControlLine
from .network import load_network
from .priority import lower_thread_priority
from .speeds import Speeds, key_of, load_speeds, measure_ms, save_speeds, store_path

USUAL_FPS = 30.0  # until OBS has said otherwise


class Question(NamedTuple):
    """Where a model is to run (a key of ``providers.DEVICES`` or "auto"), and how often a second."""

    device: str
    fps: float


class Answer(NamedTuple):
    """The model's id (None: this computer holds none of them), and what was compared."""

    model: str | None
    candidates: tuple[Candidate, ...]


class Automatic:
    """Used by the loop's thread; measures in another of low priority, one question after the other."""

    def __init__(
        self,
        control: ControlLine,
        on_answer: Callable[[Question, Answer], None],
        on_measuring: Callable[[str], None],
    ) -> None:
        """``on_answer`` and ``on_measuring`` (with a model's id) are called in the loop."""
        self._control = control
        self._on_answer = on_answer
        self._on_measuring = on_measuring
        self._answers: dict[Question, Answer] = {}
        self._asked: set[Question] = set()
        self._one_at_a_time = threading.Lock()

    def answer(self, question: Question) -> Answer | None:
        """The answer, if there is one already."""
        return self._answers.get(question)

    def ask(self, question: Question, anew: bool = False) -> None:
        """Have ``on_answer`` called in the loop, soon. ``anew`` forgets the answers and measures again."""
        if question in self._asked:
            return
        self._asked.add(question)
        if anew:
            self._answers.clear()
        threading.Thread(target=self._find, args=(question, anew), name="measure models", daemon=True).start()

    def _find(self, question: Question, anew: bool) -> None:
        lower_thread_priority()
        with self._one_at_a_time:
            found = tuple(measured_candidates(question.device, anew, self._tell))
        answer = Answer(suggest(found, question.fps), found)
        self._control.post(lambda: self._answered(question, answer))

    def _tell(self, model: str) -> None:
        self._control.post(lambda: self._on_measuring(model))

    def _answered(self, question: Question, answer: Answer) -> None:
        self._asked.discard(question)
        self._answers[question] = answer
        self._on_answer(question, answer)


def measured_candidates(device: str, anew: bool, on_measuring: Callable[[str], None]) -> list[Candidate]:
    """The models that may run here, with what they take on a device: remembered, or, with ``anew``, measured again.

    ``on_measuring`` hears the id of each that is measured.
    """
    path = store_path()
    speeds = load_speeds(path)
    found = []
    for entry, quality in rated_models():
        ms = speed_of(entry, device, {} if anew else speeds, on_measuring)
        if ms is not None:
            key, figure = ms
            found.append(Candidate(entry.id, figure, quality))
            if speeds.get(key) != figure:
                speeds.pop(key, None)
                speeds[key] = figure
                save_speeds(path, speeds)
    return found


def speed_of(
    entry: ModelEntry, device: str, speeds: Speeds, on_measuring: Callable[[str], None]
) -> tuple[str, float] | None:
    """The figure's key and the milliseconds; None for a model that can't run here."""
    try:
        model = read_model(entry)
        key = key_of(model.sha256, device)
        if key in speeds:
            return key, speeds[key]
        on_measuring(entry.id)
        return key, measure_ms(load_network(model, device).network)
    except (ModelRefused, CatalogError):
        return None  # whoever chooses it is told why
    except Exception:  # a driver throws anything: nothing about one model may end the choice
        return None


def rated_models() -> list[tuple[ModelEntry, float]]:
    """The models that are there and whose quality was measured, with it."""
    try:
        entries = load_catalog().values()
    except CatalogError:
        return []  # every other way to choose a model says why
    rated = [(entry, entry.measured.quality) for entry in entries if entry.measured and find_file(entry)]
    return [(entry, quality) for entry, quality in rated if quality is not None]
