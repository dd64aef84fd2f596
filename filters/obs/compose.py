# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws the filter's picture: a kept frame through its mask, with something behind it or not; the mask alone; or
everything blurred."""

from ..bridge.layout import FORMAT_R8_ALPHA, FORMAT_RGBA16F_FACTORS
from .blur import RoomBlur
from .capture import Downscaler
from .effect import MASK_PARAMETERS, Canvas, Effect, MaskInput, taps
from .frames import KeptFrame
from .libobs import GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_CS_SRGB, GS_DYNAMIC, GS_R8, GS_RGBA16F, LibObs
from .other_source import Backdrop
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
# Another source more than eight times as large as the frame skips texels.
BEHIND_TAPS = 4
PARAMETERS = (
    *MASK_PARAMETERS, "blur_step", "blur_sigma", "image_size", "colour", "linear_light", "behind", "behind_part",
    "behind_taps_x", "behind_taps_y",
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
        self._room_blur: RoomBlur | None = None
        self._room: tuple[object, ...] | None = None
        self._room_picture = (0, 0, 0)  # texture, width, height

    def draw(
        self, frame: KeptFrame, settings: FilterSettings, width: int, height: int, backdrop: Backdrop | None = None
    ) -> None:
        """Draw ``frame`` through its mask (it must have one), over whatever OBS has drawn there. ``backdrop``: the
        other source, if the settings want one and it is there.

        EffectError if the driver can't compile the blur, which is done when it is first wanted.
        """
        if settings.background != "blur":
            self._drop_room_blur()
        texture = self._obs.gs_texrender_get_texture(frame.texrender)
        if not texture or not self._upload(frame):
            return
        linear = not settings.preview_mask and self._obs.gs_get_linear_srgb()
        feathered = self._feather(frame, settings, texture) if settings.feather_px > 0 else 0
        technique = b"Mask"
        if not settings.preview_mask:
            technique = self._set_background(frame, settings, feathered, linear, backdrop)
        self._mask_input(frame, settings, feathered, linear).set(self._effect)
        self._draw(technique, texture, width, height, linear)

    def draw_blurred(self, frame: KeptFrame, downscaler: Downscaler, width: int, height: int) -> None:
        """Draw ``frame`` blurred beyond recognition."""
        small = downscaler.reduce(frame, BLURRED_WIDTH, BLURRED_HEIGHT)
        if small:
            linear = self._obs.gs_get_linear_srgb()
            self._effect.set_texture("small", small, srgb=linear)
            self._effect.set_vec2("small_size", BLURRED_WIDTH, BLURRED_HEIGHT)
            self._draw(b"Blurred", small, width, height, linear)

    def destroy(self) -> None:
        """Free the GPU's objects."""
        if self._mask_texture:
            self._obs.gs_texture_destroy(self._mask_texture)
        for canvas in self._feather_canvases:
            canvas.destroy()
        self._drop_room_blur()
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

    def _mask_input(self, frame: KeptFrame, settings: FilterSettings, feathered: int, linear: bool) -> MaskInput:
        """The final alpha. ``feathered``: the feathered mask, or 0; ``linear``: the shader reads linear light."""
        if feathered:
            return MaskInput(feathered, ALPHA, (0.0, 1.0), settings.invert)
        assert frame.mask  # as ``_upload`` has seen
        kind, region = mask_kind(frame, linear), frame.mask.region
        return MaskInput(self._mask_texture, kind, settings.ramp(), settings.invert, region)

    def _set_background(
        self, frame: KeptFrame, settings: FilterSettings, feathered: int, linear: bool, backdrop: Backdrop | None
    ) -> bytes:
        """Bring what stands behind the person to the shader; gives the technique."""
        effect, size = self._effect, (frame.width, frame.height)
        is_light = linear or frame.color_space != GS_CS_SRGB  # a float texture holds linear light, however it is read
        effect.set_vec2("image_size", *size)
        effect.set_int("linear_light", is_light)
        if settings.background == "color":
            effect.set_vec4("colour", colour_rgba(settings.background_color, is_light))
            return b"OnColour"
        if settings.background == "source" and backdrop:
            part = backdrop.part(settings.background_fit, *size)
            effect.set_texture("behind", backdrop.texture, srgb=linear)
            effect.set_vec2("behind_part", *part)
            effect.set_int("behind_taps_x", taps(backdrop.width * part[0], frame.width, BEHIND_TAPS))
            effect.set_int("behind_taps_y", taps(backdrop.height * part[1], frame.height, BEHIND_TAPS))
            return b"OnSource"
        if settings.background == "blur":
            room, room_width, room_height = self._blurred_room(frame, settings, feathered)
            if room:
                effect.set_texture("small", room)
                effect.set_vec2("small_size", room_width, room_height)
                return b"OnBlur"
        return b"Draw"

    def _blurred_room(self, frame: KeptFrame, settings: FilterSettings, feathered: int) -> tuple[int, int, int]:
        """The blurred room (texture, width, height), made anew only for a new mask or new settings."""
        if self._room_blur is None:
            self._room_blur = RoomBlur(self._obs)
        wanted = (self._uploaded, settings)
        if self._room != wanted:
            mask = self._mask_input(frame, settings, feathered, linear=True)
            self._room_picture = self._room_blur.draw(frame, mask, settings.blur_strength)
            self._room = wanted
        return self._room_picture

    def _drop_room_blur(self) -> None:
        if self._room_blur:
            self._room_blur.destroy()
        self._room_blur, self._room = None, None

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
        region, scale = frame.mask.region, FEATHER_SCALE[frame.mask.pixel_format]
        width, height = (
            min(round(side * scale / region.side), max(frame_side, side * scale))  # all of the frame, if not finer
            for side, frame_side in zip(self._mask_shape[:2], (frame.width, frame.height), strict=True)
        )
        ramped, across, down = self._feather_canvases
        effect, mask_texture = self._effect, self._mask_texture
        effect.set_texture("image", frame_texture)
        MaskInput(mask_texture, mask_kind(frame, linear=False), settings.ramp(), region=region).set(effect)
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


def colour_rgba(colour_abgr: int, is_light: bool) -> tuple[float, float, float, float]:
    """A colour as OBS stores it (0xAABBGGRR), opaque, as the shader takes it: sRGB-encoded, or linear light."""
    red, green, blue = ((colour_abgr >> shift & 0xFF) / 255 for shift in (0, 8, 16))
    if is_light:
        red, green, blue = (
            each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in (red, green, blue)
        )
    return red, green, blue, 1.0


def mask_kind(frame: KeptFrame, linear: bool) -> int:
    """How the shader reads the mask of ``frame``; ``linear``: it reads the frame's colours as linear light."""
    if not frame.mask or frame.mask.pixel_format == FORMAT_R8_ALPHA:
        return ALPHA
    # A float texture holds linear light, however it is read.
    return FACTORS_OF_LINEAR if linear or frame.color_space != GS_CS_SRGB else FACTORS
