# SPDX-License-Identifier: GPL-2.0-or-later
"""A shader file, compiled, with its parameters looked up once; and drawing into a small texture with it."""

import ctypes
import math
from pathlib import Path
from typing import NamedTuple

from ..bridge.region import WHOLE, Region
from .libobs import GS_BLEND_ONE, GS_BLEND_ZERO, GS_CS_SRGB, GS_ZS_NONE, LibObs, Vec2, aligned_vec4

EFFECTS_FOLDER = Path(__file__).resolve().parent.parent / "effects"


# How a shader reads a mask, as in mask.effect.
ALPHA, FACTORS, FACTORS_OF_LINEAR = 0, 1, 2
# The parameters of mask.effect.
MASK_PARAMETERS = (
    "image", "mask", "mask_part", "ramp", "small", "small_size",
)  # fmt: skip


class EffectError(Exception):
    """A shader could not be compiled by this machine's driver; the text is the compiler's."""


def taps(source_px: float, result_px: int, most: int) -> int:
    """How many bilinear taps (of 2 texels) along one axis a pixel of the result needs to skip none of the source's."""
    return min(max(math.ceil(source_px / result_px / 2), 1), most)


class Effect:
    """``filters/effects/<name>.effect``. Create and use inside the graphics context."""

    def __init__(self, obs: LibObs, name: str, parameters: tuple[str, ...]) -> None:
        self._obs = obs
        error = ctypes.c_void_p()
        path = EFFECTS_FOLDER / f"{name}.effect"
        self.handle: int = obs.gs_effect_create_from_file(str(path).encode(), ctypes.byref(error))
        if not self.handle:
            text = ctypes.string_at(error.value).decode(errors="replace") if error.value else "unknown error"
            obs.bfree(error)
            raise EffectError(f"{path.name}: {text.strip()}")
        self._vec4 = aligned_vec4()
        self._parameters = {key: obs.gs_effect_get_param_by_name(self.handle, key.encode()) for key in parameters}

    def destroy(self) -> None:
        """Free the compiled shader."""
        self._obs.gs_effect_destroy(self.handle)

    def set_texture(self, key: str, texture: int, srgb: bool = False) -> None:
        """``srgb``: the shader reads linear light instead of the stored values."""
        setter = self._obs.gs_effect_set_texture_srgb if srgb else self._obs.gs_effect_set_texture
        setter(self._parameters[key], texture)

    def set_float(self, key: str, value: float) -> None:
        self._obs.gs_effect_set_float(self._parameters[key], value)

    def set_int(self, key: str, value: int) -> None:
        self._obs.gs_effect_set_int(self._parameters[key], value)

    def set_vec2(self, key: str, x: float, y: float) -> None:
        self._obs.gs_effect_set_vec2(self._parameters[key], Vec2(x, y))

    def set_vec4(self, key: str, x: float, y: float, z: float, w: float = 0.0) -> None:
        vec4 = self._vec4
        vec4.x, vec4.y, vec4.z, vec4.w = x, y, z, w
        self._obs.gs_effect_set_vec4(self._parameters[key], vec4)

    def draw(self, technique: bytes, texture: int, width: int, height: int) -> None:
        """Fill ``width`` x ``height`` pixels from the origin."""
        while self._obs.gs_effect_loop(self.handle, technique):
            self._obs.gs_draw_sprite(texture, 0, width, height)


class MaskInput(NamedTuple):
    """How a shader with mask.effect in it comes to alpha: the mask's texture, its kind (0 alpha, 1 factors to
    sRGB-encoded colours of the frame, 2 factors to linear ones), the values drawn as alpha 0 and 1, whether alpha is
    turned round, and the part of the frame that the mask covers."""

    texture: int
    kind: int
    ramp: tuple[float, float]
    invert: bool = False
    region: Region = WHOLE

    def set(self, effect: Effect) -> None:
        """Set the parameters for the next drawing."""
        low, high = self.ramp
        effect.set_texture("mask", self.texture)
        effect.set_vec4("mask_part", *self.region, self.kind)
        effect.set_vec4("ramp", low, 1.0 / (high - low), self.invert)


class Overwriting:
    """What is drawn within it takes the place of what was there, and is stored as the shader returns it.

    No generator (``contextlib``): this is entered a few times for each frame, and takes a third of the time.
    """

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._previous = False

    def __enter__(self) -> None:
        obs = self._obs
        self._previous = obs.gs_framebuffer_srgb_enabled()
        obs.gs_enable_framebuffer_srgb(False)
        obs.gs_blend_state_push()
        obs.gs_blend_function(GS_BLEND_ONE, GS_BLEND_ZERO)

    def __exit__(self, *_: object) -> None:
        self._obs.gs_blend_state_pop()
        self._obs.gs_enable_framebuffer_srgb(self._previous)


class Canvas:
    """A texture of our own to draw into; made on first use, sized on each."""

    def __init__(self, obs: LibObs, color_format: int) -> None:
        self._obs = obs
        self._format = color_format
        self._texrender = self._texture = 0
        self._size = (0, 0)

    def draw(self, effect: Effect, technique: bytes, source_texture: int, width: int, height: int) -> int:
        """Run ``technique`` over the whole canvas, values stored as the shader returns them; returns the texture, or 0
        if the GPU refused."""
        with Overwriting(self._obs):
            return self.fill(effect, technique, source_texture, width, height)

    def fill(self, effect: Effect, technique: bytes, source_texture: int, width: int, height: int) -> int:
        """``draw``, within ``Overwriting``: for several canvases, one after the other."""
        obs = self._obs
        if not self._texrender:
            self._texrender = obs.gs_texrender_create(self._format, GS_ZS_NONE)
        obs.gs_texrender_reset(self._texrender)
        if not obs.gs_texrender_begin_with_color_space(self._texrender, width, height, GS_CS_SRGB):
            return 0
        obs.gs_ortho(0.0, width, 0.0, height, -100.0, 100.0)
        effect.draw(technique, source_texture, width, height)
        obs.gs_texrender_end(self._texrender)
        if self._size != (width, height):  # only then libobs makes another
            self._size, self._texture = (width, height), int(obs.gs_texrender_get_texture(self._texrender) or 0)
        return self._texture

    def destroy(self) -> None:
        """Free the texture."""
        if self._texrender:
            self._obs.gs_texrender_destroy(self._texrender)
            self._texrender, self._size = 0, (0, 0)
