# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers the filter with libobs: the C struct, the callbacks it points to, and the table from handles to filters.

libobs has no way to unregister a source type and keeps pointers into all of this until OBS ends. So everything here
lives as long as the process, in a module that a reload of the script does not execute again, and the callbacks reach
their filter through a number, never through a pointer to a Python object.
"""

import ctypes
import functools
import itertools
import traceback
from collections.abc import Callable
from ctypes import CFUNCTYPE, Structure, c_char_p, c_float, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

from ..locale import text
from .dialog import Dialog
from .engine_host import EngineHost
from .filter import BackgroundFilter
from .hotkeys import Hotkeys
from .libobs import (
    LOG_ERROR,
    OBS_SOURCE_SRGB,
    OBS_SOURCE_TYPE_FILTER,
    OBS_SOURCE_VIDEO,
    LibObs,
)
from .main_thread import MainThread
from .model_list import filter_choices
from .preset_rows import set_default_preset
from .properties import Clicked, ModifiedOf, PresetCallbacks, PresetPart, make_properties, offered_sources
from .settings import read_settings, set_defaults

FILTER_ID = b"obs_background_filter"

GetName = CFUNCTYPE(c_void_p, c_void_p)
Create = CFUNCTYPE(c_void_p, c_void_p, c_void_p)
Destroy = CFUNCTYPE(None, c_void_p)
GetDefaults = CFUNCTYPE(None, c_void_p)
GetProperties = CFUNCTYPE(c_void_p, c_void_p)
Update = CFUNCTYPE(None, c_void_p, c_void_p)
Save = CFUNCTYPE(None, c_void_p, c_void_p)
Load = CFUNCTYPE(None, c_void_p, c_void_p)
Tick = CFUNCTYPE(None, c_void_p, c_float)
Render = CFUNCTYPE(None, c_void_p, c_void_p)
GetColorSpace = CFUNCTYPE(c_int, c_void_p, c_size_t, c_void_p)


def _unused(*names: str) -> list[tuple[str, Any]]:
    return [(name, c_void_p) for name in names]


class SourceInfo(Structure):
    """``struct obs_source_info`` of OBS 28, a prefix of every later one, which libobs accepts."""

    _fields_ = [
        ("id", c_char_p),
        ("type", c_int),
        ("output_flags", c_uint32),
        ("get_name", GetName),
        ("create", Create),
        ("destroy", Destroy),
        *_unused("get_width", "get_height"),
        ("get_defaults", GetDefaults),
        ("get_properties", GetProperties),
        ("update", Update),
        *_unused("activate", "deactivate", "show", "hide"),
        ("video_tick", Tick),
        ("video_render", Render),
        *_unused("filter_video", "filter_audio", "enum_active_sources"),
        ("save", Save),
        ("load", Load),
        *_unused("mouse_click", "mouse_move", "mouse_wheel", "focus", "key_click", "filter_remove"),
        *_unused("type_data", "free_type_data", "audio_render", "enum_all_sources"),
        *_unused("transition_start", "transition_stop", "get_defaults2", "get_properties2", "audio_mix"),
        ("icon_type", c_int),
        *_unused("media_play_pause", "media_restart", "media_stop", "media_next", "media_previous"),
        *_unused("media_get_duration", "media_get_time", "media_set_time", "media_get_state"),
        ("version", c_uint32),
        ("unversioned_id", c_char_p),
        *_unused("missing_files"),
        ("video_get_color_space", GetColorSpace),
    ]


class Registration:
    """The one registration of this process. ``filters`` holds every living filter by its handle."""

    def __init__(self, obs: LibObs, host: EngineHost) -> None:
        self.obs, self.host = obs, host
        self.filters: dict[int, BackgroundFilter] = {}
        self._dialogs: dict[int, Dialog] = {}
        self._handles = itertools.count(1)
        self._complained: set[str] = set()
        self._main_thread = MainThread(obs, self._guarded)
        self._hotkeys = Hotkeys(obs, self._main_thread, self._redraw_soon, self._guarded)
        self._preset_callbacks = PresetCallbacks(
            chosen=ModifiedOf(self._guarded(self._preset_chosen, False)),
            file_chosen=ModifiedOf(self._guarded(self._preset_file_chosen, False)),
            save=Clicked(self._guarded(lambda *given: self._dialogs[given[-1]].presets.save_pressed(), False)),
            remove=Clicked(self._guarded(lambda *given: self._dialogs[given[-1]].presets.remove_pressed(), False)),
        )
        self._name = ctypes.create_string_buffer(text("filter.name").encode())
        self._info = SourceInfo(
            id=FILTER_ID,
            type=OBS_SOURCE_TYPE_FILTER,
            output_flags=OBS_SOURCE_VIDEO | OBS_SOURCE_SRGB,
            get_name=GetName(lambda _: ctypes.addressof(self._name)),
            create=Create(self._guarded(self._create, 0)),
            destroy=Destroy(self._guarded(self._destroy, None)),
            get_defaults=GetDefaults(self._guarded(self._defaults, None)),
            get_properties=GetProperties(self._guarded(self._properties, 0)),
            update=Update(self._guarded(self._update, None)),
            save=Save(self._guarded(lambda handle, data: self.filters[handle].update_names(data), None)),
            load=Load(self._guarded(lambda handle, _: self._hotkeys.loaded(handle, self.filters[handle].source), None)),
            video_tick=Tick(self._guarded(self._tick, None)),
            video_render=Render(self._guarded(lambda handle, _: self.filters[handle].render(), None)),
            video_get_color_space=GetColorSpace(
                self._guarded(lambda handle, *_: self.filters[handle].color_space(), 0)
            ),
        )
        obs.obs_register_source_s(ctypes.byref(self._info), ctypes.sizeof(self._info))

    def _guarded(self, function: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
        """``function`` as a callback that never raises into C: an error is logged once, and nothing is drawn."""

        def callback(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except Exception as error:
                self._complain(error)
                return otherwise

        profile = self.obs.profile
        return profile.timed_callback(callback) if profile else callback

    def _complain(self, error: Exception) -> None:
        lines = "".join(traceback.format_exception(error))
        if lines not in self._complained:
            self._complained.add(lines)
            self.obs.log(LOG_ERROR, f"error in a callback: {lines}")

    def _defaults(self, data: int) -> None:
        set_defaults(self.obs, data)
        set_default_preset(self.obs, data)

    def _create(self, settings: int, source: int) -> int:
        handle = next(self._handles)
        one = BackgroundFilter(self.obs, self.host, source)
        self._use(one, settings)
        want = functools.partial(self._main_thread.want, handle)
        self.filters[handle], self._dialogs[handle] = one, Dialog(self.obs, self.host, one, want)
        self._main_thread.add(handle, source)
        self._hotkeys.add(handle)
        return handle

    def _update(self, handle: int, settings: int) -> None:
        one = self.filters[handle]
        before = one.settings.model
        self._use(one, settings)
        self._dialogs[handle].touched(is_other_model=one.settings.model != before)

    def _use(self, one: BackgroundFilter, settings: int) -> None:
        one.settings = read_settings(self.obs, settings)
        self.host.choose(one.stream, one.settings.model)

    def _tick(self, handle: int, seconds: float) -> None:
        if self.obs.profile:
            self.obs.profile.next_frame()
        self.filters[handle].tick(seconds)
        self._dialogs[handle].refresh()
        self._hotkeys.tick(handle, self.filters[handle].source)
        self._main_thread.tick()

    def _destroy(self, handle: int) -> None:
        self._hotkeys.remove(handle)
        self._main_thread.remove(handle)
        del self._dialogs[handle]
        self.filters.pop(handle).destroy()
        if self.obs.profile and not self.filters:
            self.obs.profile.save()

    def _properties(self, handle: int | None) -> int:
        if not handle or handle not in self.filters:
            return make_properties(self.obs)
        obs, one = self.obs, self.filters[handle]
        data = obs.obs_source_get_settings(one.source)
        one.update_names(data)
        dialog = self._dialogs[handle]
        dialog.presets.settle(data)
        settings = read_settings(obs, data)
        obs.obs_data_release(data)
        parent = obs.obs_filter_get_parent(one.source)
        offered = {
            "model": filter_choices(settings.model),
            "background_source": offered_sources(obs, parent, settings.background_source),
        }
        presets = PresetPart(dialog.presets, self._preset_callbacks, handle)
        return make_properties(obs, dialog.shown(), offered, presets)

    def _redraw_soon(self, handle: int) -> None:
        self._dialogs[handle].redraw_soon()

    def _preset_chosen(self, handle: int, _properties: int, _row: int, data: int) -> None:
        self._dialogs[handle].presets.chosen(data)

    def _preset_file_chosen(self, handle: int, _properties: int, _row: int, data: int) -> None:
        self._dialogs[handle].presets.file_chosen(data)
