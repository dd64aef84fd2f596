# SPDX-License-Identifier: GPL-2.0-or-later
"""The hotkeys of each filter.

Filters are private sources, and libobs refuses hotkeys of those: so they are registered for the filtered source. OBS
lists them there in Settings, Hotkeys, and stores their keys with that source, by a name that holds the filter's.

libobs calls back with its lock of all hotkeys held, on a thread that may be any. So a press is only noted there, and
worked off by OBS's main thread, where no lock is held and nobody else reads or writes the settings.
"""

import functools
import time
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_bool, c_size_t, c_void_p
from dataclasses import dataclass, field
from typing import Any

from ..locale import text
from .libobs import LibObs
from .main_thread import MainThread
from .settings import FilterSettings, read_settings

# Their names, with the filter's behind it, are stored in scene collections: they never change.
HOTKEYS = ("toggle_filter", "toggle_blur", "next_background")
ORDER = ("transparent", "blur", "color", "source")
BEFORE_BLUR = b"background_before_blur"
LOOK_EVERY_S = 1.0

Pressed = CFUNCTYPE(None, c_void_p, c_size_t, c_void_p, c_bool)


@dataclass
class Registered:
    """The hotkeys of one filter: the name they stand under, and their ids."""

    name: bytes = b""
    ids: list[int] = field(default_factory=list)
    look_again_s: float = 0.0


class Hotkeys:
    """Those of all filters, by their handles. ``guarded`` makes a function a callback that does not raise; ``changed``
    is told whose settings a press has changed."""

    def __init__(
        self,
        obs: LibObs,
        main_thread: MainThread,
        changed: Callable[[int], None],
        guarded: Callable[[Callable[..., Any], Any], Callable[..., Any]],
    ) -> None:
        self._obs, self._main_thread, self._changed = obs, main_thread, changed
        self._filters: dict[int, Registered] = {}
        # libobs holds these pointers until the last filter is gone.
        self._callbacks = {what: Pressed(guarded(functools.partial(self._note, what), None)) for what in HOTKEYS}

    def add(self, handle: int) -> None:
        """A filter is made."""
        self._filters[handle] = Registered()

    def loaded(self, handle: int, source: int) -> None:
        """A scene collection is loaded, and this filter with it: its keys are given back here, before OBS saves."""
        self._follow(handle, source)

    def remove(self, handle: int) -> None:
        """A filter goes. After this none of its callbacks runs: libobs waits for those that do."""
        for hotkey_id in self._filters.pop(handle).ids:
            self._obs.obs_hotkey_unregister(hotkey_id)

    def tick(self, handle: int, source: int) -> None:
        """On the tick: now and then, see whether the filter is new or has a new name."""
        one, now_s = self._filters[handle], time.monotonic()
        if now_s >= one.look_again_s:
            one.look_again_s = now_s + LOOK_EVERY_S
            if self._obs.obs_source_get_name(source) != one.name:
                self._main_thread.want(handle, functools.partial(self._follow, handle))

    def _note(self, what: str, handle: int, _id: int, _hotkey: int, pressed: bool) -> None:
        if pressed:
            is_toggle = what == "toggle_filter"
            change = functools.partial(self._change_background, what, handle)
            self._main_thread.want(handle, self._toggle_filter if is_toggle else change)

    def _toggle_filter(self, source: int) -> None:
        self._obs.obs_source_set_enabled(source, not self._obs.obs_source_enabled(source))

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

    def _change_background(self, what: str, handle: int, source: int) -> None:
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
        self._changed(handle)

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
