# SPDX-License-Identifier: GPL-2.0-or-later
"""From a kept frame on the GPU to the few pixels that the engine sees: area downscale, stage, and one frame later map.

A frame later the GPU is done, so that mapping never waits for it. Only the picture without delay is mapped at once: its
mask is then a frame younger, and what has to be foreseen is half as much.
"""

import ctypes

from ..bridge.layout import MAX_AHEAD_MS
from ..bridge.region import WHOLE, Region
from .effect import Canvas, Effect, taps
from .frames import KeptFrame
from .libobs import GS_CS_SRGB, GS_RGBA, LibObs
from .link import Link
from .settings import FilterSettings

# More than 8 x 8 bilinear taps (a source of over 4096 pixels for a mask of 256) skip texels; no one sees it.
MAX_TAPS = 8


class Downscaler:
    """Area-filtered reduction of a kept frame to RGBA8, sRGB-encoded, alpha 255 (what is transparent is black)."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._effect = Effect(obs, "capture", ("image", "pixel", "closer"))
        self._canvas = Canvas(obs, GS_RGBA)

    def reduce(self, frame: KeptFrame, width: int, height: int, region: Region = WHOLE) -> int:
        """Returns the small texture, or 0 if the GPU refused. With a ``region`` other than the whole frame it is twice
        as high: the whole, and below it that region, ``width`` x ``height`` each."""
        if not frame.texture:
            return 0
        effect = self._effect
        effect.set_texture("image", frame.texture)
        reads = taps(frame.width, width, MAX_TAPS), taps(frame.height, height, MAX_TAPS)
        effect.set_vec4("pixel", 1.0 / width, 1.0 / height, *reads)
        effect.set_vec4("closer", *region)
        technique = b"Encoded" if frame.color_space == GS_CS_SRGB else b"Linear"
        return self._canvas.draw(effect, technique, frame.texture, width, height * region.pictures)

    def destroy(self) -> None:
        """Free the GPU's objects."""
        self._canvas.destroy()
        self._effect.destroy()


class Stager:
    """The two staging surfaces and what each holds."""

    def __init__(self, obs: LibObs) -> None:
        self._obs = obs
        self._surfaces = [0, 0]
        self._size = (0, 0)  # of a surface
        self._turn = 0
        self._staged: KeptFrameStamp | None = None
        self._pixels = ctypes.c_void_p()
        self._row_bytes = ctypes.c_uint32()

    def stage(self, texture: int, frame: KeptFrame, width: int, height: int, region: Region = WHOLE) -> None:
        """Ask the GPU to copy ``texture``, as ``reduce`` gave it, to where the CPU can read it."""
        size = width, height * region.pictures
        if self._size != size:
            self.destroy()
            self._surfaces = [self._obs.gs_stagesurface_create(*size, GS_RGBA) for _ in range(2)]
            self._size = size
        self._turn ^= 1
        self._obs.gs_stage_texture(self._surfaces[self._turn], texture)
        self._staged = (frame.frame_id, frame.capture_ns, region)

    def drop(self) -> None:
        """What is staged is out of date and must not reach the engine."""
        self._staged = None

    def hand_over(self, link: Link, settings: FilterSettings, ahead_ms: float) -> None:
        """Map what was staged, publish it on the bridge and wake the engine; waits for the GPU if it is not done."""
        if self._staged is None:
            return
        frame_id, capture_ns, region = self._staged
        self._staged = None
        surface = self._surfaces[self._turn]
        if not self._obs.gs_stagesurface_map(surface, self._pixels, self._row_bytes):
            return
        width, height = self._size[0], self._size[1] // region.pictures
        link.frames.publish(
            self._pixels.value or 0,
            self._row_bytes.value,
            width,
            height,
            frame_id,
            capture_ns,
            settings.flags(),
            min(ahead_ms, MAX_AHEAD_MS),
            region,
        )
        self._obs.gs_stagesurface_unmap(surface)
        link.wake()

    def destroy(self) -> None:
        """Free the surfaces."""
        for surface in self._surfaces:
            if surface:
                self._obs.gs_stagesurface_destroy(surface)
        self._surfaces, self._size, self._staged = [0, 0], (0, 0), None


KeptFrameStamp = tuple[int, int, Region]
