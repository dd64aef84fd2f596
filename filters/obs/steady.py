# SPDX-License-Identifier: GPL-2.0-or-later
"""No flicker without lag, at the frame's size: alpha is averaged over time where the picture stands still, and only
there.

The guided filter's factors carry a camera's noise into alpha, and the ramp multiplies it; a mask that was averaged
before cannot help that. So alpha itself is averaged (recursively), pixel by pixel. Where the picture or the mask moves,
a pixel takes the new alpha as it is: nothing trails. See ``steady.effect`` for what counts as movement.
"""

from .effect import ALPHA, MASK_PARAMETERS, Canvas, Effect, MaskInput, Overwriting, taps
from .frames import KeptFrame
from .libobs import GS_R16, GS_RGBA16F, LibObs

# An older alpha says nothing about this one.
MAX_GAP_NS = 1_000_000_000
# Movement is looked for in cells: so many along the frame's longer side.
GRID_SIDE = 160
# At smoothing s a new alpha weighs 1 / (1 + this * s) where nothing moves: a tenth at the default.
FRAMES_AT_FULL = 18.0
# A tap reads 2 x 2 texels.
MAX_TAPS = 16
PARAMETERS = (*MASK_PARAMETERS, "cells", "seen", "state", "before")


class SteadyAlpha:
    """The memory of one filter. Use inside the graphics context; ``destroy`` frees the GPU's objects."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "steady", PARAMETERS)
        self._look = Canvas(obs, GS_RGBA16F)
        # The one drawn last comes first. 16 bits, because a small part of a difference is added at a time.
        self._states = [Canvas(obs, GS_RGBA16F) for _ in range(2)]
        self._alphas = [Canvas(obs, GS_R16) for _ in range(2)]
        self._state = self._alpha = 0
        self._kind: object = None
        self._capture_ns = 0

    def draw(self, frame: KeptFrame, mask: MaskInput, smoothing: float, kind: object) -> MaskInput:
        """The steady alpha of ``frame``; once for each frame, in their order.

        ``mask`` is how alpha is made of ``frame``, its colours sRGB-encoded as they are stored; ``smoothing`` is above
        0, to 1. Everything is forgotten after a second without a frame, and when the size or ``kind``, which
        stands for the settings that make the mask what it is, changes.
        """
        kind = (kind, frame.width, frame.height, frame.is_float)
        is_first = kind != self._kind or not 0 <= frame.capture_ns - self._capture_ns <= MAX_GAP_NS
        self._kind, self._capture_ns = kind, frame.capture_ns
        width, height = grid_size(frame.width, frame.height)
        reads = taps(max(frame.width, frame.height), max(width, height), MAX_TAPS)
        cells = 1 / width, 1 / height, reads, 1.0 if is_first else still_weight(smoothing)
        effect, source = self._effect, frame.texture
        # Every texture must be one: at first, where it counts nothing, the frame itself.
        state, before = (source, source) if is_first else (self._state, self._alpha)
        with Overwriting(self._obs):
            effect.set_texture("image", source)
            mask.set(effect)
            effect.set_texture("state", state)
            effect.set_vec4("cells", *cells)
            seen = self._look.fill(effect, b"Look", source, width, height)

            effect.set_texture("seen", seen)
            effect.set_texture("state", state)
            effect.set_vec4("cells", *cells)
            self._states.reverse()
            self._state = self._states[0].fill(effect, b"Gate", seen, width, height)

            effect.set_texture("image", source)
            mask.set(effect)
            effect.set_texture("state", self._state)
            effect.set_texture("before", before)
            self._alphas.reverse()
            self._alpha = self._alphas[0].fill(effect, b"Steady", source, frame.width, frame.height)
        return MaskInput(self._alpha, ALPHA, (0.0, 1.0))

    def destroy(self) -> None:
        """Free the GPU's objects."""
        for canvas in (self._look, *self._states, *self._alphas):
            canvas.destroy()
        self._effect.destroy()


def still_weight(smoothing: float) -> float:
    """How much a new alpha weighs where nothing moves."""
    return 1.0 / (1.0 + FRAMES_AT_FULL * smoothing)


def grid_size(width: int, height: int) -> tuple[int, int]:
    """How many cells a frame has across and down."""
    longer = max(width, height)
    return max(round(GRID_SIDE * width / longer), 1), max(round(GRID_SIDE * height / longer), 1)
