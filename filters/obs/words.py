# SPDX-License-Identifier: GPL-2.0-or-later
"""States and problems in the user's words."""

from dataclasses import dataclass

from ..bridge.problems import Problem
from ..bridge.status import State, Status
from ..locale import text


@dataclass(frozen=True)
class StatusText:
    """What a filter's dialog says: one line of figures and, if something is wrong, one of plain words."""

    figures: str
    problem: str


def describe(problem: Problem | None) -> str:
    """A problem in plain words; no words for no problem."""
    return text(f"problem.{problem.code}", **problem.params) if problem else ""


def figures(status: Status | None, delay_ms: float) -> str:
    """What runs, on what, how fast and how late."""
    if status is None or status.state is State.STARTING:
        return text("status.starting")
    if status.state is State.LOADING and not status.input_width:
        return text("status.loading", model=status.model)
    if status.state not in (State.READY, State.LOADING):
        return text("status.stopped")
    return text(
        "status.running",
        model=status.model,
        device=status.device,
        mask_ms=f"{status.prepare_ms + status.infer_ms + status.refine_ms:.1f}",
        masks_per_s=f"{status.masks_per_s:.0f}",
        delay_ms=f"{delay_ms:.0f}",
    )
