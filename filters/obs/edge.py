# SPDX-License-Identifier: GPL-2.0-or-later
"""The edge of alpha, at the frame's size: moved outward or inward by pixels of the source, and feathered.

Growing takes the most of a disc around each pixel, shrinking the least. A disc is the sum of rings of twelve points, of
radii that fall from one pass to the next: four passes for thirty pixels. The result is right to a third of a pixel.
"""

import math

from .effect import ALPHA, MASK_PARAMETERS, Canvas, Effect, MaskInput
from .frames import KeptFrame
from .libobs import GS_R8, LibObs

# The first ring's share of the radius: with a larger one the rest would not fill the gaps between its points.
RING_SHARE, LAST_RING_PX = 0.6, 1.5
# The mean radius of a regular polygon of twelve corners, of that of its corners.
RING_MEAN = math.sin(math.pi / 12) / (math.pi / 12)
# ``feather_px`` spans so many standard deviations of the Gaussian, which is cut off there.
FEATHER_SIGMAS = 2.5
# A wider feather is made in a reduced picture, so that it is at most so many of its pixels.
MOST_FEATHER_STEPS = 16
PARAMETERS = (*MASK_PARAMETERS, "step_uv", "first_away", "direction", "sigma", "radius")


class EdgeShaper:
    """Use inside the graphics context; ``destroy`` frees the GPU's objects. Each method's result is overwritten by the
    next call of the same method."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "edge", PARAMETERS)
        self._whole = Canvas(obs, GS_R8)
        self._grown = [Canvas(obs, GS_R8) for _ in range(2)]
        self._feathered = [Canvas(obs, GS_R8) for _ in range(2)]

    def whole(self, frame: KeptFrame, mask: MaskInput) -> MaskInput:
        """Alpha at the size of ``frame``, with the ramp applied; ``mask`` must be for colours as they are stored."""
        source = frame.texture
        self._effect.set_texture("image", source)
        mask.set(self._effect)
        return _as_alpha(self._whole.draw(self._effect, b"Alpha", source, frame.width, frame.height))

    def grow(self, frame: KeptFrame, alpha: MaskInput, grow_px: float) -> MaskInput:
        """``alpha``, of the size of ``frame``, moved outward by ``grow_px`` pixels of it, or inward if negative."""
        effect, texture = self._effect, alpha.texture
        for number, radius_px in enumerate(ring_radii(abs(grow_px))):
            turn = math.pi / 12 * (number > 0)  # the corners of the largest ring are where those of all others are not
            effect.set_texture("mask", texture)
            effect.set_float("direction", math.copysign(1.0, grow_px))
            effect.set_vec2("first_away", math.cos(turn), math.sin(turn))
            effect.set_vec2("step_uv", radius_px / frame.width, radius_px / frame.height)
            texture = self._grown[number % 2].draw(effect, b"Grow", texture, frame.width, frame.height)
        return _as_alpha(texture)

    def feather(self, frame: KeptFrame, alpha: MaskInput, feather_px: float) -> MaskInput:
        """``alpha``, of the size of ``frame``, blurred so that its edge is ``feather_px`` pixels of it wide to either
        side."""
        effect, texture = self._effect, alpha.texture
        pixel = max(feather_px / MOST_FEATHER_STEPS, 1.0)
        width, height = max(round(frame.width / pixel), 1), max(round(frame.height / pixel), 1)
        steps_x, steps_y = feather_px * width / frame.width, feather_px * height / frame.height
        across, down = self._feathered
        for canvas, steps, step_uv, rows in (
            (across, steps_x, (1 / width, 0.0), frame.height),
            (down, steps_y, (0.0, 1 / height), height),
        ):
            effect.set_texture("mask", texture)
            effect.set_vec2("step_uv", *step_uv)
            effect.set_float("sigma", steps / FEATHER_SIGMAS)
            effect.set_int("radius", math.ceil(steps))
            texture = canvas.draw(effect, b"Feather", texture, width, rows)
        return _as_alpha(texture)

    def destroy(self) -> None:
        """Free the GPU's objects."""
        for canvas in (self._whole, *self._grown, *self._feathered):
            canvas.destroy()
        self._effect.destroy()


def ring_radii(grow_px: float) -> list[float]:
    """The radii, in pixels, of the rings whose sum is a disc of ``grow_px``."""
    left, radii = grow_px / RING_MEAN, []
    while left > LAST_RING_PX:
        radii.append(left * RING_SHARE)
        left -= radii[-1]
    return [*radii, left]


def _as_alpha(texture: int) -> MaskInput:
    return MaskInput(texture, ALPHA, (0.0, 1.0))
