# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws the filter's picture: a kept frame through its mask, the mask alone, or everything blurred."""

from .capture import Downscaler
from .effect import Canvas, Effect
from .frames import KeptFrame
from .libobs import GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_DYNAMIC, GS_R8, LibObs
from .settings import FilterSettings

# The feathered mask is made at twice the mask's size: fine enough for an edge that is soft by intent.
FEATHER_SCALE = 2
# Taps to either side in the Feather technique, and how many standard deviations they span.
FEATHER_TAPS, FEATHER_SIGMAS = 12, 2.5
# "Blur everything" shows what these few pixels hold: shapes of light, nothing that could be read or recognised.
BLURRED_WIDTH, BLURRED_HEIGHT = 24, 14
PARAMETERS = ("image", "mask", "ramp_low", "ramp_scale", "blur_step", "blur_sigma", "image_size")


class Composer:
    """Use inside the graphics context; ``destroy`` frees the GPU's objects."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "compose", PARAMETERS)
        self._mask_texture = 0
        self._mask_size = (0, 0)
        self._feather_canvases = [Canvas(obs, GS_R8) for _ in range(3)]
        self._uploaded: tuple[int, int] | None = None
        self._feathered: tuple[object, ...] | None = None
        self._feathered_texture = 0

    def draw(self, frame: KeptFrame, settings: FilterSettings, width: int, height: int) -> None:
        """Draw ``frame`` through its mask (it must have one), over whatever OBS has drawn there."""
        texture = self._obs.gs_texrender_get_texture(frame.texrender)
        if not texture or not self._upload(frame):
            return
        mask_texture, (low, high) = self._mask_texture, settings.ramp()
        if settings.feather_px > 0:
            mask_texture = self._feather(frame, settings)
            low, high = 0.0, 1.0
        self._set_mask(mask_texture, low, high)
        if settings.preview_mask:
            self._draw(b"Mask", texture, width, height, linear=False)
        else:
            self._draw(b"Draw", texture, width, height, linear=self._obs.gs_get_linear_srgb())

    def draw_blurred(self, frame: KeptFrame, downscaler: Downscaler, width: int, height: int) -> None:
        """Draw ``frame`` blurred beyond recognition."""
        small = downscaler.reduce(frame, BLURRED_WIDTH, BLURRED_HEIGHT)
        if small:
            self._effect.set_vec2("image_size", BLURRED_WIDTH, BLURRED_HEIGHT)
            self._draw(b"Blurred", small, width, height, linear=self._obs.gs_get_linear_srgb())

    def destroy(self) -> None:
        """Free the GPU's objects."""
        if self._mask_texture:
            self._obs.gs_texture_destroy(self._mask_texture)
        for canvas in self._feather_canvases:
            canvas.destroy()
        self._effect.destroy()

    def _draw(self, technique: bytes, texture: int, width: int, height: int, linear: bool) -> None:
        obs = self._obs
        self._effect.set_texture("image", texture, srgb=linear)
        previous = obs.gs_framebuffer_srgb_enabled()
        obs.gs_enable_framebuffer_srgb(linear)
        obs.gs_blend_state_push()
        obs.gs_blend_function(GS_BLEND_ONE, GS_BLEND_INVSRCALPHA)
        self._effect.draw(technique, texture, width, height)
        obs.gs_blend_state_pop()
        obs.gs_enable_framebuffer_srgb(previous)

    def _set_mask(self, texture: int, low: float, high: float) -> None:
        self._effect.set_texture("mask", texture)
        self._effect.set_float("ramp_low", low)
        self._effect.set_float("ramp_scale", 1.0 / (high - low))

    def _upload(self, frame: KeptFrame) -> bool:
        """Bring the frame's mask to the GPU, once however often it is drawn; False if it has none."""
        mask = frame.mask
        if mask is None:
            return False
        if self._uploaded == (frame.frame_id, mask.publish_ns):
            return True
        size = (mask.width, mask.height)
        if self._mask_size != size:
            if self._mask_texture:
                self._obs.gs_texture_destroy(self._mask_texture)
            self._mask_texture = self._obs.gs_texture_create(*size, GS_R8, 1, None, GS_DYNAMIC)
            self._mask_size = size
        self._obs.gs_texture_set_image(self._mask_texture, mask.pixels, mask.row_bytes, False)
        self._uploaded = (frame.frame_id, mask.publish_ns)
        return True

    def _feather(self, frame: KeptFrame, settings: FilterSettings) -> int:
        """The mask with threshold and softness applied, then blurred so that its edge is ``feather_px`` wide to either
        side; made anew only for a new mask or new settings."""
        wanted = (self._uploaded, settings)
        if self._feathered == wanted:
            return self._feathered_texture
        width, height = (side * FEATHER_SCALE for side in self._mask_size)
        ramped, across, down = self._feather_canvases
        effect, mask_texture = self._effect, self._mask_texture
        self._set_mask(mask_texture, settings.ramp()[0], settings.ramp()[1])
        texture = ramped.draw(effect, b"Mask", mask_texture, width, height)
        effect.set_float("blur_sigma", FEATHER_TAPS / FEATHER_SIGMAS)
        for canvas, step_x, step_y in (
            (across, settings.feather_px / frame.width, 0.0),
            (down, 0.0, settings.feather_px / frame.height),
        ):
            effect.set_texture("mask", texture)
            effect.set_vec2("blur_step", step_x / FEATHER_TAPS, step_y / FEATHER_TAPS)
            texture = canvas.draw(effect, b"Feather", texture, width, height)
        self._feathered, self._feathered_texture = wanted, texture
        return texture
