# SPDX-License-Identifier: GPL-2.0-or-later
"""Every C function of libobs that we call: one table of prototypes, bound once.

``obspython`` cannot register a source, and its helpers need a "current script" that does not exist inside a source's
callbacks, so the filter talks to libobs through ctypes. OBS has libobs loaded already: its symbols are found in the
running process, whatever the library's file is called in this version of OBS.
"""

import ctypes
import functools
import sys
from ctypes import (
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_longlong,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from .profile import wanted_profile

# enum values, from graphics.h, obs-source.h, obs-properties.h and util/base.h
GS_R8, GS_RGBA, GS_R16, GS_RGBA16F = 2, 3, 8, 9
GS_CS_SRGB, GS_CS_SRGB_16F, GS_CS_709_EXTENDED = 0, 1, 2
GS_BLEND_ZERO, GS_BLEND_ONE, GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA = 0, 1, 4, 5
GS_ZS_NONE = 0
GS_DYNAMIC = 1 << 1
GS_CLEAR_COLOR = 1 << 0
OBS_SOURCE_TYPE_FILTER = 1
OBS_SOURCE_VIDEO, OBS_SOURCE_ASYNC, OBS_SOURCE_CUSTOM_DRAW, OBS_SOURCE_SRGB = 1 << 0, 1 << 2, 1 << 3, 1 << 15
OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING = 2, 3
OBS_TEXT_DEFAULT, OBS_TEXT_INFO = 0, 3
OBS_TEXT_INFO_NORMAL, OBS_TEXT_INFO_WARNING = 0, 1
OBS_PATH_FILE = 0
OBS_GROUP_NORMAL = 1
OBS_TASK_UI = 0
LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG = 100, 200, 300, 400
LOG_PREFIX = "[obs-background-filter]"


class Vec2(Structure):
    """``struct vec2``: two floats."""

    _fields_ = [("x", c_float), ("y", c_float)]


class Vec4(Structure):
    """``struct vec4``: four floats, 16-byte aligned in libobs (it may be read with SSE)."""

    _fields_ = [("x", c_float), ("y", c_float), ("z", c_float), ("w", c_float)]


def aligned_vec4() -> Vec4:
    """A zeroed ``Vec4`` at a 16-byte boundary, as libobs's vector code expects."""
    storage = (c_uint8 * (ctypes.sizeof(Vec4) + 16))()
    offset = -ctypes.addressof(storage) % 16
    return Vec4.from_buffer(storage, offset)


Prototype = tuple[Any, list[Any]]

# Short calls that never block and never call back into Python: they keep the GIL (PyDLL), because giving it up and
# taking it back costs more than the call, and up to several ms when another script keeps the interpreter busy.
QUICK: dict[str, Prototype] = {
    "gs_texrender_reset": (None, [c_void_p]),
    "gs_texrender_get_texture": (c_void_p, [c_void_p]),
    "gs_effect_get_param_by_name": (c_void_p, [c_void_p, c_char_p]),
    "gs_effect_loop": (c_bool, [c_void_p, c_char_p]),
    "gs_effect_set_texture": (None, [c_void_p, c_void_p]),
    "gs_effect_set_texture_srgb": (None, [c_void_p, c_void_p]),
    "gs_effect_set_float": (None, [c_void_p, c_float]),
    "gs_effect_set_int": (None, [c_void_p, c_int]),
    "gs_effect_set_vec2": (None, [c_void_p, POINTER(Vec2)]),
    "gs_effect_set_vec4": (None, [c_void_p, POINTER(Vec4)]),
    "gs_draw_sprite": (None, [c_void_p, c_uint32, c_uint32, c_uint32]),
    "gs_clear": (None, [c_uint32, POINTER(Vec4), c_float, c_uint8]),
    "gs_ortho": (None, [c_float, c_float, c_float, c_float, c_float, c_float]),
    "gs_blend_state_push": (None, []),
    "gs_blend_state_pop": (None, []),
    "gs_blend_function": (None, [c_int, c_int]),
    "gs_blend_function_separate": (None, [c_int, c_int, c_int, c_int]),
    "gs_get_linear_srgb": (c_bool, []),
    "gs_set_linear_srgb": (c_bool, [c_bool]),
    "gs_framebuffer_srgb_enabled": (c_bool, []),
    "gs_enable_framebuffer_srgb": (None, [c_bool]),
    "obs_filter_get_target": (c_void_p, [c_void_p]),
    "obs_filter_get_parent": (c_void_p, [c_void_p]),
    "obs_source_get_output_flags": (c_uint32, [c_void_p]),
    "obs_get_frame_interval_ns": (c_uint64, []),
    "obs_source_get_name": (c_char_p, [c_void_p]),
    "obs_source_removed": (c_bool, [c_void_p]),
    "obs_source_showing": (c_bool, [c_void_p]),
    "obs_source_active": (c_bool, [c_void_p]),
    "obs_source_enabled": (c_bool, [c_void_p]),
    "obs_weak_source_get_source": (c_void_p, [c_void_p]),
}

# Calls that may take a lock, wait for the GPU, compile, or run other sources' (and scripts') code: the GIL is given up.
BLOCKING: dict[str, Prototype] = {
    "blog": (None, [c_int, c_char_p, c_char_p]),
    "bfree": (None, [c_void_p]),
    "obs_register_source_s": (None, [c_void_p, c_size_t]),
    "obs_enable_source_type": (None, [c_char_p, c_bool]),
    "obs_enter_graphics": (None, []),
    "obs_leave_graphics": (None, []),
    "obs_get_locale": (c_char_p, []),
    "obs_source_get_base_width": (c_uint32, [c_void_p]),
    "obs_source_get_base_height": (c_uint32, [c_void_p]),
    "obs_source_get_color_space": (c_int, [c_void_p, c_size_t, c_void_p]),
    "obs_source_video_render": (None, [c_void_p]),
    "obs_source_default_render": (None, [c_void_p]),
    "obs_source_skip_video_filter": (None, [c_void_p]),
    "obs_source_update_properties": (None, [c_void_p]),
    "obs_source_update": (None, [c_void_p, c_void_p]),
    "obs_source_set_enabled": (None, [c_void_p, c_bool]),
    "obs_queue_task": (None, [c_int, c_void_p, c_void_p, c_bool]),
    "obs_hotkey_register_source": (c_size_t, [c_void_p, c_char_p, c_char_p, c_void_p, c_void_p]),
    "obs_hotkey_unregister": (None, [c_size_t]),
    "obs_hotkey_set_name": (None, [c_size_t, c_char_p]),
    "obs_hotkey_set_description": (None, [c_size_t, c_char_p]),
    "obs_source_get_width": (c_uint32, [c_void_p]),
    "obs_source_get_height": (c_uint32, [c_void_p]),
    "obs_source_get_settings": (c_void_p, [c_void_p]),
    "obs_source_get_weak_source": (c_void_p, [c_void_p]),
    "obs_source_inc_showing": (None, [c_void_p]),
    "obs_source_dec_showing": (None, [c_void_p]),
    "obs_source_inc_active": (None, [c_void_p]),
    "obs_source_dec_active": (None, [c_void_p]),
    "obs_source_release": (None, [c_void_p]),
    "obs_weak_source_release": (None, [c_void_p]),
    "obs_get_source_by_name": (c_void_p, [c_char_p]),
    "obs_enum_sources": (None, [c_void_p, c_void_p]),
    "obs_enum_scenes": (None, [c_void_p, c_void_p]),
    "gs_texrender_create": (c_void_p, [c_int, c_int]),
    "gs_texrender_destroy": (None, [c_void_p]),
    "gs_texrender_begin_with_color_space": (c_bool, [c_void_p, c_uint32, c_uint32, c_int]),
    "gs_texrender_end": (None, [c_void_p]),
    "gs_stagesurface_create": (c_void_p, [c_uint32, c_uint32, c_int]),
    "gs_stagesurface_destroy": (None, [c_void_p]),
    "gs_stage_texture": (None, [c_void_p, c_void_p]),
    "gs_stagesurface_map": (c_bool, [c_void_p, POINTER(c_void_p), POINTER(c_uint32)]),
    "gs_stagesurface_unmap": (None, [c_void_p]),
    "gs_texture_create": (c_void_p, [c_uint32, c_uint32, c_int, c_uint32, c_void_p, c_uint32]),
    "gs_texture_destroy": (None, [c_void_p]),
    "gs_texture_set_image": (None, [c_void_p, c_char_p, c_uint32, c_bool]),
    "gs_effect_create_from_file": (c_void_p, [c_char_p, POINTER(c_void_p)]),
    "gs_effect_destroy": (None, [c_void_p]),
    "obs_data_get_double": (c_double, [c_void_p, c_char_p]),
    "obs_data_get_bool": (c_bool, [c_void_p, c_char_p]),
    "obs_data_get_int": (c_longlong, [c_void_p, c_char_p]),
    "obs_data_get_string": (c_char_p, [c_void_p, c_char_p]),
    "obs_data_set_string": (None, [c_void_p, c_char_p, c_char_p]),
    "obs_data_set_double": (None, [c_void_p, c_char_p, c_double]),
    "obs_data_set_bool": (None, [c_void_p, c_char_p, c_bool]),
    "obs_data_set_int": (None, [c_void_p, c_char_p, c_longlong]),
    "obs_data_release": (None, [c_void_p]),
    "obs_data_set_default_double": (None, [c_void_p, c_char_p, c_double]),
    "obs_data_set_default_bool": (None, [c_void_p, c_char_p, c_bool]),
    "obs_data_set_default_int": (None, [c_void_p, c_char_p, c_longlong]),
    "obs_data_set_default_string": (None, [c_void_p, c_char_p, c_char_p]),
    "obs_properties_create": (c_void_p, []),
    "obs_properties_get": (c_void_p, [c_void_p, c_char_p]),
    "obs_properties_add_color": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "obs_properties_add_float_slider": (c_void_p, [c_void_p, c_char_p, c_char_p, c_double, c_double, c_double]),
    "obs_properties_add_bool": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "obs_properties_add_list": (c_void_p, [c_void_p, c_char_p, c_char_p, c_int, c_int]),
    "obs_properties_add_text": (c_void_p, [c_void_p, c_char_p, c_char_p, c_int]),
    "obs_properties_add_path": (c_void_p, [c_void_p, c_char_p, c_char_p, c_int, c_char_p, c_char_p]),
    "obs_properties_add_button2": (c_void_p, [c_void_p, c_char_p, c_char_p, c_void_p, c_void_p]),
    "obs_properties_add_group": (c_void_p, [c_void_p, c_char_p, c_char_p, c_int, c_void_p]),
    "obs_property_list_add_string": (c_size_t, [c_void_p, c_char_p, c_char_p]),
    "obs_property_set_long_description": (None, [c_void_p, c_char_p]),
    "obs_property_set_modified_callback": (None, [c_void_p, c_void_p]),
    "obs_property_set_modified_callback2": (None, [c_void_p, c_void_p, c_void_p]),
    "obs_property_set_description": (None, [c_void_p, c_char_p]),
    "obs_property_set_visible": (None, [c_void_p, c_bool]),
    "obs_property_float_set_suffix": (None, [c_void_p, c_char_p]),
    "obs_property_text_set_info_type": (None, [c_void_p, c_int]),
}


class LibObs:
    """The functions of both tables as attributes, each bound with its result and argument types.

    Raises ``AttributeError`` naming the function if this libobs lacks one (OBS older than 28).
    """

    def __init__(self) -> None:
        self.profile = wanted_profile()
        name = "obs.dll" if sys.platform == "win32" else None
        for library, table in ((ctypes.PyDLL(name), QUICK), (ctypes.CDLL(name), BLOCKING)):
            for function_name, (result, arguments) in table.items():
                function = getattr(library, function_name)
                function.restype, function.argtypes = result, arguments
                setattr(self, function_name, self.profile.timed_call(function) if self.profile else function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not in the tables of libobs functions")

    def log(self, level: int, text: str) -> None:
        """One line in OBS's log file; WARNING is for what needs the user."""
        self.blog(level, b"%s", f"{LOG_PREFIX} {text}".encode())


@functools.cache
def libobs() -> LibObs:
    """The bound functions; the first call binds them."""
    return LibObs()
