# SPDX-License-Identifier: GPL-2.0-or-later
"""States and problems in the user's words."""

from dataclasses import dataclass

from ..bridge.messages import AUTOMATIC
from ..bridge.problems import Problem
from ..bridge.status import State, Status
from ..locale import text


@dataclass(frozen=True)
class StatusText:
    """What a filter's dialog says: one line of figures and, if something is wrong, one of plain words."""

    figures: str
    problem: str


@dataclass(frozen=True)
class Loading:
    """A model on its way into the engine's memory; ``step`` is one of ``messages.STEPS``."""

    model: str
    step: str


def describe(problem: Problem | None) -> str:
    """A problem in plain words; no words for no problem."""
    return text(f"problem.{problem.code}", **problem.params) if problem else ""


def model_name(model: str) -> str:
    """What the engine calls a model, in words: its id or file, and whether it was our choice."""
    if model == AUTOMATIC:
        return text("status.best_model")
    chosen, _, name = model.partition(":")
    return text("status.automatic", model=name) if chosen == AUTOMATIC and name else model


def figures(status: Status | None, delay_ms: float, loading: Loading | None = None) -> str:
    """What runs, on what, how fast and how late; and which model is on its way."""
    if status is None or status.state is State.STARTING:
        return text("status.starting")
    coming = text(f"status.step.{loading.step}", model=model_name(loading.model)) if loading else ""
    if status.state is State.LOADING:
        return coming or text("status.loading", model=model_name(status.model))
    now = text("status.stopped") if status.state is not State.READY else _running(status, delay_ms)
    return text("status.coming", now=now, coming=coming) if coming else now


def _running(status: Status, delay_ms: float) -> str:
    return text(
        "status.running",
        model=model_name(status.model),
        device=status.device,
        mask_ms=f"{status.prepare_ms + status.infer_ms + status.refine_ms:.1f}",
        masks_per_s=f"{status.masks_per_s:.0f}",
        delay_ms=f"{delay_ms:.0f}",
    )
