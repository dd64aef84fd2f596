# SPDX-License-Identifier: GPL-2.0-or-later
"""The blurred room behind a person, without a trace of the person in it.

Each pixel is the Gaussian mean of the room's pixels around it, in linear light, weighted by how surely they are room
and divided by the sum of the weights (normalised convolution: Knutsson and Westin, 1993). Where no room is near, the
colours of the whole room take over smoothly. All of it happens in a reduced picture: the wider the Gaussian, the larger
one pixel of it, so a stronger blur costs less, not more.
"""

import math

from .effect import MASK_PARAMETERS, Canvas, Effect, MaskInput, taps
from .frames import KeptFrame
from .libobs import GS_CS_SRGB, GS_RGBA16F, LibObs

# The Gaussian's standard deviation at strength 1, in shorter sides of the frame; and at strength 0, in pixels.
SIGMA_OF_SIDE, LEAST_SIGMA_PX = 0.08, 3.0
# How many deviations one pixel of the reduced picture is, and its least and greatest size in pixels of the frame.
PIXEL_OF_SIGMA, LEAST_PIXEL, GREATEST_PIXEL = 0.4, 2.0, 32.0
# The variance that reducing (a box) and enlarging (a cubic B-spline) add, in reduced pixels.
OTHER_VARIANCE = 1 / 12 + 1 / 3
# The Gaussian is cut off at this many deviations.
REACH_SIGMAS = 3.0
# At falloff 1 the blur at the lower edge is weaker by this part; the reduced picture holds no less.
LEAST_AT_FALLOFF = 0.9
# The picture of the whole room: its longer side, in pixels.
FAR_SIDE = 16
# A tap reads 2 x 2 texels.
MAX_TAPS = 16


class RoomBlur:
    """Use inside the graphics context; ``destroy`` frees the GPU's objects."""

    def __init__(self, obs: LibObs) -> None:
        parameters = ("footprint", "taps_x", "taps_y", "room", "room_size", "radius", "sigma", "falloff")
        self._obs = obs
        self._effect = Effect(obs, "blur", (*MASK_PARAMETERS, *parameters))
        self._first, self._second, self._small, self._far = (Canvas(obs, GS_RGBA16F) for _ in range(4))

    def draw(self, frame: KeptFrame, mask: MaskInput, strength: float, falloff: float) -> tuple[int, int, int]:
        """The room of ``frame``, blurred: a texture in linear light, opaque, and its width and height, to be enlarged
        with a B-spline; texture 0 if the GPU refused. ``mask.kind`` must be that of linear colours; ``strength`` is
        0 to 1, and so is ``falloff``: how much weaker the blur is at the lower edge."""
        source = frame.texture
        sigma_px = room_sigma_px(strength, frame.width, frame.height)
        width, height = reduced_size(sigma_px, frame.width, frame.height)
        far_width, far_height = far_size(frame.width, frame.height)
        effect = self._effect

        effect.set_texture("image", source, srgb=frame.color_space == GS_CS_SRGB)
        mask.set(effect)
        self._set_footprint((frame.width, frame.height), (width, height))
        reduced = self._first.draw(effect, b"Reduce", source, width, height)

        self._set_room(reduced, width, height)
        eroded = self._second.draw(effect, b"Erode", reduced, width, height)

        self._set_room(eroded, width, height)
        self._set_footprint((width, height), (far_width, far_height))
        mean = self._small.draw(effect, b"Mean", eroded, far_width, far_height)

        self._set_room(mean, far_width, far_height)
        far = self._far.draw(effect, b"Far", mean, far_width, far_height)

        self._set_gaussian(eroded, frame, sigma_px, width, height, falloff)
        across = self._first.draw(effect, b"Across", eroded, width, height)

        self._set_gaussian(across, frame, sigma_px, width, height, falloff)
        effect.set_texture("small", far)
        effect.set_vec2("small_size", far_width, far_height)
        return self._second.draw(effect, b"Down", across, width, height), width, height

    def destroy(self) -> None:
        """Free the GPU's objects."""
        for canvas in (self._first, self._second, self._small, self._far):
            canvas.destroy()
        self._effect.destroy()

    def _set_room(self, texture: int, width: int, height: int) -> None:
        self._effect.set_texture("room", texture)
        self._effect.set_vec2("room_size", width, height)

    def _set_footprint(self, source_px: tuple[int, int], result_px: tuple[int, int]) -> None:
        taps_x, taps_y = (taps(source, result, MAX_TAPS) for source, result in zip(source_px, result_px, strict=True))
        self._effect.set_vec2("footprint", 1 / result_px[0], 1 / result_px[1])
        self._effect.set_int("taps_x", taps_x)
        self._effect.set_int("taps_y", taps_y)

    def _set_gaussian(
        self, texture: int, frame: KeptFrame, sigma_px: float, width: int, height: int, falloff: float
    ) -> None:
        sigma_x, sigma_y = (
            math.sqrt(max((sigma_px * small / large) ** 2 - OTHER_VARIANCE, 0.01))
            for small, large in ((width, frame.width), (height, frame.height))
        )
        self._set_room(texture, width, height)
        self._effect.set_vec2("sigma", sigma_x, sigma_y)
        self._effect.set_float("falloff", LEAST_AT_FALLOFF * falloff)
        self._effect.set_int("radius", math.ceil(REACH_SIGMAS * max(sigma_x, sigma_y)))


def room_sigma_px(strength: float, width: int, height: int) -> float:
    """The Gaussian's standard deviation for a strength of 0 to 1, in pixels of the frame."""
    return max(strength * SIGMA_OF_SIDE * min(width, height), LEAST_SIGMA_PX)


def reduced_size(sigma_px: float, width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture in which a frame is blurred."""
    pixel = min(max(sigma_px * PIXEL_OF_SIGMA, LEAST_PIXEL), GREATEST_PIXEL)
    return max(round(width / pixel), 1), max(round(height / pixel), 1)


def far_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture of the whole room."""
    longer = max(width, height)
    return max(round(FAR_SIDE * width / longer), 1), max(round(FAR_SIDE * height / longer), 1)
