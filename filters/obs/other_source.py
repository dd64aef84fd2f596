# SPDX-License-Identifier: GPL-2.0-or-later
"""Another source of OBS, drawn once per frame into a texture: what stands behind the person.

It is drawn on the tick, not while the filtered source is being drawn: libobs leaves out the filters of a source that it
is just drawing, so a scene that holds the camera would show its room. On the tick it draws the camera with its filters,
and ours draws nothing then.
"""

import time
from ctypes import CFUNCTYPE, c_bool, c_void_p
from dataclasses import dataclass

from .libobs import (
    GS_BLEND_INVSRCALPHA,
    GS_BLEND_ONE,
    GS_BLEND_SRCALPHA,
    GS_CLEAR_COLOR,
    GS_CS_SRGB,
    GS_RGBA,
    GS_RGBA16F,
    GS_ZS_NONE,
    OBS_SOURCE_VIDEO,
    LibObs,
    aligned_vec4,
)

# A source that is not there may come: scene collections load their sources one after the other.
LOOK_AGAIN_S = 0.5

EachSource = CFUNCTYPE(c_bool, c_void_p, c_void_p)


@dataclass(frozen=True)
class Backdrop:
    """A texture, premultiplied, in the colour space it was asked for, and its size in pixels."""

    texture: int
    width: int
    height: int

    def part(self, fit: str, width: int, height: int) -> tuple[float, float]:
        """The part of its width and height that ``width`` x ``height`` pixels span; above 1: more than there is. The
        centres lie on each other. ``fit``: fill (cut), fit (with a margin), stretch."""
        if fit == "stretch":
            return 1.0, 1.0
        scale_x, scale_y = width / self.width, height / self.height
        scale = max(scale_x, scale_y) if fit == "fill" else min(scale_x, scale_y)
        return scale_x / scale, scale_y / scale


class OtherSource:
    """Follows a source by its name. Never more than a weak reference stays from one call to the next, so a source that
    the user removes goes at once. What was added to its counts of views (showing, active) is taken back exactly once.

    ``hold`` and ``draw`` are called on the tick, ``release`` there or when the filter is destroyed. ``missing`` is the
    name of a source that is wanted and not there, else empty.
    """

    def __init__(self, obs: LibObs) -> None:
        self.is_drawing = False
        self.missing = ""
        self._obs = obs
        self._weak = self._address = 0
        self._name = ""
        self._showing = self._active = False
        self._look_again_s = 0.0
        self._texrender = 0
        self._is_float = False
        self._backdrop: Backdrop | None = None
        self._transparent = aligned_vec4()

    @property
    def backdrop(self) -> Backdrop | None:
        """What was drawn last; None: there is nothing to draw."""
        return self._backdrop

    def hold(self, name: str, showing: bool, active: bool) -> None:
        """Follow the source called ``name``, seen or not as the filtered source is. One that is renamed later is still
        followed, by its old name as well."""
        source = self._reference(name) or self._find(name)
        if not source:
            self._backdrop = None
            return
        self._show(source, showing, active)
        self._obs.obs_source_release(source)

    def draw(self, color_space: int) -> None:
        """Draw the source, in its own size, if it is held and seen."""
        obs = self._obs
        source = obs.obs_weak_source_get_source(self._weak) if self._weak and self._showing else 0
        if not source:
            self._backdrop = None
            return
        # A screenshot draws the filter on another thread, inside the graphics context: what it reads changes there.
        obs.obs_enter_graphics()
        self.is_drawing = True
        try:
            self._backdrop = self._drawn(source, color_space)
        finally:
            self.is_drawing = False
            obs.obs_leave_graphics()
            obs.obs_source_release(source)

    def renamed(self, name: str) -> str:
        """What the source that was chosen as ``name`` is called now; ``name`` if it is not held. On any thread: the
        address is only compared, for the tick may be letting the source go."""
        held = self._address if name == self._name else 0
        return next((now for source, now in video_sources(self._obs) if source == held), name)

    def release(self) -> None:
        """Hold nothing any more, and free the texture."""
        if self._weak:
            self._let_go(self._obs.obs_weak_source_get_source(self._weak) or 0)
        self.missing, self._look_again_s, self._backdrop = "", 0.0, None
        if self._texrender:
            self._obs.obs_enter_graphics()
            self._obs.gs_texrender_destroy(self._texrender)
            self._obs.obs_leave_graphics()
            self._texrender = 0

    def _reference(self, name: str) -> int:
        """A reference to the source that is held, if it still exists and is the one that ``name`` means; or 0."""
        if not self._weak:
            return 0
        source = int(self._obs.obs_weak_source_get_source(self._weak) or 0)
        if source and not self._obs.obs_source_removed(source):
            if name != self._name and name == _name_of(self._obs, source):
                self._name = name
            if name == self._name:
                return source
        self._let_go(source)
        return 0

    def _find(self, name: str) -> int:
        """A reference to the source called ``name``, held from now on; or 0."""
        obs, now_s = self._obs, time.monotonic()
        if not name or (name == self.missing and now_s < self._look_again_s):
            self.missing = name
            return 0
        self.missing, self._look_again_s = name, now_s + LOOK_AGAIN_S
        source = int(obs.obs_get_source_by_name(name.encode()) or 0)
        if not source:
            return 0
        if obs.obs_source_removed(source) or not obs.obs_source_get_output_flags(source) & OBS_SOURCE_VIDEO:
            obs.obs_source_release(source)
            return 0
        self.missing = ""
        self._weak, self._address, self._name = int(obs.obs_source_get_weak_source(source)), source, name
        return source

    def _show(self, source: int, showing: bool, active: bool) -> None:
        obs = self._obs
        if showing != self._showing:
            (obs.obs_source_inc_showing if showing else obs.obs_source_dec_showing)(source)
            self._showing = showing
        if active != self._active:  # clips play only while they are active
            (obs.obs_source_inc_active if active else obs.obs_source_dec_active)(source)
            self._active = active

    def _let_go(self, source: int) -> None:
        """Give back the weak reference, and ``source``, a reference to the same source (0: it has been destroyed, and
        its counts with it)."""
        if source:
            self._show(source, False, False)
            self._obs.obs_source_release(source)
        self._obs.obs_weak_source_release(self._weak)
        self._weak, self._address, self._name = 0, 0, ""
        self._showing = self._active = False

    def _drawn(self, source: int, color_space: int) -> Backdrop | None:
        obs = self._obs
        width, height = obs.obs_source_get_width(source), obs.obs_source_get_height(source)
        if not width or not height:
            return None
        is_float = color_space != GS_CS_SRGB
        if self._texrender and self._is_float != is_float:
            obs.gs_texrender_destroy(self._texrender)
            self._texrender = 0
        if not self._texrender:
            self._texrender = obs.gs_texrender_create(GS_RGBA16F if is_float else GS_RGBA, GS_ZS_NONE)
            self._is_float = is_float
        obs.gs_texrender_reset(self._texrender)
        if not obs.gs_texrender_begin_with_color_space(self._texrender, width, height, color_space):
            return None
        previous = obs.gs_set_linear_srgb(True)
        obs.gs_blend_state_push()
        obs.gs_blend_function_separate(GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_BLEND_INVSRCALPHA)
        obs.gs_clear(GS_CLEAR_COLOR, self._transparent, 0.0, 0)
        obs.gs_ortho(0.0, width, 0.0, height, -100.0, 100.0)
        obs.obs_source_video_render(source)
        obs.gs_blend_state_pop()
        obs.gs_set_linear_srgb(previous)
        obs.gs_texrender_end(self._texrender)
        texture = int(obs.gs_texrender_get_texture(self._texrender) or 0)
        return Backdrop(texture, width, height) if texture else None


def video_sources(obs: LibObs) -> list[tuple[int, str]]:
    """Address and name of every source and scene that has a picture. An address is good for comparing only."""
    found = []

    def note(_: int | None, source: int) -> bool:
        if obs.obs_source_get_output_flags(source) & OBS_SOURCE_VIDEO:
            found.append((source, _name_of(obs, source)))
        return True

    each = EachSource(note)
    obs.obs_enum_sources(each, None)
    obs.obs_enum_scenes(each, None)
    return found


def _name_of(obs: LibObs, source: int) -> str:
    return (obs.obs_source_get_name(source) or b"").decode(errors="replace")
