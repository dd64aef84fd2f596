# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the engine's environment from inside OBS, on a thread that waits for child processes and does nothing else."""

import threading

from ..environment.build import BuildError, build_environment, engine_python
from ..locale import text
from .engine_host import EngineHost


class Installation:
    """At most one runs at a time. ``failure`` holds the reason why the last one failed, else it is empty."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._thread: threading.Thread | None = None
        self._part, self._step = 0.0, ""
        self.failure = ""

    @property
    def is_running(self) -> bool:
        """Whether an installation is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, unless one is under way."""
        if self.is_running:
            return
        self._part, self._step, self.failure = 0.0, "", ""
        self._thread = threading.Thread(target=self._run, name="engine installation", daemon=True)
        self._thread.start()

    def label(self) -> str:
        """The words on the button."""
        if self.is_running:
            return text("script.install.running", percent=round(self._part * 100))
        return text("script.install.again" if engine_python() else "script.install.label")

    def progress(self) -> str:
        """How far it is, in words."""
        return text("script.engine.installing", percent=round(self._part * 100), step=self._step)

    def _run(self) -> None:
        try:
            build_environment(self._report)
        except (BuildError, OSError) as error:
            self.failure = str(error)
        else:
            self._host.restart()

    def _report(self, part: float, step: str) -> None:
        self._part, self._step = part, step
