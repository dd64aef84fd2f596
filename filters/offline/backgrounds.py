# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the person: a colour, a picture, a video, or the room itself, blurred.

Each background gives itself for pictures in RGB (``behind``) and for a video's frames in planes (``behind_planes``).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from ..obs.settings import DEFAULTS, FilterSettings
from .blur import blurred_room, finer_size
from .compose import Alpha, Picture, encoded, in_depth, over, placed, srgb
from .picture_files import READABLE, read_picture
from .planes import Colours, Planes, planes_of_rgb, small_rgb

# A fixed noise of one step in 8 bits, so that a smooth wall shows no steps: as in compose.effect.
NOISE_X, NOISE_Y, NOISE_SCALE = 0.06711056, 0.00583715, 52.9829189


class Background(Protocol):
    """Gives what stands behind the person at a time, in seconds from the first frame on; same size, same kind."""

    def behind(self, picture_rgb: Picture, alpha: Alpha, time_s: float = 0.0) -> Picture:
        """The background for ``picture_rgb`` HxWx3 with the person's ``alpha`` HxW uint8."""
        ...

    def behind_planes(self, frame: Planes, alpha: Alpha, colours: Colours, time_s: float) -> Planes:
        """The same for a frame in planes."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


def background_of(settings: FilterSettings, may_move: bool) -> Background | None:
    """The background that the settings want, None if none; ``background_source`` is a file here. Raises MediaError.

    ``may_move``: it may be a video, which takes FFmpeg's libraries.
    """
    if settings.background == "blur":
        return Blurred(settings.blur_strength, settings.blur_falloff)
    if settings.background == "color":
        colour_rgb = [settings.background_color >> shift & 0xFF for shift in (0, 8, 16)]
        return Still(np.array(colour_rgb, np.uint8).reshape(1, 1, 3), "stretch")
    if settings.background == "source":
        return background_of_file(Path(settings.background_source), settings.background_fit, may_move)
    return None


def background_of_file(path: Path, fit: str, may_move: bool) -> Background:
    """A picture, or a video if it moves. Raises MediaError."""
    if path.suffix.lower() not in READABLE and may_move:
        from .moving import Moving

        return Moving(path, fit)
    picture = read_picture(path)
    if picture.alpha is not None:
        return Still(over(picture.rgb, picture.alpha, np.zeros_like(picture.rgb)), fit)
    return Still(picture.rgb, fit)


class Still:
    """One picture for all. ``fit``: fill (cut), fit (with a black margin), stretch."""

    def __init__(self, picture_rgb: Picture, fit: str = DEFAULTS.background_fit) -> None:
        self._picture_rgb, self._fit = picture_rgb, fit
        self._made: Picture | None = None
        self._planes: Planes | None = None

    def behind(self, picture_rgb: Picture, alpha: Alpha, time_s: float = 0.0) -> Picture:
        """As in ``Background``."""
        made = self._made
        if made is None or made.shape != picture_rgb.shape or made.dtype != picture_rgb.dtype:
            placed_rgb = placed(self._picture_rgb, picture_rgb.shape[1], picture_rgb.shape[0], self._fit)
            self._made = made = in_depth(placed_rgb, picture_rgb.dtype)
        return made

    def behind_planes(self, frame: Planes, alpha: Alpha, colours: Colours, time_s: float) -> Planes:
        """As in ``Background``."""
        if self._planes is None or self._planes.y.shape != frame.y.shape:
            height, width = frame.y.shape
            placed_rgb = placed(in_depth(self._picture_rgb, np.dtype(np.uint8)), width, height, self._fit)
            self._planes = planes_of_rgb(placed_rgb, colours)
        return self._planes

    def close(self) -> None:
        """As in ``Background``."""


class Blurred:
    """The room, blurred. The person is left out, so that no glow of them stands around them."""

    def __init__(self, strength: float = DEFAULTS.blur_strength, falloff: float = DEFAULTS.blur_falloff) -> None:
        self._strength, self._falloff = strength, falloff

    def behind(self, picture_rgb: Picture, alpha: Alpha, time_s: float = 0.0) -> Picture:
        """As in ``Background``."""
        height, width = picture_rgb.shape[:2]
        size = finer_size(self._strength, width, height)
        finer = np.asarray(cv2.resize(picture_rgb, size, interpolation=cv2.INTER_AREA))
        light = blurred_room(finer, alpha, self._strength, self._falloff)
        if picture_rgb.dtype != np.uint8:
            light = np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
            return srgb(light, picture_rgb.dtype)
        # Encoded while it is small: the camera has no time for more, and what is so smooth looks the same.
        wide = np.asarray(cv2.resize(encoded(light) * 255, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        wide += noise(width, height)
        np.clip(wide, 0, 255, out=wide)
        return np.asarray(cv2.convertScaleAbs(wide))  # rounds

    def behind_planes(self, frame: Planes, alpha: Alpha, colours: Colours, time_s: float) -> Planes:
        """As in ``Background``; without the noise, which an encoder would take away."""
        height, width = frame.y.shape
        finer = small_rgb(frame, colours, *finer_size(self._strength, width, height))
        room = srgb(blurred_room(finer, alpha, self._strength, self._falloff), np.dtype(np.uint8))
        sizes = (width, height), (width // 2, height // 2), (width // 2, height // 2)
        wide = (cv2.resize(p, s, interpolation=cv2.INTER_CUBIC) for p, s in zip(cv2.split(colours.yuv(room)), sizes))
        return Planes(*(np.asarray(plane, np.uint8) for plane in wide))

    def close(self) -> None:
        """As in ``Background``."""


@functools.lru_cache(2)
def noise(width: int, height: int) -> Any:
    """Noise of -1/2 to 1/2, float32 HxWx3, the same each time and in all colours."""
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    inner = np.modf(x[None] * np.float32(NOISE_X) + y[:, None] * np.float32(NOISE_Y))[0]
    steps = np.modf(np.float32(NOISE_SCALE) * inner)[0] - np.float32(0.5)
    return np.repeat(steps[:, :, None], 3, axis=2)
