# SPDX-License-Identifier: GPL-2.0-or-later
"""Things that are nobody, for training frames: what hangs and stands in rooms, and prints on clothes.

They are synthetic, for pictures of single things with their outlines are not at hand: blobs and boxes with a texture
(posters, cushions, shelves), and turned bodies with a light on them (bottles, lamps, vases, trophies, columns).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .pictures import Alpha, Picture

SKIN_BGR = ((180, 205, 235), (120, 160, 210), (70, 100, 150), (40, 60, 90))
TURNED_SHARE = 0.6
Values = NDArray[np.float32]


def paint(frame: Picture, surface: Picture, cover: Alpha, where: Alpha | None) -> Picture:
    """`surface` over `frame` where `cover` is 1, and `where`, if given, too."""
    weight = cover if where is None else cover * where
    return np.asarray(cv2.blendLinear(surface, frame, weight, 1 - weight), np.uint8)


class Distractors:
    """Draws things for frames of one size (width, height); `any_picture` gives pictures (BGRA) to tear from."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator, any_picture: Callable[[], Picture]) -> None:
        self.size, self.rng, self.any_picture = size, rng, any_picture
        self.width, self.height = size
        self._x = np.arange(self.width, dtype=np.float32)[None]
        self._y = np.arange(self.height, dtype=np.float32)[:, None]

    def add(self, frame: Picture, where: Alpha | None = None) -> Picture:
        """Paint one thing into a frame, as far as `where` (0..1) lets it."""
        thing = self.turned(frame) if self.rng.random() < TURNED_SHARE else self.flat(frame)
        return paint(frame, *thing, where)

    def print_on(self, frame: Picture, where: Alpha) -> Picture:
        """Paint a pattern onto what `where` (0..1) covers."""
        return paint(frame, *self.flat(frame), where)

    def flat(self, frame: Picture) -> tuple[Picture, Alpha]:
        """A blob, ellipse or box with a texture: picture and cover."""
        cover = cv2.GaussianBlur(self.shape(), (3, 3), 0)
        return self.texture(frame), np.asarray(cover / np.float32(255), np.float32)

    def turned(self, frame: Picture) -> tuple[Picture, Alpha]:
        """A body as from a lathe, mostly upright, in bands of colour under a light from one side: picture and cover."""
        rng = self.rng
        length = self.height * rng.uniform(0.15, 1.1)
        angle = rng.normal(0, 0.15) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
        x, y = self._x - rng.uniform(0, self.width), self._y - rng.uniform(0, self.height)
        along = (y * np.cos(angle) - x * np.sin(angle)) / length + np.float32(0.5)
        radius = self.profile(along) * length * rng.uniform(0.08, 0.35)
        across = (x * np.cos(angle) + y * np.sin(angle)) / np.maximum(radius, 1)
        cover = ((1 - np.abs(across)) * radius + 0.5).clip(0, 1) * ((along > 0) & (along < 1))
        surface = self.bands(along) if rng.random() < 0.7 else self.texture(frame)
        light = rng.uniform(-1, 1)
        shade = rng.uniform(0.2, 0.6) + np.sqrt((1 - (across - light) ** 2 / (1 + abs(light)) ** 2).clip(0, 1))
        shine = 200 * rng.uniform(0, 1) ** 2 * np.exp(-(((across - light * 0.7) / 0.15) ** 2))
        lit = surface * shade[:, :, None] * 0.8 + shine[:, :, None]
        return np.asarray(lit.clip(0, 255), np.uint8), np.asarray(cover, np.float32)

    def profile(self, along: Values) -> Values:
        """Relative radius 0..1 at each place 0..1 along the axis: straight or stepped between random knots."""
        rng = self.rng
        places = np.sort(rng.uniform(0, 1, int(rng.integers(2, 8))))
        radii = rng.uniform(0.1, 1, len(places)) ** 0.7
        if rng.random() < 0.4:  # stepped: each knot twice, so that the radius jumps half-way to the next one
            middle = (places[1:] + places[:-1]) / 2
            places = np.concatenate([[0.0], np.repeat(middle, 2), [1.0]])
            radii = np.repeat(radii, 2)
        return np.interp(along, places, radii).astype(np.float32)

    def bands(self, along: Values) -> Picture:
        """One to four colours in bands across the axis, uint8 HxWx3; often metal, white or black."""
        rng = self.rng
        count = int(rng.integers(1, 5))
        palette = rng.integers(0, 256, (count, 3))
        grey = rng.random(count) < 0.4
        palette[grey] = rng.integers(0, 256, (int(grey.sum()), 1))
        edges = np.sort(rng.uniform(0, 1, count - 1))
        return np.asarray(palette.astype(np.uint8)[np.searchsorted(edges, along)])

    def shape(self) -> Picture:
        """A filled blob, ellipse or tilted box somewhere in the frame, uint8 HxW, 0 or 255."""
        rng = self.rng
        cover = np.zeros((self.height, self.width), np.uint8)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 12))))
        radii = self.height * rng.uniform(0.06, 0.4) * rng.uniform(0.6, 1, len(angles))
        centre = rng.uniform(0, 1, 2) * self.size
        outline = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.5, 1.5, 2)
        draw, box = rng.random(), cv2.minAreaRect(outline.astype(np.float32))
        if draw < 0.4:
            cv2.fillPoly(cover, [outline.astype(np.int32)], 255)
        elif draw < 0.7:
            cv2.fillPoly(cover, [cv2.boxPoints(box).astype(np.int32)], 255)
        else:
            cv2.ellipse(cover, box, 255, -1)
        return cover

    def texture(self, frame: Picture) -> Picture:
        """A surface in the frame's size: of skin colour, striped, or a part torn out of some picture."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.3:
            return self.stripes()
        if draw < 0.65:
            return self.patch(rng.uniform(20, 60))
        surface = np.empty_like(frame)
        surface[:] = np.clip(np.array(SKIN_BGR[rng.integers(len(SKIN_BGR))]) * rng.uniform(0.6, 1.2), 0, 255)
        return surface // 2 + frame // 2 if rng.random() < 0.5 else surface

    def stripes(self) -> Picture:
        """Parallel stripes of two or three colours, of any direction and width."""
        rng = self.rng
        palette = rng.integers(0, 256, (int(rng.integers(2, 4)), 3)).astype(np.uint8)
        angle, width = rng.uniform(0, np.pi), self.height * rng.uniform(0.015, 0.15)
        number = np.floor((self._x * np.cos(angle) + self._y * np.sin(angle)) / width).astype(np.int64)
        return np.asarray(palette[number % len(palette)], np.uint8)

    def patch(self, side: float) -> Picture:
        """A tiny part of any picture, `side` pixels wide, blown up to the frame: a texture without a shape."""
        rng, picture = self.rng, self.any_picture()
        side = min(side, *picture.shape[:2])
        top, left = (int(rng.uniform(0, extent - side)) for extent in picture.shape[:2])
        part = picture[top : top + int(side), left : left + int(side), :3]
        return np.asarray(cv2.resize(part, self.size, interpolation=cv2.INTER_LINEAR), np.uint8)
