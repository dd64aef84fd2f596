# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's pictures: a portrait that moves before a drawn room, another background, and before beside after."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .workshop import ROOT

Picture = NDArray[np.uint8]

PICTURES = ROOT / "tests" / "pictures"
SIZE_PX = (1280, 720)
FPS = 30
CLIP_S = 4
# The portrait at this size, cut by the lower edge of the frame at her chest: a head and shoulders, like a webcam's.
PERSON_PX = 980
SWAY_PX, NOD_PX = 150, 40


def portrait_frames() -> Iterator[Picture]:
    """A seamless loop of her swaying before the room: uint8 720 x 1280 x 3, BGR."""
    width, height = SIZE_PX
    size = (PERSON_PX, PERSON_PX)
    person_bgr = cv2.resize(_read("astronaut.png", cv2.IMREAD_COLOR), size, interpolation=cv2.INTER_CUBIC)
    mask_r8 = cv2.resize(_read("astronaut_mask.png", cv2.IMREAD_GRAYSCALE), size, interpolation=cv2.INTER_LINEAR)
    room_bgr = room().astype(np.float32)
    random = np.random.default_rng(7)
    for number in range(CLIP_S * FPS):
        phase = 2 * np.pi * number / (CLIP_S * FPS)
        left_px = (width - PERSON_PX) / 2 + SWAY_PX * np.sin(phase)
        top_px = height - PERSON_PX * 0.69 + NOD_PX * (1 - np.cos(2 * phase)) / 2
        shift = np.array([[1, 0, left_px], [0, 1, top_px]], np.float32)
        alpha = cv2.warpAffine(mask_r8, shift, SIZE_PX)[..., None] / np.float32(255)
        frame = cv2.warpAffine(person_bgr, shift, SIZE_PX) * alpha + room_bgr * (1 - alpha)
        noise = random.normal(0, 2.0, (height, width, 1)).astype(np.float32)
        yield np.clip(frame + noise, 0, 255).astype(np.uint8)


def _read(name: str, kind: int) -> Picture:
    picture = cv2.imread(str(PICTURES / name), kind)
    if picture is None:
        raise OSError(f"{PICTURES / name} can't be read")
    return np.asarray(picture, dtype=np.uint8)


def room() -> Picture:
    """A wall with bookshelves, a window and a sideboard, a little out of focus: uint8 720 x 1280 x 3, BGR."""
    width, height = SIZE_PX
    across = np.linspace(1.06, 0.86, width, dtype=np.float32)[None, :, None]
    picture = np.clip(np.array((176, 190, 200), np.float32) * across, 0, 255).repeat(height, axis=0).astype(np.uint8)
    random = np.random.default_rng(3)
    for shelf_px in (150, 330, 510, 690):
        _draw_books(picture, shelf_px, random)
        cv2.rectangle(picture, (40, shelf_px), (400, shelf_px + 14), (60, 92, 128), -1)
    cv2.rectangle(picture, (890, 60), (1210, 430), (235, 238, 240), -1)
    for left, top in ((905, 75), (1058, 75), (905, 252), (1058, 252)):
        cv2.rectangle(picture, (left, top), (left + 137, top + 163), (238, 205, 160), -1)
    cv2.rectangle(picture, (870, 430), (1230, 450), (225, 228, 230), -1)
    cv2.rectangle(picture, (830, 590), (1280, 720), (70, 100, 135), -1)
    cv2.rectangle(picture, (830, 590), (1280, 604), (90, 122, 158), -1)
    for left in (850, 1070):
        cv2.rectangle(picture, (left, 622), (left + 190, 710), (58, 86, 118), 3)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.5), dtype=np.uint8)


def _draw_books(picture: Picture, shelf_px: int, random: np.random.Generator) -> None:
    left_px = 48
    while left_px < 370:
        thick_px, high_px = int(random.integers(12, 30)), int(random.integers(80, 130))
        colour = tuple(int(each) for each in random.integers(30, 190, 3))
        cv2.rectangle(picture, (left_px, shelf_px - high_px), (left_px + thick_px, shelf_px), colour, -1)
        left_px += thick_px + 2


def other_background() -> Picture:
    """What stands behind her afterwards: uint8 720 x 1280 x 3, BGR, dark teal to violet."""
    width, height = SIZE_PX
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    part = ((across + down) / 2)[..., None]
    colours = np.array((110, 90, 20)) * (1 - part) + np.array((150, 40, 120)) * part
    return colours.astype(np.uint8)


def save_before_and_after(path: Path, before_rgba: Picture, after_rgba: Picture) -> None:
    """Write two screenshots of one size side by side, each under its caption."""
    halves = []
    for caption, shown_rgba in (("before", before_rgba), ("after", after_rgba)):
        shown_bgr = cv2.cvtColor(shown_rgba, cv2.COLOR_RGBA2BGR)
        head = np.full((56, shown_bgr.shape[1], 3), 32, np.uint8)
        cv2.putText(head, caption, (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (240, 240, 240), 2, cv2.LINE_AA)
        halves.append(np.vstack([head, shown_bgr]))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path, np.hstack(halves))


def save_picture(path: Path, picture_bgr: Picture) -> None:
    """Write one picture (uint8 H x W x 3, BGR); OSError when that fails."""
    try:
        written = cv2.imwrite(str(path), picture_bgr)
    except cv2.error as error:  # a name whose ending OpenCV does not know
        raise OSError(f"{path} can't be written: give a name that ends in .png") from error
    if not written:
        raise OSError(f"{path} can't be written")
