# SPDX-License-Identifier: GPL-2.0-or-later
"""The last few frames of a source, whole, on the GPU, each waiting for its own mask; and which of them is shown."""

from collections import deque
from dataclasses import dataclass

from ..bridge.mask_slots import Mask
from .libobs import (
    GS_BLEND_INVSRCALPHA,
    GS_BLEND_ONE,
    GS_BLEND_SRCALPHA,
    GS_CLEAR_COLOR,
    GS_CS_SRGB,
    GS_RGBA,
    GS_RGBA16F,
    GS_ZS_NONE,
    OBS_SOURCE_ASYNC,
    OBS_SOURCE_CUSTOM_DRAW,
    LibObs,
    aligned_vec4,
)

# Staged in one frame, mapped in the next, its mask there in the one after that: no mask comes earlier.
MIN_DELAY_FRAMES, MAX_DELAY_FRAMES = 2, 4
# Shown, newest with a mask, in the engine's hands, staged, being captured, and the delay between them.
MAX_KEPT_FRAMES = MAX_DELAY_FRAMES + 5
# A mask that came this many frames ago still votes on the delay: two to four seconds.
VOTES = 120


@dataclass
class KeptFrame:
    """One captured frame: its texture (of a texrender, ``width`` x ``height``, in ``color_space``; 0 if the GPU refused
    it), and its mask once it came."""

    texrender: int
    is_float: bool
    texture: int = 0
    frame_id: int = 0
    capture_ns: int = 0
    width: int = 0
    height: int = 0
    color_space: int = GS_CS_SRGB
    mask: Mask | None = None


class FrameRing:
    """Keeps frames by id. A texture is used again when its frame is neither shown, nor with the engine, nor among the
    newest ones. All methods run on the graphics thread inside the graphics context."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._frames: list[KeptFrame] = []
        self._transparent = aligned_vec4()

    def newest(self) -> KeptFrame | None:
        """The frame captured last, or None."""
        return max(self._frames, key=lambda frame: frame.frame_id, default=None)

    def forget(self) -> None:
        """No kept frame may be shown again: the source changed size, or time has passed."""
        for frame in self._frames:
            frame.frame_id, frame.mask = 0, None

    def destroy(self) -> None:
        """Free the textures."""
        for frame in self._frames:
            self._obs.gs_texrender_destroy(frame.texrender)
        self._frames.clear()

    def capture(
        self, parent: int, target: int, size: tuple[int, int], color_space: int, keep_ids: set[int]
    ) -> KeptFrame:
        """Draw ``target`` into a free texture. The caller gives the frame its id."""
        frame = self._free_frame(color_space != GS_CS_SRGB, keep_ids)
        frame.frame_id, frame.mask, frame.texture = 0, None, 0
        frame.width, frame.height, frame.color_space = *size, color_space
        obs = self._obs
        obs.gs_texrender_reset(frame.texrender)
        if not obs.gs_texrender_begin_with_color_space(frame.texrender, frame.width, frame.height, color_space):
            return frame
        obs.gs_blend_state_push()
        obs.gs_blend_function_separate(GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_BLEND_INVSRCALPHA)
        obs.gs_clear(GS_CLEAR_COLOR, self._transparent, 0.0, 0)
        obs.gs_ortho(0.0, frame.width, 0.0, frame.height, -100.0, 100.0)
        flags = obs.obs_source_get_output_flags(parent)
        if target == parent and not flags & (OBS_SOURCE_CUSTOM_DRAW | OBS_SOURCE_ASYNC):
            obs.obs_source_default_render(target)
        else:
            obs.obs_source_video_render(target)
        obs.gs_blend_state_pop()
        obs.gs_texrender_end(frame.texrender)
        frame.texture = obs.gs_texrender_get_texture(frame.texrender) or 0
        return frame

    def attach(self, masks: list[Mask]) -> None:
        """Give each mask to the frame it was computed from; masks of frames that are gone are dropped."""
        for mask in masks:
            for frame in self._frames:
                if frame.frame_id == mask.frame_id:
                    frame.mask = mask

    def newest_with_mask(self, at_most_id: int) -> KeptFrame | None:
        """The newest frame with its own mask and an id up to ``at_most_id``."""
        with_mask = [
            frame
            for frame in self._frames
            if frame.mask and frame.mask.frame_id == frame.frame_id and 0 < frame.frame_id <= at_most_id
        ]
        return max(with_mask, key=lambda frame: frame.frame_id, default=None)

    def _free_frame(self, is_float: bool, keep_ids: set[int]) -> KeptFrame:
        free = [frame for frame in self._frames if frame.frame_id not in keep_ids or not frame.frame_id]
        if len(self._frames) < MAX_KEPT_FRAMES and not any(not frame.frame_id for frame in free):
            frame = KeptFrame(0, is_float)
            self._frames.append(frame)
        else:
            frame = min(free or self._frames, key=lambda frame: frame.frame_id)
        if not frame.texrender or frame.is_float != is_float:
            if frame.texrender:
                self._obs.gs_texrender_destroy(frame.texrender)
            texture_format = GS_RGBA16F if is_float else GS_RGBA
            frame.texrender = self._obs.gs_texrender_create(texture_format, GS_ZS_NONE)
            frame.is_float = is_float
        return frame


class Pacing:
    """The fixed delay of the picture, in frames: the fewest after which (nearly) every frame's mask is there.

    It rises as soon as three of the last thirty masks came later than it allows, and falls when for the last
    ``VOTES`` masks a shorter one would have done.
    """

    def __init__(self) -> None:
        self.delay_frames = MIN_DELAY_FRAMES
        self._ages: deque[int] = deque(maxlen=VOTES)

    def note(self, age_frames: int) -> None:
        """A mask arrived ``age_frames`` frames after its frame was captured."""
        self._ages.append(age_frames)
        late = [age for age in list(self._ages)[-30:] if age > self.delay_frames]
        if len(late) >= 3:
            self.delay_frames = min(min(late), MAX_DELAY_FRAMES)
        elif len(self._ages) == VOTES and max(self._ages) < self.delay_frames:
            self.delay_frames = max(MIN_DELAY_FRAMES, max(self._ages))
            self._ages.clear()
