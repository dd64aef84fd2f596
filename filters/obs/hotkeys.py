# SPDX-License-Identifier: GPL-2.0-or-later
"""The hotkeys of each filter.

Filters are private sources, and libobs refuses hotkeys of those: so they are registered for the filtered source. OBS
lists them there in Settings, Hotkeys, and stores their keys with that source, by a name that holds the filter's.

libobs calls back with its lock of all hotkeys held, on a thread that may be any. So a press is only noted there. The
next tick hands it to OBS's main thread, where no lock is held and nobody else reads or writes the settings.
"""

import functools
import time
from collections import deque
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_bool, c_size_t, c_void_p
from dataclasses import dataclass, field
from typing import Any

from ..locale import text
from .libobs import OBS_TASK_UI, LibObs
from .settings import FilterSettings, read_settings

# Their names, with the filter's behind it, are stored in scene collections: they never change.
HOTKEYS = ("toggle_filter", "toggle_blur", "next_background")
ORDER = ("transparent", "blur", "color", "source")
BEFORE_BLUR = b"background_before_blur"
FOLLOW = "follow"
LOOK_EVERY_S = 1.0

Pressed = CFUNCTYPE(None, c_void_p, c_size_t, c_void_p, c_bool)
Task = CFUNCTYPE(None, c_void_p)


@dataclass
class Registered:
    """The hotkeys of one filter: a weak reference to its own source, the name they stand under, and their ids."""

    weak: int
    name: bytes = b""
    ids: list[int] = field(default_factory=list)
    look_again_s: float = 0.0


class Hotkeys:
    """Those of all filters, by their handles. ``guarded`` makes a function a callback that does not raise."""

    def __init__(self, obs: LibObs, guarded: Callable[[Callable[..., Any], Any], Callable[..., Any]]) -> None:
        self._obs = obs
        self._filters: dict[int, Registered] = {}
        self._to_do: deque[tuple[str, int, int]] = deque()  # what, handle, and a reference to the filter's source
        self._is_handed_over = False
        # libobs holds these pointers until the last filter is gone, and tasks may come after that.
        self._callbacks = {what: Pressed(guarded(functools.partial(self._note, what), None)) for what in HOTKEYS}
        self._task = Task(guarded(self._work_off, None))

    def add(self, handle: int, source: int) -> None:
        """A filter is made; ``source`` is its own."""
        self._filters[handle] = Registered(self._obs.obs_source_get_weak_source(source))

    def loaded(self, handle: int, source: int) -> None:
        """A scene collection is loaded, and this filter with it: its keys are given back here, before OBS saves."""
        self._follow(handle, source)

    def remove(self, handle: int) -> None:
        """A filter goes. After this none of its callbacks runs: libobs waits for those that do."""
        one = self._filters.pop(handle)
        for hotkey_id in one.ids:
            self._obs.obs_hotkey_unregister(hotkey_id)
        self._obs.obs_weak_source_release(one.weak)

    def tick(self, handle: int, source: int) -> None:
        """On the tick: let the main thread do what was pressed, and follow a new filter and a new name."""
        one, now_s = self._filters[handle], time.monotonic()
        if now_s >= one.look_again_s:
            one.look_again_s = now_s + LOOK_EVERY_S
            if self._obs.obs_source_get_name(source) != one.name:
                self._want(FOLLOW, handle)
        if self._to_do and not self._is_handed_over:
            self._is_handed_over = True
            self._obs.obs_queue_task(OBS_TASK_UI, self._task, None, False)

    def _want(self, what: str, handle: int) -> None:
        source = self._obs.obs_weak_source_get_source(self._filters[handle].weak)
        if source:
            self._to_do.append((what, handle, source))

    def _note(self, what: str, handle: int, _id: int, _hotkey: int, pressed: bool) -> None:
        if pressed:
            self._want(what, handle)

    def _work_off(self, _: int | None) -> None:
        self._is_handed_over = False
        while self._to_do:
            what, handle, source = self._to_do.popleft()
            try:
                if what == FOLLOW:
                    self._follow(handle, source)
                elif what == "toggle_filter":
                    self._obs.obs_source_set_enabled(source, not self._obs.obs_source_enabled(source))
                else:
                    self._change_background(what, source)
            finally:
                self._obs.obs_source_release(source)

    def _follow(self, handle: int, source: int) -> None:
        """Register a filter's hotkeys, or have them follow its name."""
        obs, one = self._obs, self._filters[handle]
        parent, name = obs.obs_filter_get_parent(source), obs.obs_source_get_name(source) or b""
        if not parent or name == one.name:
            return
        words = {what: text(f"hotkey.{what}", name=name.decode(errors="replace")).encode() for what in HOTKEYS}
        for what, hotkey_id in zip(HOTKEYS, one.ids):
            obs.obs_hotkey_set_name(hotkey_id, stored_name(what, name))
            obs.obs_hotkey_set_description(hotkey_id, words[what])
        if not one.ids:
            one.ids = [
                obs.obs_hotkey_register_source(
                    parent, stored_name(what, name), words[what], self._callbacks[what], handle
                )
                for what in HOTKEYS
            ]
        one.name = name

    def _change_background(self, what: str, source: int) -> None:
        obs = self._obs
        data = obs.obs_source_get_settings(source)
        try:
            settings = read_settings(obs, data)
            background = self._background_after(what, settings, data)
            if background == "blur":
                obs.obs_data_set_string(data, BEFORE_BLUR, settings.background.encode())
            obs.obs_data_set_string(data, b"background", background.encode())
        finally:
            obs.obs_data_release(data)
        obs.obs_source_update(source, None)
        obs.obs_source_update_properties(source)

    def _background_after(self, what: str, settings: FilterSettings, data: int) -> str:
        if what == "next_background":
            return next_background(settings, self._is_there(settings.background_source))
        if settings.background != "blur":
            return "blur"
        return without_blur((self._obs.obs_data_get_string(data, BEFORE_BLUR) or b"").decode(errors="replace"))

    def _is_there(self, name: str) -> bool:
        source = self._obs.obs_get_source_by_name(name.encode()) if name else None
        if source:
            self._obs.obs_source_release(source)
        return bool(source)


def stored_name(what: str, filter_name: bytes) -> bytes:
    """The name under which the filtered source stores the keys of a hotkey."""
    return b"obs_background_filter.%s.%s" % (what.encode(), filter_name)


def without_blur(before: str) -> str:
    """What stands behind the person when the blur goes: as before it, as far as that is known."""
    return before if before in ORDER and before != "blur" else ORDER[0]


def next_background(settings: FilterSettings, is_source_there: bool) -> str:
    """The background after the one that is set, all around; another source only if one is chosen and there."""
    order = ORDER if is_source_there else ORDER[:-1]
    return order[(order.index(settings.background) + 1) % len(order)] if settings.background in order else ORDER[0]
