# SPDX-License-Identifier: GPL-2.0-or-later
"""One filter instance as the engine host knows it."""

from dataclasses import dataclass

from ..bridge.problems import Problem
from ..bridge.status import Status
from .libobs import LOG_INFO, LOG_WARNING
from .link import Link
from .words import Loading, describe


@dataclass
class Stream:
    """One filter instance as the engine knows it. ``link`` is set by the host and taken over by the filter; ``model``
    is what this filter is to run, empty for the script's choice."""

    number: int
    model: str = ""
    link: Link | None = None
    problem: Problem | None = None
    wanted: tuple[str, str] = ("", "")
    status: Status | None = None
    loading: Loading | None = None
    opened: bool = False
    _told: object = None
    not_before: float = 0.0

    def news(self) -> list[tuple[int, str]]:
        """What has changed since the last call, as lines for OBS's log: each state once, each problem once."""
        status, problem = self.status, self.current_problem()
        now = status and (status.state, status.model, status.device, problem)
        if not status or now == self._told:
            return []
        self._told = now
        name, device = f"filter {self.number}", f" on {status.device}" if status.device else ""
        lines = [(LOG_INFO, f"{name}: {status.state.name.lower()}, model {status.model}{device}")]
        return [*lines, (LOG_WARNING, f"{name}: {describe(problem)}")] if problem else lines

    def forget_link(self) -> None:
        """The engine no longer serves this stream; the filter closes the link when it sees that it is gone."""
        if self.link:
            self.link.segment.unlink()
        self.link, self.wanted, self.opened, self.status, self.loading = None, ("", ""), False, None, None

    def current_problem(self) -> Problem | None:
        """What is wrong with this stream."""
        return self.problem or (self.status.problem if self.status else None)
