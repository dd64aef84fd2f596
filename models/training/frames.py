# SPDX-License-Identifier: GPL-2.0-or-later
"""Training frames in webcam framing, made on the fly from packed pictures.

Each frame is one of four kinds: a crop of a real picture; a person cut out and put into a room; a whole
picture shown inside a room (as on a screen or in a moving scene); or a room with nobody in it. Frames are
256x144, the target is the person alpha at 128x72, the resolution of the network's logits.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch

from ..networks.person_unet import INPUT_HEIGHT, INPUT_WIDTH, OUTPUT_HEIGHT, OUTPUT_WIDTH
from .pack import Entry, Pack
from .lighting import disturb

FRAME_SIZE = (INPUT_WIDTH, INPUT_HEIGHT)
FRAME_ASPECT = INPUT_WIDTH / INPUT_HEIGHT
# How often a set is drawn relative to its size: varied sets more, uniform ones (one backdrop) less.
SET_WEIGHTS = {
    "ccp": 1.6, "ccp_unmasked": 0.5, "fossasia": 1.3, "openimages_person": 1.5, "event_photos": 2.0,
    "pixabay_portraits": 1.6, "uk_mps": 0.6, "us_house": 0.6, "us_governors": 0.6, "london_faces": 0.5,
    "sign_rf": 0.6, "sam2_bedroom": 0.5,
}  # fmt: skip
EMPTY_SHARE, COMPOSITE_SHARE, INSET_SHARE = 0.07, 0.38, 0.04
# How many of the crops show a picture as a whole, squeezed into the frame.
WHOLE_SHARE = 0.3


def random_stretch(rng: np.random.Generator) -> float:
    """Horizontal stretch of the content: mostly none, sometimes that of a square picture made 16:9."""
    draw = rng.random()
    if draw < 0.6:
        return 1.0
    return float(np.exp(rng.uniform(0, np.log(2.4)) if draw < 0.9 else rng.uniform(np.log(0.75), 0)))


def warp(picture: np.ndarray, matrix: np.ndarray, border: int, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Affine warp of a picture (HxWxC) to the frame, halving it first where it would alias."""
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    while shrink < 0.6:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        matrix = np.column_stack([matrix[:, :2] * 2, matrix[:, 2]])
        shrink *= 2
    return cv2.warpAffine(picture, matrix, FRAME_SIZE, flags=interpolation, borderMode=border)


def place(
    centre: tuple[float, float],
    target: tuple[float, float],
    scale: tuple[float, float],
    degrees: float,
    flip: bool,
) -> np.ndarray:
    """2x3 matrix that moves `centre` of the source to `target` in the frame, scaled, turned, mirrored."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([scale[0] * (-1 if flip else 1), scale[1]])
    return np.column_stack([linear, np.array(target) - linear @ np.array(centre)])


def pure_foreground(picture: np.ndarray) -> np.ndarray:
    """Replace colours at soft edges by those of the person nearby, to hide the old backdrop.

    The mean of the solid pixels around, a crude form of blurred fusion (Forte 2021, arXiv:2006.14970). BGRA
    in, BGR out, uint8.
    """
    colour, alpha = cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), picture[:, :, 3]
    solid = (alpha > 240).astype(np.uint8)
    weight = cv2.blur(solid.astype(np.float32), (9, 9)) + 1e-3
    edge = (alpha < 248) & (alpha > 3)
    nearby = cv2.blur((colour * solid[:, :, None]).astype(np.float32), (9, 9))
    colour[edge] = (nearby[edge] / weight[edge][:, None]).clip(0, 255)
    return colour


class FrameMaker:
    """Draws random training frames (uint8 BGR 144x256x3) with their alpha (float32 144x256, 0..1)."""

    def __init__(self, pack: Pack, seed: int) -> None:
        self.pack = pack
        self.rng = np.random.default_rng(seed)
        chosen = [entry for entry in pack.entries if not entry.validation]
        self.rooms = [entry for entry in chosen if entry.kind == "rooms"]
        self.people = [entry for entry in chosen if entry.kind != "rooms"]
        self.cut_outs = [entry for entry in self.people if entry.clean]

    def pick(self, entries: list[Entry]) -> Entry:
        """Draw an entry by rejection, so that sets occur according to `SET_WEIGHTS`."""
        while True:
            entry = entries[self.rng.integers(len(entries))]
            if self.rng.random() * 2 < SET_WEIGHTS.get(entry.set_name, 1.0):
                return entry

    def crop(self) -> tuple[np.ndarray, np.ndarray]:
        """A 16:9 window of a real picture, mostly with the head in it, so that the frame cuts the body."""
        rng, entry = self.rng, self.pick(self.people)
        picture = self.pack.picture(entry)
        if rng.random() < WHOLE_SHARE:
            width, height = np.array([entry.width, entry.height]) * rng.uniform(0.85, 0.999, 2)
        else:
            aspect = FRAME_ASPECT / random_stretch(rng)
            width = 0.999 * min(entry.width * rng.uniform(0.5, 1) ** 0.6, entry.height * aspect)
            height = width / aspect
        left = rng.uniform(0, entry.width - width)
        top = rng.uniform(0, entry.height - height)
        if rng.random() < 0.75:
            top = np.clip(entry.box[1] - height * rng.uniform(-0.3, 0.35), 0, entry.height - height)
        scale = (INPUT_WIDTH / width, INPUT_HEIGHT / height)
        centre = (left + width / 2, top + height / 2)
        degrees = rng.normal(0, 4) if rng.random() < 0.4 else 0.0
        matrix = place(centre, (INPUT_WIDTH / 2, INPUT_HEIGHT / 2), scale, degrees, rng.random() < 0.5)
        frame = warp(picture, matrix, cv2.BORDER_REPLICATE)
        return cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR), frame[:, :, 3].astype(np.float32) / 255

    def room(self) -> np.ndarray:
        """A frame without people: a crop of a room, or a plain or graded backdrop."""
        rng = self.rng
        if rng.random() < 0.1:
            corners = rng.uniform(0, 255, (1, 1, 3)) + rng.normal(0, 25, (2, 2, 3))
            return cv2.resize(corners.clip(0, 255).astype(np.uint8), FRAME_SIZE)
        entry = self.rooms[rng.integers(len(self.rooms))]
        picture = self.pack.picture(entry)
        aspect = FRAME_ASPECT / np.exp(rng.normal(0, 0.2))
        width = 0.999 * min(entry.width * rng.uniform(0.35, 1), entry.height * aspect)
        centre = (
            rng.uniform(width / 2, entry.width - width / 2),
            rng.uniform(width / aspect / 2, entry.height - width / aspect / 2),
        )
        scale = (INPUT_WIDTH / width, INPUT_HEIGHT / width * aspect)
        target = (INPUT_WIDTH / 2, INPUT_HEIGHT / 2)
        matrix = place(centre, target, scale, rng.normal(0, 2), rng.random() < 0.5)
        frame = cv2.cvtColor(warp(picture, matrix, cv2.BORDER_REFLECT), cv2.COLOR_BGRA2BGR)
        return cv2.GaussianBlur(frame, (0, 0), rng.uniform(1, 4)) if rng.random() < 0.2 else frame

    def add_person(self, frame: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put one cut-out in front of a frame; whoever was cut at the waist touches the lower edge again."""
        rng, entry = self.rng, self.pick(self.cut_outs)
        picture = self.pack.picture(entry)
        x0, y0, x1, y1 = entry.box
        head = INPUT_HEIGHT * (0.7 * rng.beta(1.2, 2.2) - 0.1)
        overshoot = 0.8 * rng.random() ** 2 if entry.cut_at_bottom else rng.uniform(-0.2, 2.8)
        scale = (INPUT_HEIGHT - head) * (1 + overshoot) / (y1 - y0)
        stretch = random_stretch(rng) ** 0.7
        target = (INPUT_WIDTH * np.clip(rng.normal(0.5, 0.2), 0, 1), head)
        anchor, scales = ((x0 + x1) / 2, y0), (scale * stretch, scale)
        matrix = place(anchor, target, scales, rng.normal(0, 4), rng.random() < 0.5)
        layer = warp(picture, matrix, cv2.BORDER_CONSTANT)
        cover = layer[:, :, 3].astype(np.float32) / 255
        mixed = cv2.blendLinear(pure_foreground(layer), frame, cover, 1 - cover)
        return mixed, np.maximum(alpha, cover)

    def composite(self) -> tuple[np.ndarray, np.ndarray]:
        """One person, or two, in a room."""
        frame, alpha = self.room(), np.zeros((INPUT_HEIGHT, INPUT_WIDTH), np.float32)
        for _ in range(2 if self.rng.random() < 0.15 else 1):
            frame, alpha = self.add_person(frame, alpha)
        return frame, alpha

    def inset(self) -> tuple[np.ndarray, np.ndarray]:
        """A whole picture with its own background, anywhere in a room."""
        rng, entry = self.rng, self.pick(self.people)
        height = INPUT_HEIGHT * rng.uniform(0.6, 1.2)
        scale = height / entry.height
        target = (INPUT_WIDTH * rng.uniform(0.15, 0.85), INPUT_HEIGHT * rng.uniform(0.4, 0.6))
        matrix = place((entry.width / 2, entry.height / 2), target, (scale, scale), 0.0, rng.random() < 0.5)
        layer = warp(self.pack.picture(entry), matrix, cv2.BORDER_CONSTANT)
        inside = warp(np.full((entry.height, entry.width), 255, np.uint8), matrix, cv2.BORDER_CONSTANT) > 127
        frame = np.where(inside[:, :, None], layer[:, :, :3], self.room())
        return frame, layer[:, :, 3].astype(np.float32) / 255

    def make(self) -> tuple[np.ndarray, np.ndarray]:
        """One finished frame of a random kind with its alpha."""
        draw = self.rng.random()
        if draw < EMPTY_SHARE:
            frame, alpha = self.room(), np.zeros((INPUT_HEIGHT, INPUT_WIDTH), np.float32)
        elif draw < EMPTY_SHARE + COMPOSITE_SHARE:
            frame, alpha = self.composite()
        elif draw < EMPTY_SHARE + COMPOSITE_SHARE + INSET_SHARE:
            frame, alpha = self.inset()
        else:
            frame, alpha = self.crop()
        return disturb(frame, alpha, self.rng), alpha


class FrameBatches:
    """Endless batches: pictures uint8 RGB [N,3,144,256] and targets uint8 [N,1,72,128] (alpha 0..255)."""

    def __init__(self, pack: Pack, batch: int, seed: int) -> None:
        self.pack, self.batch, self.seed = pack, batch, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        cv2.setNumThreads(1)
        maker = FrameMaker(self.pack, self.seed)
        while True:
            pictures = np.empty((self.batch, 3, INPUT_HEIGHT, INPUT_WIDTH), np.uint8)
            targets = np.empty((self.batch, 1, OUTPUT_HEIGHT, OUTPUT_WIDTH), np.uint8)
            for i in range(self.batch):
                frame, alpha = maker.make()
                pictures[i] = frame[:, :, ::-1].transpose(2, 0, 1)
                small = cv2.resize(alpha, (OUTPUT_WIDTH, OUTPUT_HEIGHT), interpolation=cv2.INTER_AREA)
                targets[i, 0] = np.round(small * 255)
            yield torch.from_numpy(pictures), torch.from_numpy(targets)


def validation_batch(pack: Pack) -> tuple[torch.Tensor, torch.Tensor]:
    """All held-out pictures, squeezed whole and as their upper 16:9 part, in the form of `FrameBatches`."""
    pictures, targets = [], []
    for entry in (entry for entry in pack.entries if entry.validation):
        picture = pack.picture(entry)
        for part in (picture, picture[: round(entry.width / FRAME_ASPECT)]):
            frame = cv2.resize(part, FRAME_SIZE, interpolation=cv2.INTER_AREA)
            pictures.append(frame[:, :, 2::-1].transpose(2, 0, 1))
            small = cv2.resize(frame[:, :, 3], (OUTPUT_WIDTH, OUTPUT_HEIGHT), interpolation=cv2.INTER_AREA)
            targets.append(small[None])
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(targets))
