# SPDX-License-Identifier: GPL-2.0-or-later
"""What looking closer at small people is worth: people of known alpha at several distances, with it and without.

In this process, with the engine's own code and the shader's work in NumPy, as ``image`` and ``video`` do it: OBS would
draw the same a hundred times slower without a graphics card.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from ...models.catalog import load_catalog
from ...models.places import find_file
from ...models.refusal import ModelRefused
from ...models.training.outlines import boundary_f
from ...models.trust import read_model
from ..engine.network import Network, load_network
from ..obs.settings import DEFAULTS
from ..offline.person import PersonFinder
from .bench_options import PictureOptions
from .bench_picture_clip import (
    NOISE_SIGMA,
    Alpha,
    Picture,
    drawn_room,
    masked_pictures,
    portrait,
    rooms_in,
    without_old_room,
)
from .bench_picture_metrics import Tally, intersection_over_union
from .bench_report import Figure, Section, Table

SIZE_PX = (960, 540)
FPS = 15
LARGE, FAR = 3 / 4, 1 / 4
HEIGHTS = (LARGE, 1 / 2, 1 / 3, FAR, 1 / 6)
# Long enough for a region to be found and to rest; and to walk away and come back.
STANDING_FRAMES, WALKING_FRAMES, EMPTY_FRAMES = 24, 120, 24
SWAY = 0.02  # of the frame's width
MORE_PEOPLE, ROOMS, WALKERS = 5, 5, 2
WAYS = ("whole", "closer")
LARGEST_PX = 352 * 208  # of a network's input: larger ones take minutes
LEAST_WORSE = 0.02
SOMETHING = 0.001  # of the frame

Frames = Iterator[tuple[Picture, Alpha]]


@dataclass(frozen=True)
class Standing:
    """A person before a room: colours and mask of one size (uint8, BGR, the mask 0 to 255), and the room."""

    colours_bgr: Picture
    mask_r8: Picture
    room_bgr: Picture

    def frame(self, height: float, middle: float, seed: int) -> tuple[Picture, Alpha]:
        """The frame, uint8 BGR with noise, and her alpha, float32 0 to 1: so large a part of the frame's height, her
        middle at so large a part of its width, cut by its lower edge."""
        size = self.room_bgr.shape[1], self.room_bgr.shape[0]
        scale = height * size[1] / self.mask_r8.shape[0]
        left_px, top_px = middle * size[0] - scale * self.mask_r8.shape[1] / 2, (1 - height) * size[1]
        place = np.array([[scale, 0, left_px], [0, scale, top_px]], np.float32)
        sigma_px = max(0.4 / scale, 0.1)  # of the area that one of the frame's pixels covers
        alpha = cv2.warpAffine(cv2.GaussianBlur(self.mask_r8, (0, 0), sigma_px), place, size).astype(np.float32) / 255
        person = cv2.warpAffine(cv2.GaussianBlur(self.colours_bgr, (0, 0), sigma_px), place, size)
        frame = self.room_bgr + alpha[..., None] * (person.astype(np.float32) - self.room_bgr)
        noise = np.random.default_rng(seed).standard_normal((*frame.shape[:2], 1), np.float32)
        frame = frame + np.float32(NOISE_SIGMA) * noise
        return np.asarray(frame.round().clip(0, 255), np.uint8), np.asarray(alpha, np.float32)


def standing(picture_bgr: Picture, mask_r8: Picture, room_bgr: Picture) -> Standing:
    """The person of a picture before a room."""
    rows, columns = np.nonzero(mask_r8 > 127)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return Standing(without_old_room(picture_bgr, mask_r8)[box], mask_r8[box], room_bgr)


def swaying(person: Standing, height: float, frames: int) -> Frames:
    """She stands there, and moves as people do who stand."""
    for number in range(frames):
        yield person.frame(height, 0.35 + SWAY * math.sin(number / 3), number)


def walking(person: Standing, frames: int) -> Frames:
    """She walks away from the camera, from side to side, and comes back."""
    for number in range(frames):
        turn = 2 * math.pi * number / frames
        height = FAR / 1.5 * (LARGE / FAR * 1.5) ** (0.5 + 0.5 * math.cos(turn))
        yield person.frame(height, 0.5 + 0.2 * math.sin(turn), number)


def alphas(network: Network, frames: Frames) -> Iterator[tuple[Alpha, Alpha, Alpha]]:
    """Each frame's alpha as the filter with its default settings draws it, the same looking closer, and the truth."""
    finders = [PersonFinder(network, dataclasses.replace(DEFAULTS, attention=each)) for each in (False, True)]
    for number, (frame_bgr, truth) in enumerate(frames):
        frame_rgb = np.asarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB), np.uint8)
        whole, closer = (finder.alpha(frame_rgb, number * 10**9 // FPS) for finder in finders)
        scale = np.float32(1 / 255)
        yield np.multiply(whole, scale, dtype=np.float32), np.multiply(closer, scale, dtype=np.float32), truth


def measure_attention(options: PictureOptions) -> Section:
    """All of it, with each network that is there and not too large."""
    pictures, rooms = [portrait()], [drawn_room(SIZE_PX)]
    if options.data:
        pictures += masked_pictures(options.data, MORE_PEOPLE)
    if options.rooms:
        rooms += rooms_in(options.rooms, ROOMS, SIZE_PX)
    people = [standing(*each, rooms[number % len(rooms)]) for number, each in enumerate(pictures)]
    heights, walks, empty, figures = [], [], [], []
    for name, network in networks():
        print(f"Attention: {name}", flush=True)
        for height in HEIGHTS:
            found = measured_standing(network, people, height)
            heights.append(standing_row(name, height, found))
            figures += standing_figures(name, height, found)
        tallies = [measured_walk(network, each) for each in people[:WALKERS]]
        walks += [walking_row(name, way, of_way) for way, of_way in zip(WAYS, zip(*tallies), strict=True)]
        empty.append((name, *(f"{100 * share:.1f}" for share in drawn_in_empty(network, rooms))))
    return Section("Small people", note(options, len(people), len(rooms)), figures, [
        Table(("model", "height", "IoU", "closer", "F 2 px", "closer", "worse"), heights),
        Table(("model", "walk", "IoU", "F 2 px", "MAD x1000", "dtSSD moving", "dtSSD still"), walks),
        Table(("model", "drawn in empty rooms, % of frames", "closer"), empty),
    ])  # fmt: skip


def networks() -> Iterator[tuple[str, Network]]:
    """Those of the catalogue that are here and verified."""
    for entry in load_catalog().values():
        if find_file(entry) is None or entry.input.width * entry.input.height > LARGEST_PX:
            continue
        try:
            yield entry.id, load_network(read_model(entry), "cpu").network
        except ModelRefused as refusal:
            print(f"Attention: {entry.id} is left out: {refusal}", flush=True)


Found = list[tuple[float, float, float, float]]  # of each person: IoU without and with, F without and with


def measured_standing(network: Network, people: Sequence[Standing], height: float) -> Found:
    """The last frame of each person, as far away."""
    found = []
    for person in people:
        *_, (whole, closer, truth) = alphas(network, swaying(person, height, STANDING_FRAMES))
        (iou, f), (closer_iou, closer_f) = (
            (intersection_over_union(alpha, truth), boundary_f(alpha > 0.5, truth > 0.5)) for alpha in (whole, closer)
        )
        found.append((iou, closer_iou, f, closer_f))
    return found


def standing_row(name: str, height: float, found: Found) -> Sequence[str]:
    """A row of the table of distances."""
    means = [f"{100 * value:.1f}" for value in np.mean(found, axis=0)]
    worse = sum(with_it < without - LEAST_WORSE for without, with_it, *_ in found)
    return name, str(Fraction(height).limit_denominator(9)), *means, f"{worse} of {len(found)}"


def standing_figures(name: str, height: float, found: Found) -> list[Figure]:
    """What must hold: large people exactly as without, far ones found."""
    if height == LARGE:
        change = max(abs(with_it - without) for without, with_it, *_ in found)
        return [Figure(f"{name}: change of IoU of large people", 100 * change, "%", limit=0)]
    if height == FAR:
        gain = float(np.mean([with_it - without for without, with_it, *_ in found]))
        return [Figure(f"{name}: gain of IoU at a quarter of the frame's height", 100 * gain, "%", limit=0, least=True)]
    return []


def measured_walk(network: Network, person: Standing) -> tuple[Tally, Tally]:
    """One person who walks away and back: without and with it."""
    tallies = Tally(), Tally()
    before: tuple[Alpha, Alpha, Alpha] | None = None
    for found in alphas(network, walking(person, WALKING_FRAMES)):
        for tally, way in zip(tallies, (0, 1), strict=True):
            tally.add_frame(found[way], found[2], boundary_f)
            if before is not None:
                tally.add_pair(found[way], before[way], found[2], before[2], moves=True)
        before = found
    return tallies


def walking_row(name: str, way: str, tallies: Sequence[Tally]) -> Sequence[str]:
    """A row of the table of walks."""

    def mean(key: str, factor: float, digits: int) -> str:
        return f"{factor * float(np.mean([tally.mean(key) for tally in tallies])):.{digits}f}"

    of_frames = mean("iou", 100, 1), mean("boundary_f", 100, 1), mean("mad", 1000, 1)
    return name, way, *of_frames, mean("moving_flicker", 100, 2), mean("still_flicker", 100, 2)


def drawn_in_empty(network: Network, rooms: Sequence[Picture]) -> tuple[float, float]:
    """The share of frames in which something of an empty room is drawn, while a thing moves through it: without and
    with it."""
    thing = np.asarray(cv2.resize(rooms[-1], (256, 256), interpolation=cv2.INTER_AREA), np.uint8)
    oval = cv2.ellipse(np.zeros((256, 256), np.uint8), (128, 128), (90, 128), 0, 0, 360, 255.0, -1)
    drawn = []
    for room_bgr in rooms:
        moved = Standing(thing, np.asarray(oval, np.uint8), room_bgr)
        frames = (moved.frame(0.3, 0.3 + 0.3 * number / EMPTY_FRAMES, number) for number in range(EMPTY_FRAMES))
        drawn += [[(alpha > 0.5).mean() > SOMETHING for alpha in found[:2]] for found in alphas(network, frames)]
    whole, closer = np.mean(drawn, axis=0)
    return float(whole), float(closer)


def note(options: PictureOptions, people: int, rooms: int) -> str:
    """How the figures came about."""
    from_where = "the repository's portrait" + (f" and people of {options.data.name}" if options.data else "")
    rooms_from = "its drawn room" + (f" and pictures of {options.rooms.name}" if options.rooms else "")
    who = f"{people} people ({from_where}) before {rooms} rooms ({rooms_from})"
    return (
        f"With and without *Look closer at small people*, {SIZE_PX[0]}x{SIZE_PX[1]}, {FPS} frames per second, the "
        f"other settings as they are by default, in one process without OBS. {who}, "
        "so that alpha is known. They stand, so high as a part of the frame's height, and sway "
        "a little for a second and a half; the last frame counts. Worse: whose IoU is lower by more than .02. On the "
        "walk they go away from the camera to a sixth of the frame's height, from side to side, and come back within "
        "eight seconds. In the last table nobody is in the rooms, but an oval thing with the colours of another room "
        "moves through each: the share of frames in which anything is drawn that should not be, which is the price."
    )
