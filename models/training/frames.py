# SPDX-License-Identifier: GPL-2.0-or-later
"""Training frames in webcam framing, made on the fly from packed pictures.

Each frame is one of six kinds: a crop of a real picture with things pasted in; such a crop just as the camera took
it; people cut out and put into a room; a whole picture shown inside a room (as on a screen or in a moving scene);
several pictures side by side, so that there are many and small people; or a room with nobody in it. The target is
the person alpha at the frame's own size.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...filters.cli.errors import CommandError
from .config import FramesSection
from .distractors import Distractors
from .lighting import disturb
from .pack import Entry, Pack
from .pictures import Alpha, Picture, resize

Frame = tuple[Picture, Alpha]
Matrix = NDArray[np.float64]

KINDS = ("empty", "composite", "inset", "grid", "plain", "crop")
# Put together from cut-outs and rooms, they have a better label than a teacher can give.
EXACT_KINDS = ("empty", "composite")

# How many of the crops show a picture as a whole, squeezed into the frame.
WHOLE_SHARE = 0.45
# Pictures taller than this (height / width) show a standing person: mostly only the upper part is used.
TALL = 1.3
# How many rooms are a plain or graded backdrop, and how many of the others an empty part of a picture of people.
PLAIN_SHARE, SURROUNDINGS_SHARE = 0.1, 0.45
EMPTY_ALPHA = 1.5  # mean alpha (0..255) up to which a window counts as empty
DISTRACTOR_SHARE = 0.25
# How many real pictures get things pasted behind the people in them, and how many a print on their clothes.
BEHIND_SHARE, PRINT_SHARE = 0.45, 0.07
# A phone held at arm's length, or somebody who leans: the standard deviation.
HELD_ASKEW_DEGREES = 9.0
# How many composites add their people to those of a real picture.
AMONG_OTHERS_SHARE = 0.3
# How many composites show people who are far away, and how many of the others a single person.
FAR_SHARE, ALONE_SHARE = 0.2, 0.75
# How tall somebody far away is, in heights of the frame, and how many of them lie, jump or fall.
FAR_HEIGHTS, LEANING_SHARE = (0.12, 0.8), 0.12


def random_stretch(rng: np.random.Generator) -> float:
    """Horizontal stretch of the content: mostly none, sometimes that of a square picture made 16:9."""
    draw = rng.random()
    if draw < 0.6:
        return 1.0
    return float(np.exp(rng.uniform(0, np.log(2.4)) if draw < 0.9 else rng.uniform(np.log(0.75), 0)))


def halved(picture: Picture) -> Picture:
    """A picture at half its size; an odd last row or column is left out, for only exact halves are fast."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return np.asarray(cv2.resize(picture[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))


def shrink(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture at a size (width, height): halved as long as that is no smaller, then by the area filter."""
    while picture.shape[1] >= 2 * size[0] and picture.shape[0] >= 2 * size[1]:
        picture = halved(picture)
    return resize(picture, size)


def warp(picture: Picture, matrix: Matrix, size: tuple[int, int], border: int) -> Picture:
    """Affine warp of a picture (HxWxC) to a frame of `size` (width, height), halving it first where it would alias."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    while scale < 0.6 and min(picture.shape[:2]) > 1:
        picture = halved(picture)
        matrix = np.column_stack([matrix[:, :2] * 2, matrix[:, 2]])
        scale *= 2
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def place(
    centre: tuple[float, float],
    target: tuple[float, float],
    scale: tuple[float, float],
    degrees: float,
    flip: bool,
) -> Matrix:
    """2x3 matrix that moves `centre` of the source to `target` in the frame, scaled, turned, mirrored."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([scale[0] * (-1 if flip else 1), scale[1]])
    return np.column_stack([linear, np.array(target) - linear @ np.array(centre)])


def colours(picture: Picture) -> Picture:
    """BGR of a BGRA picture."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), np.uint8)


def alpha_of(picture: Picture) -> Alpha:
    """The fourth channel of a BGRA picture, float32 in 0..1."""
    return np.asarray(picture[:, :, 3].astype(np.float32) / 255)


def pure_foreground(picture: Picture) -> Picture:
    """Replace colours at soft edges by those of the person nearby, to hide the old backdrop.

    The mean of the solid pixels around, a crude form of blurred fusion (Forte 2021, arXiv:2006.14970). BGRA
    in, BGR out, uint8.
    """
    colour, alpha = colours(picture), picture[:, :, 3]
    solid = (alpha > 240).astype(np.uint8)
    weight = cv2.blur(solid.astype(np.float32), (9, 9))
    edge = (alpha < 248) & (alpha > 3) & (weight > 0.5 / 81)
    nearby = cv2.blur((colour * solid[:, :, None]).astype(np.float32), (9, 9))
    colour[edge] = (nearby[edge] / weight[edge][:, None]).clip(0, 255)
    return colour


class FrameMaker:
    """Draws random training frames (uint8 BGR HxWx3) with their alpha (float32 HxW, 0..1)."""

    def __init__(self, pack: Pack, shares: FramesSection, size: tuple[int, int], seed: int | Sequence[int]) -> None:
        self.pack, self.shares, self.size = pack, shares, size
        self.width, self.height = size
        self.aspect = self.width / self.height
        self.rng = np.random.default_rng(seed)
        weights = shares.set_weights
        chosen = [each for each in pack.entries if not each.validation and weights.get(each.set_name, 1.0) > 0]
        self.rooms = [entry for entry in chosen if entry.kind == "rooms"]
        self.people = [entry for entry in chosen if entry.kind != "rooms"]
        self.cut_outs = [entry for entry in self.people if entry.clean] or self.people
        self.whole_bodies = [entry for entry in self.cut_outs if not entry.cut_at_bottom] or self.cut_outs
        self.surroundings = [each for each in self.people if each.set_name not in shares.bystanders_unmarked]
        if not self.people:
            raise CommandError("The pack has no pictures of people to train on, or their sets' weights are all 0.")
        self.distractors = Distractors(size, self.rng, self.any_picture)

    def any_picture(self) -> Picture:
        """A picture of people, BGRA."""
        return self.pack.picture(self.pick(self.people))

    def pick(self, entries: list[Entry]) -> Entry:
        """Draw an entry by rejection, so that sets occur according to `shares.set_weights`; others weigh 1."""
        largest = max([1.0, *self.shares.set_weights.values()])
        while True:
            entry = entries[self.rng.integers(len(entries))]
            if self.rng.random() * largest < self.shares.set_weights.get(entry.set_name, 1.0):
                return entry

    def visible_height(self, entry: Entry) -> float:
        """How much of a picture to use, in pixels: of a standing person mostly the upper part."""
        if entry.height < TALL * entry.width or self.rng.random() < 0.15:
            return entry.height
        return entry.height * self.rng.uniform(0.4, 0.8)

    def window(self, entry: Entry) -> tuple[float, float, float, float]:
        """A random part of a picture (left, top, width, height) to fill the frame, mostly with the head in it."""
        rng, visible = self.rng, self.visible_height(entry)
        if rng.random() < WHOLE_SHARE:
            width, height = np.array([entry.width, visible]) * rng.uniform(0.85, 0.999, 2)
            return rng.uniform(0, entry.width - width), rng.uniform(0, visible - height), width, height
        aspect = self.aspect / random_stretch(rng)
        width = 0.999 * min(entry.width * rng.uniform(0.5, 1) ** 0.6, visible * aspect)
        height = width / aspect
        left, top = rng.uniform(0, entry.width - width), rng.uniform(0, visible - height)
        if rng.random() < 0.75:
            top = np.clip(entry.box[1] - height * rng.uniform(-0.3, 0.35), 0, visible - height)
        return left, top, width, height

    def crop(self) -> Frame:
        """A window of a real picture with things hung behind the people, or printed on their clothes."""
        frame, alpha = self.plain()
        return self.decorate(frame, alpha), alpha

    def plain(self) -> Frame:
        """A window of a real picture, so that the frame cuts the body."""
        rng, entry = self.rng, self.pick(self.people)
        left, top, width, height = self.window(entry)
        degrees = rng.normal(0, HELD_ASKEW_DEGREES) if rng.random() < 0.5 else 0.0
        centre, target = (left + width / 2, top + height / 2), (self.width / 2, self.height / 2)
        matrix = place(centre, target, (self.width / width, self.height / height), degrees, rng.random() < 0.5)
        frame = warp(self.pack.picture(entry), matrix, self.size, cv2.BORDER_REPLICATE)
        return colours(frame), alpha_of(frame)

    def decorate(self, frame: Picture, alpha: Alpha) -> Picture:
        """Hang flags, posters and the like behind the people, or print something on their clothes."""
        rng = self.rng
        if rng.random() < BEHIND_SHARE:
            for _ in range(rng.integers(1, 4)):
                frame = self.distractors.add(frame, 1 - alpha)
        if rng.random() < PRINT_SHARE:
            below_the_face = np.linspace(-1, 2, self.height, dtype=np.float32).clip(0, 1)[:, None]
            frame = self.distractors.print_on(frame, alpha * below_the_face)
        return frame

    def empty(self) -> Frame:
        """A room with nobody in it."""
        return self.room(), np.zeros((self.height, self.width), np.float32)

    def room(self) -> Picture:
        """A frame without people: a backdrop, sometimes out of focus, often with distractors."""
        rng = self.rng
        frame = self.backdrop()
        if rng.random() < DISTRACTOR_SHARE:
            frame = self.distractors.add(frame)
        if rng.random() < 0.2:
            return np.asarray(cv2.GaussianBlur(frame, (0, 0), rng.uniform(1, 4)), np.uint8)
        return frame

    def backdrop(self) -> Picture:
        """A room, an empty part of a picture of people, or a plain or graded surface."""
        rng = self.rng
        if rng.random() >= PLAIN_SHARE:
            frame = self.empty_window() if rng.random() < SURROUNDINGS_SHARE else None
            if frame is None and self.rooms:
                frame = self.room_window(self.rooms[rng.integers(len(self.rooms))])
            if frame is not None:
                return frame
        corners = rng.uniform(0, 255, (1, 1, 3)) + rng.normal(0, 25, (2, 2, 3))
        return np.asarray(cv2.resize(corners.clip(0, 255).astype(np.uint8), self.size), np.uint8)

    def empty_window(self) -> Picture | None:
        """A part of a picture of people in which nobody is: a real surrounding; None where none is soon found."""
        rng = self.rng
        for _ in range(3 if self.surroundings else 0):
            entry = self.surroundings[rng.integers(len(self.surroundings))]
            aspect = self.aspect / np.exp(rng.normal(0, 0.3))
            width = max(2, int(0.999 * min(entry.width * rng.uniform(0.3, 1), entry.height * aspect)))
            height = max(2, int(width / aspect))
            left, top = (int(rng.uniform(0, extent)) for extent in (entry.width - width, entry.height - height))
            part = self.pack.picture(entry)[top : top + height, left : left + width]
            if part[::4, ::4, 3].mean() < EMPTY_ALPHA:
                part = part[:, ::-1] if rng.random() < 0.5 else part
                return shrink(np.ascontiguousarray(part[:, :, :3]), self.size)
        return None

    def room_window(self, entry: Entry) -> Picture:
        """A random window of a room's picture."""
        rng = self.rng
        aspect = self.aspect / np.exp(rng.normal(0, 0.2))
        width = 0.999 * min(entry.width * rng.uniform(0.35, 1), entry.height * aspect)
        height = width / aspect
        centre = (
            rng.uniform(width / 2, entry.width - width / 2),
            rng.uniform(height / 2, entry.height - height / 2),
        )
        scale, target = (self.width / width, self.height / height), (self.width / 2, self.height / 2)
        matrix = place(centre, target, scale, rng.normal(0, 2), rng.random() < 0.5)
        return colours(warp(self.pack.picture(entry), matrix, self.size, cv2.BORDER_REFLECT))

    def add_person(self, frame: Picture, alpha: Alpha, smallest: float = 1.0) -> Frame:
        """Put one cut-out in front of a frame; whoever was cut at the waist touches the lower edge again.

        `smallest` below 1 allows people who are farther away, down to that share of the usual size.
        """
        rng, entry = self.rng, self.pick(self.cut_outs)
        x0, y0, x1, y1 = entry.box
        head = self.height * (0.7 * rng.beta(1.2, 2.2) - 0.1)
        overshoot = 0.8 * rng.random() ** 2 if entry.cut_at_bottom else rng.uniform(-0.2, 2.8)
        scale = (self.height - head) * (1 + overshoot) / (y1 - y0) * rng.uniform(smallest, 1)
        if entry.cut_at_bottom:
            head = max(head, self.height - scale * (y1 - y0))
        stretch = random_stretch(rng) ** 0.7
        target = (self.width * np.clip(rng.normal(0.5, 0.2 if smallest == 1 else 0.4), 0, 1), head)
        anchor, scales = ((x0 + x1) / 2, y0), (scale * stretch, scale)
        matrix = place(anchor, target, scales, rng.normal(0, HELD_ASKEW_DEGREES), rng.random() < 0.5)
        return self.paste(frame, alpha, entry, matrix)

    def add_far_person(self, frame: Picture, alpha: Alpha, stretch: float) -> Frame:
        """Put a whole body, small, anywhere in a frame; all who are far away in a picture are stretched alike."""
        rng, entry = self.rng, self.pick(self.whole_bodies)
        x0, y0, x1, y1 = entry.box
        scale = self.height * rng.uniform(*FAR_HEIGHTS) / (y1 - y0)
        target = self.width * rng.uniform(0, 1), self.height * rng.uniform(0.2, 0.95)
        degrees = rng.uniform(-90, 90) if rng.random() < LEANING_SHARE else rng.normal(0, 6)
        matrix = place(((x0 + x1) / 2, (y0 + y1) / 2), target, (scale * stretch, scale), degrees, rng.random() < 0.5)
        return self.paste(frame, alpha, entry, matrix)

    def paste(self, frame: Picture, alpha: Alpha, entry: Entry, matrix: Matrix) -> Frame:
        """A frame with a cut-out in front of it, moved there by `matrix`."""
        layer = warp(self.pack.picture(entry), matrix, self.size, cv2.BORDER_CONSTANT)
        cover = alpha_of(layer)
        mixed = cv2.blendLinear(pure_foreground(layer), frame, cover, 1 - cover)
        return np.asarray(mixed, np.uint8), np.maximum(alpha, cover)

    def composite(self) -> Frame:
        """One person, or several smaller ones, in a room or among the people of another picture, or some far away."""
        rng = self.rng
        if rng.random() < FAR_SHARE:
            return self.far_people()
        frame, alpha = self.crop() if rng.random() < AMONG_OTHERS_SHARE else self.empty()
        if rng.random() < ALONE_SHARE:
            return self.add_person(frame, alpha)
        for _ in range(rng.integers(1, 5)):
            frame, alpha = self.add_person(frame, alpha, smallest=0.3)
        return frame, alpha

    def far_people(self) -> Frame:
        """A room or landscape with one to five small people in it."""
        rng = self.rng
        (frame, alpha), stretch = self.empty(), random_stretch(rng)
        for _ in range(rng.integers(1, 6)):
            frame, alpha = self.add_far_person(frame, alpha, stretch)
        return frame, alpha

    def inset(self) -> Frame:
        """A whole picture with its own background, anywhere in a room."""
        rng, entry = self.rng, self.pick(self.people)
        scale = self.height * rng.uniform(0.6, 1.2) / entry.height
        target = (self.width * rng.uniform(0.15, 0.85), self.height * rng.uniform(0.4, 0.6))
        matrix = place((entry.width / 2, entry.height / 2), target, (scale, scale), 0.0, rng.random() < 0.5)
        layer = warp(self.pack.picture(entry), matrix, self.size, cv2.BORDER_CONSTANT)
        whole = np.full((entry.height, entry.width), 255, np.uint8)
        inside = warp(whole, matrix, self.size, cv2.BORDER_CONSTANT) > 127
        frame = np.where(inside[:, :, None], layer[:, :, :3], self.room())
        return frame, alpha_of(layer) * inside

    def grid(self) -> Frame:
        """Two to six windows of pictures side by side: many people, small, each with a background of its own."""
        columns, rows = ((2, 1), (3, 1), (2, 2), (3, 2))[self.rng.integers(4)]
        frame = np.empty((self.height, self.width, 4), np.uint8)
        across = np.linspace(0, self.width, columns + 1).astype(int)
        down = np.linspace(0, self.height, rows + 1).astype(int)
        for x0, x1 in itertools.pairwise(across):
            for y0, y1 in itertools.pairwise(down):
                frame[y0:y1, x0:x1] = self.cell((x1 - x0, y1 - y0))
        return np.ascontiguousarray(frame[:, :, :3]), alpha_of(frame)

    def cell(self, size: tuple[int, int]) -> Picture:
        """The upper part of a picture, BGRA in the size (width, height) of one cell of a grid."""
        rng, entry = self.rng, self.pick(self.people)
        stretch, visible = random_stretch(rng), self.visible_height(entry)
        width = min(entry.width, visible * size[0] / size[1] / stretch)
        height = min(visible, width * size[1] / size[0] * stretch)
        left = int(rng.uniform(0, entry.width - width))
        part = self.pack.picture(entry)[: max(2, int(height)), left : left + max(2, int(width))]
        cell = shrink(part, size)
        return cell[:, ::-1] if rng.random() < 0.5 else cell

    def draw_kind(self) -> str:
        """One of `KINDS`, by the configured shares; the rest are crops."""
        shares = self.shares.kinds()
        limits = np.cumsum([shares[kind] for kind in KINDS[:-1]])
        return KINDS[int(np.searchsorted(limits, self.rng.random(), side="right"))]

    def make(self, kind: str | None = None) -> Frame:
        """One finished frame with its alpha, of a random kind unless told which; plain ones keep their light."""
        kind = kind or self.draw_kind()
        frame, alpha = self.undisturbed(kind)
        return (frame if kind == "plain" else disturb(frame, alpha, self.rng)), alpha

    def undisturbed(self, kind: str) -> Frame:
        """A frame of one of `KINDS` in the light of its pictures, with its alpha."""
        makers = {
            "empty": self.empty,
            "composite": self.composite,
            "inset": self.inset,
            "grid": self.grid,
            "plain": self.plain,
            "crop": self.crop,
        }
        return makers[kind]()
