# SPDX-License-Identifier: GPL-2.0-or-later
"""The clips of ``bench picture``: people cut out of pictures and moved over rooms, so that alpha is known.

Each frame has sensor noise of its own. That noise is also the frame's number: it is found again in what OBS shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .demo_pictures import PICTURES, room
from .errors import CommandError

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
# A person takes this much of the frame's height, or less so that she is not wider than this part of its width.
PERSON_HEIGHT, PERSON_WIDTH = 0.85, 0.6
# Standard deviation of the lens's blur as a part of the frame's height: .8 pixels of 720.
LENS_BLUR = 0.8 / 720
NOISE_SIGMA = 2.0
# A person is used if the sides of her picture cut off no more than the lower part of her.
LEAST_UNCUT = 0.8
# Every offset into the field of noise is another noise; a field larger by this many pixels has its square of them.
NOISE_REACH_PX = 64
# The first frames of a scene are not measured: what remembers the scene before needs them.
WARM_UP_FRAMES = 6
# Few enough that the fastest is in the picture all the while, and enough for a swing to either side.
MEASURED_FRAMES = 16
FINGERPRINT_STEP_PX = 12
# Colours this near to the cut-out's edge, in its pixels, are mixed with the old room's; and how far colour is spread.
MIXED_PX, SPREAD_PX = 3, 31


@dataclass(frozen=True)
class Person:
    """A cut-out: colours uint8 H x W x 3 (BGR, hers also beyond her edge) and alpha float32 H x W, 0 to 1."""

    colours_bgr: Picture
    alpha: Alpha


@dataclass(frozen=True)
class Motion:
    """How a person moves: ``widths_per_s`` frame widths per second, filmed at ``fps`` frames per second.

    She crosses the picture evenly, or with ``turns`` swings about its middle and turns within a frame.
    """

    widths_per_s: float
    fps: int
    turns: bool = False

    @property
    def widths_per_frame(self) -> float:
        """Frame widths from one frame to the next."""
        return self.widths_per_s / self.fps

    @property
    def name(self) -> str:
        """As a row of a table is called."""
        if not self.widths_per_s:
            return "still"
        return f"{self.widths_per_s:g} at {self.fps} fps" + ", turning" * self.turns


@dataclass(frozen=True)
class Scene:
    """One person before one room in one motion."""

    person: Person
    room_bgr: Picture
    motion: Motion

    def left_px(self, number: int) -> float:
        """Her left edge in frame ``number`` (before the first one, too): she crosses the picture's middle halfway, or
        swings about it as far as she gets in a quarter of the measured frames, but not out of the picture."""
        width = int(self.room_bgr.shape[1])
        middle_px = (width - int(self.person.alpha.shape[1])) / 2
        step_px = self.motion.widths_per_frame * width
        if not self.motion.turns:
            return middle_px + step_px * (number - (WARM_UP_FRAMES + MEASURED_FRAMES - 1) / 2)
        reach_px = min(step_px * MEASURED_FRAMES / 4, middle_px)
        if not reach_px:
            return middle_px
        way_px = (number * step_px + reach_px) % (4 * reach_px)
        return middle_px + reach_px - abs(way_px - 2 * reach_px)

    def truth(self, number: int) -> Alpha:
        """Her alpha in frame ``number``: float32 H x W, 0 to 1."""
        return np.asarray(self._placed(self.person.alpha, number, cv2.BORDER_CONSTANT), np.float32)

    def frame(self, number: int) -> Alpha:
        """The frame without noise: float32 H x W x 3, BGR, 0 to 255."""
        alpha = self.truth(number)[..., None]
        person = self._placed(self.person.colours_bgr, number, cv2.BORDER_REPLICATE).astype(np.float32)
        return np.asarray(self.room_bgr + alpha * (person - self.room_bgr), np.float32)

    def _placed(self, pixels: Picture | Alpha, number: int, border: int) -> NDArray[Any]:
        height, width = self.room_bgr.shape[:2]
        shift = np.array([[1, 0, self.left_px(number)], [0, 1, height - pixels.shape[0]]], np.float32)
        moved = cv2.warpAffine(pixels, shift, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(moved)


class Clip:
    """Scenes one after another, each ``WARM_UP_FRAMES`` and then ``measured_frames`` long; ``size_px`` is (width,
    height)."""

    def __init__(self, scenes: Sequence[Scene], measured_frames: int) -> None:
        self.scenes = scenes
        self.frames_per_scene = WARM_UP_FRAMES + measured_frames
        height, width = scenes[0].room_bgr.shape[:2]
        self.size_px = (width, height)
        random = np.random.default_rng(11)
        field = random.normal(0, NOISE_SIGMA, (height + NOISE_REACH_PX, width + NOISE_REACH_PX, 3))
        self._noise = field.astype(np.float32)
        self._offsets = random.permutation(NOISE_REACH_PX**2)

    def __len__(self) -> int:
        return len(self.scenes) * self.frames_per_scene

    def at(self, index: int) -> tuple[Scene, int]:
        """The scene of frame ``index`` of the clip, and the frame's number in it."""
        scene, number = divmod(index, self.frames_per_scene)
        return self.scenes[scene], number

    def frame(self, index: int) -> Picture:
        """Frame ``index``: uint8 H x W x 3, BGR."""
        scene, number = self.at(index)
        width, height = self.size_px
        top, left = divmod(int(self._offsets[index % len(self._offsets)]), NOISE_REACH_PX)
        noisy = scene.frame(number) + self._noise[top : top + height, left : left + width]
        return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)

    def frames(self, fingerprints: list[Picture]) -> Iterator[Picture]:
        """All frames in turn; adds to ``fingerprints`` what each is known by."""
        for index in range(len(self)):
            frame_bgr = self.frame(index)
            fingerprints.append(fingerprint(frame_bgr).copy())
            yield frame_bgr


def fingerprint(frame: NDArray[Any]) -> NDArray[Any]:
    """The pixels of a frame (H x W, with or without channels) that it is known by."""
    return frame[::FINGERPRINT_STEP_PX, ::FINGERPRINT_STEP_PX]


def cut_out(picture_bgr: Picture, mask_r8: Picture, frame_px: tuple[int, int]) -> Person:
    """A person for frames of this size (width, height), from a picture and its mask (uint8 of one size).

    Her mask gets the softness that a lens gives. At her edge a picture shows a mixture with the room she was in; there
    she gets the colours that she has a little further inside.
    """
    rows, columns = np.nonzero(mask_r8 > 127)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    colours, alpha = picture_bgr[box], mask_r8[box]
    scale = min(PERSON_HEIGHT * frame_px[1] / alpha.shape[0], PERSON_WIDTH * frame_px[0] / alpha.shape[1])
    size_px = round(alpha.shape[1] * scale), round(alpha.shape[0] * scale)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    clean_bgr = cv2.resize(without_old_room(colours, alpha), size_px, interpolation=way)
    hard = cv2.resize(alpha, size_px, interpolation=way).astype(np.float32) / 255
    sigma_px = LENS_BLUR * frame_px[1]
    margin_px = math.ceil(4 * sigma_px)
    # Air around her for the blur, but for the lower edge, where the frame cuts her.
    around = (margin_px, 0, margin_px, margin_px)
    airy = cv2.copyMakeBorder(hard, *around, cv2.BORDER_CONSTANT, value=0.0)
    airy_bgr = cv2.copyMakeBorder(clean_bgr, *around, cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(airy, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    return Person(np.asarray(airy_bgr, np.uint8), np.asarray(np.clip(soft, 0, 1), np.float32))


def without_old_room(picture_bgr: Picture, mask_r8: Picture) -> Picture:
    """The picture with her own colours, from further inside, where the old room has a share in them, and beyond."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MIXED_PX + 1,) * 2)
    inside = cv2.erode((mask_r8 > 250).astype(np.float32), disc, borderType=cv2.BORDER_REPLICATE)
    colours = picture_bgr.astype(np.float32) * inside[..., None]
    known = inside
    result = picture_bgr.astype(np.float32)
    missing = inside == 0
    for reach_px in (2 * MIXED_PX + 3, SPREAD_PX):
        weight = cv2.GaussianBlur(known, (0, 0), reach_px / 3)
        spread = cv2.GaussianBlur(colours, (0, 0), reach_px / 3) / np.maximum(weight, 1e-6)[..., None]
        here = missing & (weight > 1e-3)
        result[here] = spread[here]
        missing &= ~here
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def portrait() -> tuple[Picture, Picture]:
    """The repository's own portrait and its mask, head and shoulders as before a webcam."""
    picture_bgr, mask_r8 = read(PICTURES / "astronaut.png"), read_mask(PICTURES / "astronaut_mask.png")
    rows = picture_bgr.shape[1] * 9 // 16
    return picture_bgr[:rows], mask_r8[:rows]


def masked_pictures(folder: Path, count: int) -> list[tuple[Picture, Picture]]:
    """``count`` pictures, evenly spread, with their masks: ``img/NAME.jpg`` and ``mask/NAME.png`` (or ``images`` and
    ``masks``); only people whom the picture's sides don't cut, or only far below. CommandError when there are none."""
    for pictures, masks in (("images", "masks"), ("img", "mask")):
        if (folder / pictures).is_dir() and (folder / masks).is_dir():
            paths = pictures_in(folder / pictures)
            whole = [path for path in paths if rows_uncut(read_mask(folder / masks / f"{path.stem}.png"))]
            found = [_pair(path, folder / masks / f"{path.stem}.png") for path in spread(whole, count)]
            if found:
                return found
    raise CommandError(
        f"--data: {folder} has no images/ and masks/ (or img/ and mask/) with people in them whom the picture's sides "
        "don't cut",
        2,
    )


def _pair(picture: Path, mask: Path) -> tuple[Picture, Picture]:
    picture_bgr, mask_r8 = read(picture), read_mask(mask)
    if picture_bgr.shape[:2] != mask_r8.shape:
        raise CommandError(f"{mask}: the mask has another size than its picture", 2)
    rows = rows_uncut(mask_r8)
    return picture_bgr[:rows], mask_r8[:rows]


def rows_uncut(mask_r8: Picture) -> int:
    """How many rows from the top the sides of the picture don't cut her in; 0 if that is too little of her."""
    inside = mask_r8 > 127
    rows = np.flatnonzero(inside.any(axis=1))
    cut = np.flatnonzero(inside[:, :2].any(axis=1) | inside[:, -2:].any(axis=1))
    if not rows.size or inside[:2].any():
        return 0
    end = int(cut[0]) if cut.size else int(rows[-1]) + 1
    return end if end - rows[0] >= LEAST_UNCUT * (rows[-1] + 1 - rows[0]) else 0


def rooms_in(folder: Path, count: int, size_px: tuple[int, int]) -> list[Picture]:
    """``count`` pictures of rooms, evenly spread, from a folder and those in it, filling frames of this size."""
    places = [folder, *sorted(each for each in folder.rglob("*") if each.is_dir())] if folder.is_dir() else []
    found = [path for place in places for path in pictures_in(place)]
    if not found:
        raise CommandError(f"--rooms: there are no pictures in {folder}", 2)
    return [fill(read(path), size_px) for path in spread(found, count)]


def drawn_room(size_px: tuple[int, int]) -> Picture:
    """The repository's own room, drawn, in this size."""
    return fill(room(), size_px)


def fill(picture_bgr: Picture, size_px: tuple[int, int]) -> Picture:
    """The middle of a picture so that it fills frames of ``size_px`` (width, height)."""
    width, height = size_px
    scale = max(width / picture_bgr.shape[1], height / picture_bgr.shape[0])
    wide, high = max(round(picture_bgr.shape[1] * scale), width), max(round(picture_bgr.shape[0] * scale), height)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    whole = cv2.resize(picture_bgr, (wide, high), interpolation=way)
    top, left = (high - height) // 2, (wide - width) // 2
    return np.asarray(whole[top : top + height, left : left + width], np.uint8)


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of them, evenly spread."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths)))
    return [paths[round(place)] for place in places]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of their names."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and each.name[0] != ".")


def read(path: Path) -> Picture:
    """A picture: uint8 H x W x 3, BGR; CommandError when it can't be read."""
    return _decoded(path, cv2.IMREAD_COLOR)


def read_mask(path: Path) -> Picture:
    """A mask: uint8 H x W, 0 to 255; CommandError when it can't be read."""
    return _decoded(path, cv2.IMREAD_GRAYSCALE)


def _decoded(path: Path, kind: int) -> Picture:
    # Not cv2.imread: it can't open every name.
    data = np.frombuffer(path.read_bytes(), np.uint8) if path.is_file() else np.empty(0, np.uint8)
    pixels = cv2.imdecode(data, kind) if data.size else None
    if pixels is None:
        raise CommandError(f"{path} is no picture that can be read", 2)
    return np.asarray(pixels, np.uint8)
