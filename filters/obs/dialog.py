# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps the status line of an open Filters dialog up to date.

libobs has no text that changes by itself: a dialog is redrawn as a whole when its source says that its properties have
changed. That would take a slider out of the user's hand, so it happens only when the words differ, every few seconds
at most, and not right after the user moved something; a model that was chosen is told of at once, and so is what
became of a preset. While OBS's main thread is inside a row of the dialog, choosing a colour or a file, it must not be
redrawn at all (:mod:`.open_windows`). Whether a dialog is open can't be asked: if a redraw is answered by no new call
for the properties, it is closed.
"""

import time
from collections.abc import Callable

from .engine_host import EngineHost
from .filter import BackgroundFilter
from .libobs import LibObs
from .main_thread import Work
from .open_windows import may_be_open
from .preset_rows import PresetRows
from .words import StatusText, describe, figures

REDRAW_EVERY_S = 2.0
QUIET_AFTER_CHANGE_S, QUIET_AFTER_CHOICE_S = 4.0, 0.3
LOOK_AGAIN_S = 0.5  # while a window is open that must be closed first


class Dialog:
    """The dialog of one filter. ``refresh`` is called on the tick; ``want`` has something done on the main thread."""

    def __init__(self, obs: LibObs, host: EngineHost, one: BackgroundFilter, want: Callable[[Work], None]) -> None:
        self._obs, self._host, self._filter, self._want = obs, host, one, want
        self._words: StatusText | None = None
        self._may_be_open = self._is_redraw_due = self._is_redraw_wanted = False
        self._not_before = self._look_again_s = 0.0
        self.presets = PresetRows(obs, one.source, self.redraw_soon)

    def shown(self) -> StatusText:
        """OBS asks for the properties; returns the words to show."""
        self._may_be_open = True
        self._words = self._current_words()
        self._not_before = max(self._not_before, time.monotonic() + REDRAW_EVERY_S)
        return self._words

    def touched(self, is_other_model: bool) -> None:
        """The user changed a setting; if it was the model, they wait for it."""
        self._not_before = time.monotonic() + (QUIET_AFTER_CHOICE_S if is_other_model else QUIET_AFTER_CHANGE_S)

    def refresh(self) -> None:
        """Redraw the dialog if it is open and says something that is no longer so."""
        now_s = time.monotonic()
        if self._is_redraw_wanted or now_s < self._look_again_s:
            return
        if not self._is_redraw_due:
            if not self._may_be_open or now_s < self._not_before:
                return
            if self._current_words() == self._words and not self.presets.is_outdated(self._filter.settings):
                return
        self._is_redraw_wanted = True
        self._want(self._redraw)

    def redraw_soon(self) -> None:
        """Redraw it on the next tick, whatever it says."""
        self._is_redraw_due = True

    def _redraw(self, source: int) -> None:
        now_s = time.monotonic()
        self._is_redraw_wanted = False
        if may_be_open():
            self._look_again_s = now_s + LOOK_AGAIN_S
            return
        self._may_be_open = self._is_redraw_due = False
        self._not_before = now_s + REDRAW_EVERY_S
        self._obs.obs_source_update_properties(source)

    def _current_words(self) -> StatusText:
        one, stream = self._filter, self._filter.stream
        problem = one.problem or self._host.problem or stream.current_problem() or one.background_problem()
        return StatusText(figures(stream.status, one.delay_ms, stream.loading), describe(problem))
