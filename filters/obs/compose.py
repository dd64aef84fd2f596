# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws the filter's picture: a kept frame through its mask, the mask alone, or everything blurred."""

from ..bridge.layout import FORMAT_R8_ALPHA, FORMAT_RGBA16F_FACTORS
from .capture import Downscaler
from .effect import Canvas, Effect
from .frames import KeptFrame
from .libobs import GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_CS_SRGB, GS_DYNAMIC, GS_R8, GS_RGBA16F, LibObs
from .settings import FilterSettings

# The feathered mask is made at twice the network's size (factors have half of it): fine enough for an edge that is soft
# by intent.
FEATHER_SCALE = {FORMAT_R8_ALPHA: 2, FORMAT_RGBA16F_FACTORS: 4}
TEXTURE_FORMAT = {FORMAT_R8_ALPHA: GS_R8, FORMAT_RGBA16F_FACTORS: GS_RGBA16F}
# As in the shader.
ALPHA, FACTORS, FACTORS_OF_LINEAR = 0, 1, 2
# Taps to either side in the Feather technique, and how many standard deviations they span.
FEATHER_TAPS, FEATHER_SIGMAS = 12, 2.5
# "Blur everything" shows what these few pixels hold: shapes of light, nothing that could be read or recognised.
BLURRED_WIDTH, BLURRED_HEIGHT = 24, 14
PARAMETERS = (
    "image", "mask", "mask_kind", "ramp_low", "ramp_scale", "blur_step", "blur_sigma", "image_size",
)  # fmt: skip


class Composer:
    """Use inside the graphics context; ``destroy`` frees the GPU's objects."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "compose", PARAMETERS)
        self._mask_texture = 0
        self._mask_shape = (0, 0, 0)  # width, height, texture format
        self._feather_canvases = [Canvas(obs, GS_R8) for _ in range(3)]
        self._uploaded: tuple[int, int] | None = None
        self._feathered: tuple[object, ...] | None = None
        self._feathered_texture = 0

    def draw(self, frame: KeptFrame, settings: FilterSettings, width: int, height: int) -> None:
        """Draw ``frame`` through its mask (it must have one), over whatever OBS has drawn there."""
        texture = self._obs.gs_texrender_get_texture(frame.texrender)
        if not texture or not self._upload(frame):
            return
        linear = not settings.preview_mask and self._obs.gs_get_linear_srgb()
        if settings.feather_px > 0:
            self._set_mask(self._feather(frame, settings, texture), ALPHA, (0.0, 1.0))
        else:
            self._set_mask(self._mask_texture, mask_kind(frame, linear), settings.ramp())
        self._draw(b"Mask" if settings.preview_mask else b"Draw", texture, width, height, linear)

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

    def _set_mask(self, texture: int, kind: int, ramp: tuple[float, float]) -> None:
        low, high = ramp
        self._effect.set_texture("mask", texture)
        self._effect.set_int("mask_kind", kind)
        self._effect.set_float("ramp_low", low)
        self._effect.set_float("ramp_scale", 1.0 / (high - low))

    def _upload(self, frame: KeptFrame) -> bool:
        """Bring the frame's mask to the GPU, once however often it is drawn; False if it has none."""
        mask = frame.mask
        if mask is None:
            return False
        if self._uploaded == (frame.frame_id, mask.publish_ns):
            return True
        shape = (mask.width, mask.height, TEXTURE_FORMAT[mask.pixel_format])
        if self._mask_shape != shape:
            if self._mask_texture:
                self._obs.gs_texture_destroy(self._mask_texture)
            self._mask_texture = self._obs.gs_texture_create(*shape, 1, None, GS_DYNAMIC)
            self._mask_shape = shape
        self._obs.gs_texture_set_image(self._mask_texture, mask.pixels, mask.row_bytes, False)
        self._uploaded = (frame.frame_id, mask.publish_ns)
        return True

    def _feather(self, frame: KeptFrame, settings: FilterSettings, frame_texture: int) -> int:
        """The mask with threshold and softness applied, then blurred so that its edge is ``feather_px`` wide to either
        side; made anew only for a new mask or new settings."""
        wanted = (self._uploaded, settings)
        if self._feathered == wanted:
            return self._feathered_texture
        assert frame.mask  # as ``_upload`` has seen
        width, height = (side * FEATHER_SCALE[frame.mask.pixel_format] for side in self._mask_shape[:2])
        ramped, across, down = self._feather_canvases
        effect, mask_texture = self._effect, self._mask_texture
        effect.set_texture("image", frame_texture)
        self._set_mask(mask_texture, mask_kind(frame, linear=False), settings.ramp())
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


def mask_kind(frame: KeptFrame, linear: bool) -> int:
    """How the shader reads the mask of ``frame``; ``linear``: it reads the frame's colours as linear light."""
    if not frame.mask or frame.mask.pixel_format == FORMAT_R8_ALPHA:
        return ALPHA
    # A float texture holds linear light, however it is read.
    return FACTORS_OF_LINEAR if linear or frame.color_space != GS_CS_SRGB else FACTORS
