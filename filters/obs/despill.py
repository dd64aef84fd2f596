# SPDX-License-Identifier: GPL-2.0-or-later
"""The person without the room's colour in her edge.

Where alpha is between 0 and 1 a pixel is mixed with the room, and before another background that shows as a rim. There
it gets the colour that she has nearby, corrected by what the pixel says itself: fast foreground estimation by blur
fusion (Forte 2021, arXiv:2006.14970). Alpha stays as it is.
"""

from .effect import MASK_PARAMETERS, Canvas, Effect, MaskInput, Overwriting, taps
from .frames import KeptFrame
from .libobs import GS_RGBA, GS_RGBA16F, LibObs

# Colours are averaged in cells: so many along the frame's longer side; by a Gaussian of so many of them, and cut off at
# so many. On people composed over rooms with known colours the best of 4 to 16 pixels of 1280 was 8.
GRID_SIDE, SIGMA_CELLS, RADIUS_CELLS = 320, 2.0, 6
# A tap reads 2 x 2 texels.
MAX_TAPS = 16
PARAMETERS = (
    *MASK_PARAMETERS, "room", "room_size", "radius", "footprint", "taps", "deviation", "person_colours", "all_colours",
)  # fmt: skip


class Despill:
    """Use inside the graphics context; ``destroy`` frees the GPU's objects."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "despill", PARAMETERS)
        self._cells, self._across, self._hers, self._all = (Canvas(obs, GS_RGBA16F) for _ in range(4))
        self._results = {False: Canvas(obs, GS_RGBA), True: Canvas(obs, GS_RGBA16F)}

    def draw(self, frame: KeptFrame, alpha: MaskInput) -> int:
        """The frame, stored as it was, with her own colours in her edge: a texture of its size; 0 if the GPU refused.

        ``alpha`` is the final one, of the size of ``frame``.
        """
        effect, source = self._effect, frame.texture
        with Overwriting(self._obs):
            hers = self._mean(frame, source, alpha, b"Hers", self._hers)
            all_colours = self._mean(frame, source, alpha, b"All", self._all)
            effect.set_texture("image", source)
            alpha.set(effect)
            effect.set_texture("person_colours", hers)
            effect.set_texture("all_colours", all_colours)
            return self._results[frame.is_float].fill(effect, b"Despill", source, frame.width, frame.height)

    def destroy(self) -> None:
        """Free the GPU's objects."""
        for canvas in (self._cells, self._across, self._hers, self._all, *self._results.values()):
            canvas.destroy()
        self._effect.destroy()

    def _mean(self, frame: KeptFrame, source: int, alpha: MaskInput, technique: bytes, result: Canvas) -> int:
        """The colours of ``technique`` in cells, averaged: a texture."""
        longer = max(frame.width, frame.height)
        width, height = (max(round(GRID_SIDE * side / longer), 1) for side in (frame.width, frame.height))
        effect = self._effect
        effect.set_texture("image", source)
        alpha.set(effect)
        effect.set_vec2("footprint", 1 / width, 1 / height)
        effect.set_int("taps", taps(longer, max(width, height), MAX_TAPS))
        texture = self._cells.fill(effect, technique, source, width, height)
        for canvas, direction in ((self._across, b"Across"), (result, b"Down")):
            effect.set_texture("room", texture)
            effect.set_vec2("room_size", width, height)
            effect.set_int("radius", RADIUS_CELLS)
            effect.set_float("deviation", SIGMA_CELLS)
            texture = canvas.fill(effect, direction, texture, width, height)
        return texture
