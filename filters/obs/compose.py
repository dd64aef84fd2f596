# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws the filter's picture: a kept frame through its mask, with something behind it or not; the mask alone; or
everything blurred."""

from ..bridge.layout import FORMAT_R8_ALPHA, FORMAT_RGBA16F_FACTORS
from .blur import RoomBlur
from .capture import Downscaler
from .despill import Despill
from .edge import EdgeShaper
from .effect import ALPHA, FACTORS, FACTORS_OF_LINEAR, MASK_PARAMETERS, Effect, MaskInput, taps
from .frames import KeptFrame
from .libobs import GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_CS_SRGB, GS_DYNAMIC, GS_R8, GS_RGBA16F, LibObs
from .other_source import Backdrop
from .settings import FilterSettings
from .steady import SteadyAlpha

TEXTURE_FORMAT = {FORMAT_R8_ALPHA: GS_R8, FORMAT_RGBA16F_FACTORS: GS_RGBA16F}
# "Blur everything" shows what these few pixels hold: shapes of light, nothing that could be read or recognised.
BLURRED_WIDTH, BLURRED_HEIGHT = 24, 14
# Another source more than eight times as large as the frame skips texels.
BEHIND_TAPS = 4
PARAMETERS = (
    *MASK_PARAMETERS, "image_size", "colour", "linear_light", "behind", "behind_part", "behind_taps_x", "behind_taps_y",
)  # fmt: skip


class Composer:
    """Use inside the graphics context; ``destroy`` frees the GPU's objects."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "compose", PARAMETERS)
        self._mask_texture = 0
        self._mask_shape = (0, 0, 0)  # width, height, texture format
        self._uploaded: tuple[int, int] | None = None
        self._steady: SteadyAlpha | None = None
        self._edge: EdgeShaper | None = None
        self._made: tuple[object, ...] | None = None
        self._made_alpha: MaskInput | None = None
        self._despill: Despill | None = None
        self._made_picture = 0  # the frame with her own colours in her edge, or as it is
        self._room_blur: RoomBlur | None = None
        self._room: tuple[object, ...] | None = None
        self._room_picture = (0, 0, 0)  # texture, width, height

    def draw(
        self, frame: KeptFrame, settings: FilterSettings, width: int, height: int, backdrop: Backdrop | None = None
    ) -> None:
        """Draw ``frame`` through its mask (it must have one), over whatever OBS has drawn there. ``backdrop``: the
        other source, if the settings want one and it is there.

        EffectError if the driver can't compile what is first wanted now.
        """
        if settings.background != "blur":
            self._drop_room_blur()
        if not frame.texture or not self._upload(frame):
            return
        made, picture = self._made_of(frame, settings)
        if not picture or (made and not made.texture):  # the GPU refused
            return
        linear = not settings.preview_mask and self._obs.gs_get_linear_srgb()
        technique = b"Mask"
        if not settings.preview_mask:
            technique = self._set_background(frame, settings, made, linear, backdrop)
        self._mask_input(frame, settings, made, linear).set(self._effect)
        self._draw(technique, picture, width, height, linear)

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
        for part in (self._steady, self._edge, self._despill):
            if part:
                part.destroy()
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

    def _mask_input(
        self, frame: KeptFrame, settings: FilterSettings, made: MaskInput | None, linear: bool
    ) -> MaskInput:
        """The final alpha. ``made``: alpha at the frame's size, if the mask is not drawn as it came; ``linear``: the
        shader reads linear light."""
        if made:
            return made._replace(invert=True) if settings.invert else made
        return self._stored(frame, settings, linear, settings.invert)

    def _stored(self, frame: KeptFrame, settings: FilterSettings, linear: bool, invert: bool = False) -> MaskInput:
        """The mask as it came."""
        assert frame.mask  # as ``_upload`` has seen
        kind, region = mask_kind(frame, linear), frame.mask.region
        return MaskInput(self._mask_texture, kind, settings.ramp(), invert, region)

    def _made_of(self, frame: KeptFrame, settings: FilterSettings) -> tuple[MaskInput | None, int]:
        """Alpha at the frame's size, steady, grown and feathered as the settings want it (None: the mask is to be drawn
        as it came), and the picture to be drawn through it. Made anew only for a new mask or new settings."""
        self._drop_unused(settings)
        wanted = (self._uploaded, settings)
        if self._made != wanted:
            alpha = self._make_alpha(frame, settings)
            self._made, self._made_alpha, self._made_picture = wanted, alpha, frame.texture
            if alpha and wants_despill(settings):
                self._despill = self._despill or Despill(self._obs)
                self._made_picture = self._despill.draw(frame, alpha)
        return self._made_alpha, self._made_picture

    def _make_alpha(self, frame: KeptFrame, settings: FilterSettings) -> MaskInput | None:
        obs, alpha = self._obs, None
        stored = self._stored(frame, settings, linear=False)
        if settings.smoothing > 0:
            self._steady = self._steady or SteadyAlpha(obs)
            alpha = self._steady.draw(frame, stored, settings.smoothing, settings)
        if wants_shaping(settings):
            self._edge = self._edge or EdgeShaper(obs)
            alpha = alpha or self._edge.whole(frame, stored)
            if settings.grow_px:
                alpha = self._edge.grow(frame, alpha, settings.grow_px)
            if settings.feather_px > 0:
                alpha = self._edge.feather(frame, alpha, settings.feather_px)
        return alpha

    def _drop_unused(self, settings: FilterSettings) -> None:
        """Textures at the frame's size that these settings don't want are freed."""
        if self._steady and settings.smoothing <= 0:
            self._steady.destroy()
            self._steady = None
        if self._edge and not wants_shaping(settings):
            self._edge.destroy()
            self._edge = None
        if self._despill and not wants_despill(settings):
            self._despill.destroy()
            self._despill = None

    def _set_background(
        self,
        frame: KeptFrame,
        settings: FilterSettings,
        made: MaskInput | None,
        linear: bool,
        backdrop: Backdrop | None,
    ) -> bytes:
        """Bring what stands behind the person to the shader; gives the technique."""
        effect, size = self._effect, (frame.width, frame.height)
        is_light = linear or frame.color_space != GS_CS_SRGB  # a float texture holds linear light, however it is read
        if settings.background == "color":
            effect.set_vec4("colour", *colour_rgba(settings.background_color, is_light))
            return b"OnColour"
        if settings.background == "source" and backdrop:
            part = backdrop.part(settings.background_fit, *size)
            effect.set_vec2("image_size", *size)
            effect.set_texture("behind", backdrop.texture, srgb=linear)
            effect.set_vec2("behind_part", *part)
            effect.set_int("behind_taps_x", taps(backdrop.width * part[0], frame.width, BEHIND_TAPS))
            effect.set_int("behind_taps_y", taps(backdrop.height * part[1], frame.height, BEHIND_TAPS))
            return b"OnSource"
        if settings.background == "blur":
            room, room_width, room_height = self._blurred_room(frame, settings, made)
            if room:
                effect.set_vec2("image_size", *size)
                effect.set_int("linear_light", is_light)
                effect.set_texture("small", room)
                effect.set_vec2("small_size", room_width, room_height)
                return b"OnBlur"
        return b"Draw"

    def _blurred_room(self, frame: KeptFrame, settings: FilterSettings, made: MaskInput | None) -> tuple[int, int, int]:
        """The blurred room (texture, width, height), made anew only for a new mask or new settings."""
        if self._room_blur is None:
            self._room_blur = RoomBlur(self._obs)
        wanted = (self._uploaded, settings)
        if self._room != wanted:
            mask = self._mask_input(frame, settings, made, linear=True)
            self._room_picture = self._room_blur.draw(frame, mask, settings.blur_strength, settings.blur_falloff)
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


def wants_shaping(settings: FilterSettings) -> bool:
    """Whether alpha is to be made at the frame's size even if it is not smoothed."""
    return bool(settings.grow_px) or settings.feather_px > 0 or wants_despill(settings)


def wants_despill(settings: FilterSettings) -> bool:
    """Whether the picture gets her own colours in her edge; inverted, it is the room that is shown."""
    return settings.despill and not settings.invert and not settings.preview_mask


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
