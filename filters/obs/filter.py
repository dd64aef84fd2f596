# SPDX-License-Identifier: GPL-2.0-or-later
"""One *Background Filter* on one source. ``render`` reads as the data path: capture, bridge, mask, compose.

Fail closed: whatever goes wrong, what is not covered by a fresh mask is not drawn, unless the user chose otherwise.
"""

import ctypes
import time
from collections import deque

from ..bridge.problems import BridgeError, Problem
from ..bridge.region import WHOLE, Region, has_room_for_two
from .capture import Downscaler, Stager
from .compose import Composer
from .effect import EffectError
from .engine_host import EngineHost
from .frames import FrameRing, KeptFrame, Pacing
from .libobs import (
    GS_CS_709_EXTENDED,
    GS_CS_SRGB,
    GS_CS_SRGB_16F,
    LOG_ERROR,
    LOG_INFO,
    LibObs,
)
from .link import Link
from .other_source import OtherSource
from .settings import DEFAULTS, FilterSettings
from .words import figures

# A picture whose frame is older than this is out of date: the engine hangs, died or can't keep up. With a canvas of few
# frames per second, or a network that is slow by nature, some frames or masks more are waited for.
FRESH_S, FRESH_FRAMES, FRESH_MASKS, FRESH_AT_MOST_S = 1.0, 6, 3, 5.0
READ_STATUS_EVERY_FRAMES = 8
# The age of masks that is foreseen is the middle one of so many: a frame that took long once does not count.
MASK_AGES = 15

_COLOR_SPACES = (ctypes.c_int * 3)(GS_CS_SRGB, GS_CS_SRGB_16F, GS_CS_709_EXTENDED)


class BackgroundFilter:
    """The state of one filter instance. ``tick``, ``render`` and ``destroy`` are called by OBS; ``render`` inside the
    graphics context. ``source`` is the filter's own ``obs_source_t``."""

    def __init__(self, obs: LibObs, host: EngineHost, source: int) -> None:
        self.obs, self.source = obs, source
        self.settings: FilterSettings = DEFAULTS
        self.stream = host.add_stream()
        self.delay_ms = self._mask_age_ms = 0.0
        self.problem: Problem | None = None
        self._host = host
        self._other = OtherSource(obs)
        self._link: Link | None = None
        self._frame_is_new = True
        self._frames_seen = 0
        self._next_frame_id = 1
        self._size = (0, 0)
        self._mask_size = (0, 0)
        self._wanted_region = WHOLE
        self._last_render_ns = self._last_mask_ns = 0
        self._frame_s = self._mask_s = 0.0
        self._mask_ages_ms: deque[float] = deque(maxlen=MASK_AGES)
        self._in_hand_id = 0
        self._pacing = Pacing()
        self._shown: KeptFrame | None = None
        self._gpu: tuple[FrameRing, Downscaler, Stager, Composer] | None = None

    def tick(self, seconds: float) -> None:
        """A new video frame begins, ``seconds`` after the last; however many views render it, it is captured once."""
        self._frame_is_new, self._frame_s = True, seconds
        if self.settings.background == "source":
            self._draw_other_source(self.settings.background_source)
        else:
            self._other.release()

    def render(self) -> None:
        """Draw the filter's picture at the origin, in the size of its target."""
        if self._other.is_drawing:  # the other source holds this filter's own: nothing of it is behind itself
            return
        try:
            self._render()
        except EffectError as error:
            self.problem = Problem("effect.failed", {"detail": str(error)})
            self.obs.log(LOG_ERROR, f"shader: {error}")

    def _render(self) -> None:
        obs = self.obs
        target, parent = obs.obs_filter_get_target(self.source), obs.obs_filter_get_parent(self.source)
        if not target or not parent or self.problem:
            return
        size = obs.obs_source_get_base_width(target), obs.obs_source_get_base_height(target)
        if not all(size):
            return
        frames, downscaler, _, composer = self._gpu_objects()
        if self._frame_is_new:
            self._frame_is_new = False
            before, self._shown = self._shown, None  # whatever fails below, nothing outdated is drawn
            self._shown = self._advance(parent, target, size, before)
        if self._shown:
            composer.draw(self._shown, self.settings, *size, self._other.backdrop)
        elif self.settings.without_mask == "source":
            obs.obs_source_skip_video_filter(self.source)
        elif self.settings.without_mask == "blur":
            frame = frames.newest()
            if frame:
                composer.draw_blurred(frame, downscaler, *size)

    def background_problem(self) -> Problem | None:
        """The source that should stand behind the person is not there."""
        missing = self._other.missing
        return Problem("background.missing", {"name": missing}) if missing else None

    def update_names(self, data: int) -> None:
        """Write into the settings, an ``obs_data_t``, what the other source is called by now, if it was renamed."""
        key = b"background_source"
        stored = (self.obs.obs_data_get_string(data, key) or b"").decode(errors="replace")
        current = self._other.renamed(stored)
        if current != stored:
            self.obs.obs_data_set_string(data, key, current.encode())

    def color_space(self) -> int:
        """The space that ``render`` draws in: the target's own."""
        target = self.obs.obs_filter_get_target(self.source)
        return self._target_space(target) if target else GS_CS_SRGB

    def destroy(self) -> None:
        """The filter is gone: free the GPU's objects and the shared memory."""
        if self.stream.status:
            last_words = figures(self.stream.status, self.delay_ms)
            self.obs.log(LOG_INFO, f"filter {self.stream.number} ends: {last_words}")
        self._host.remove_stream(self.stream)
        self._other.release()
        if self._gpu:
            self.obs.obs_enter_graphics()
            for part in self._gpu:
                part.destroy()
            self.obs.obs_leave_graphics()
            self._gpu = None
        for link in {self._link, self.stream.link} - {None}:
            assert link
            link.close()
        self._link = self.stream.link = None

    def _draw_other_source(self, name: str) -> None:
        obs = self.obs
        target, parent = obs.obs_filter_get_target(self.source), obs.obs_filter_get_parent(self.source)
        is_on = bool(target and parent and obs.obs_source_enabled(self.source))
        showing = is_on and obs.obs_source_showing(parent)
        self._other.hold(name, showing, showing and obs.obs_source_active(parent))
        if showing:
            self._other.draw(self._target_space(target))

    def _advance(self, parent: int, target: int, size: tuple[int, int], shown: KeptFrame | None) -> KeptFrame | None:
        """Once per video frame: send what was staged, take the masks that came, capture anew; gives the frame to show.

        ``shown`` is the one shown so far. None: there is no frame with a fresh mask.
        """
        frames, downscaler, stager, _ = self._gpu_objects()
        now_ns = time.monotonic_ns()
        if size != self._size or now_ns - self._last_render_ns > self._fresh_ns():
            frames.forget()
            stager.drop()
            self._size, shown, self._wanted_region = size, None, WHOLE
            self._last_mask_ns, self._mask_s = 0, 0.0  # a pause says nothing of how fast masks come
        self._last_render_ns = now_ns
        link = self._current_link(stager)
        if not link and self.settings.without_mask != "blur":
            return None
        if link:
            if not self._is_undelayed:
                stager.hand_over(link, self.settings, 0.0)
            self._take_masks(link, frames)
        frame = frames.capture(
            parent, target, size, self._target_space(target), self._needed_ids(frames, shown) if link else set()
        )
        frame.frame_id, frame.capture_ns = self._next_frame_id, now_ns
        self._next_frame_id += 1
        if not link:
            return None
        region = self._region()
        small = downscaler.reduce(frame, *self._mask_size, region)
        if small:
            stager.stage(small, frame, *self._mask_size, region)
        if self._is_undelayed:
            stager.hand_over(link, self.settings, self._mask_age_ms)
            return self._with_newest_mask(frame, frames, now_ns)
        return self._choose(frames, shown, now_ns)

    def _take_masks(self, link: Link, frames: FrameRing) -> None:
        self._in_hand_id = link.frame_in_hand_id()  # before the masks: what is no longer in hand has its mask there
        masks = link.take_masks()
        for mask in masks:
            self._pacing.note(self._next_frame_id - mask.frame_id)
            if self._last_mask_ns:
                self._mask_s = (mask.publish_ns - self._last_mask_ns) / 1e9
            self._last_mask_ns = mask.publish_ns
            self._wanted_region = mask.wanted
        frames.attach(masks)

    def _region(self) -> Region:
        """The part of the frame that the engine gets beside the whole."""
        may_look_closer = self.settings.attention and has_room_for_two(*self._mask_size)
        return self._wanted_region if may_look_closer else WHOLE

    def _needed_ids(self, frames: FrameRing, shown: KeptFrame | None) -> set[int]:
        """The frames whose textures must not be used again yet."""
        needed = set(range(self._next_frame_id - self._pacing.delay_frames - 1, self._next_frame_id))
        needed.add(self._in_hand_id)
        for frame in (shown, frames.newest_with_mask(self._next_frame_id)):
            if frame:
                needed.add(frame.frame_id)
        return needed

    def _choose(self, frames: FrameRing, shown: KeptFrame | None, now_ns: int) -> KeptFrame | None:
        """The newest frame that has its mask and is as late as the delay asks, never one before ``shown``."""
        newest_id = self._next_frame_id - 1
        due = frames.newest_with_mask(newest_id - self._pacing.delay_frames)
        if shown and (not due or due.frame_id < shown.frame_id):
            due = shown
        if not due or now_ns - due.capture_ns > self._fresh_ns():
            return None
        age_ms = (now_ns - due.capture_ns) / 1e6
        self.delay_ms += (0.05 if self.delay_ms else 1.0) * (age_ms - self.delay_ms)
        return due

    def _with_newest_mask(self, frame: KeptFrame, frames: FrameRing, now_ns: int) -> KeptFrame | None:
        """``frame``, just captured, with the newest mask there is, which the engine has moved ahead to about now."""
        masked = frames.newest_with_mask(self._next_frame_id - 1)
        if not masked or now_ns - masked.capture_ns > self._fresh_ns():
            return None
        frame.mask = masked.mask
        age_ms = (now_ns - masked.capture_ns) / 1e6
        self._mask_ages_ms.append(age_ms)
        self._mask_age_ms = sorted(self._mask_ages_ms)[len(self._mask_ages_ms) // 2]
        self.delay_ms = 0.0
        return frame

    @property
    def _is_undelayed(self) -> bool:
        return self.settings.timing == "no_delay"

    def _fresh_ns(self) -> float:
        """How old a frame may be and still be shown, in nanoseconds."""
        slow_s = max(FRESH_FRAMES * self._frame_s, FRESH_MASKS * self._mask_s)
        return 1e9 * max(FRESH_S, min(slow_s, FRESH_AT_MOST_S))

    def _current_link(self, stager: Stager) -> Link | None:
        """The link to a running engine whose model is ready, and ``_mask_size`` set to the model's input; or None."""
        link = self.stream.link
        if link is not self._link:
            stager.drop()
            if self._link:
                self._link.close()
            self._link, self._mask_size, self._frames_seen, self._wanted_region = link, (0, 0), 0, WHOLE
        if not link:
            return None
        self._frames_seen += 1
        if not all(self._mask_size) or self._frames_seen % READ_STATUS_EVERY_FRAMES == 0:
            try:
                status = link.status()
            except BridgeError:
                return None
            self._mask_size = (status.input_width, status.input_height)
        return link if all(self._mask_size) else None

    def _target_space(self, target: int) -> int:
        return int(self.obs.obs_source_get_color_space(target, len(_COLOR_SPACES), _COLOR_SPACES))

    def _gpu_objects(self) -> tuple[FrameRing, Downscaler, Stager, Composer]:
        """Made on the first render: only then is the graphics context ours, and a hidden source needs none."""
        if self._gpu is None:
            obs = self.obs
            self._gpu = FrameRing(obs), Downscaler(obs), Stager(obs), Composer(obs)
        return self._gpu
