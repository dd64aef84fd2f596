# SPDX-License-Identifier: GPL-2.0-or-later
"""What an evaluation measures: people's masks on sets of pictures in several lights, rooms, flicker and cost.

How is told in :mod:`.evaluate`, the command; :mod:`.report` writes and draws the results.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from ...filters.cli.errors import CommandError
from .cost import Feed, count_macs, time_side_by_side
from .manifest import MASK_FOLDERS, PICTURE_FOLDERS
from .metrics import MaskMetrics
from .pictures import Alpha, Picture, fitted_size, list_pictures, read_pair, read_picture, resize, write_whole

LONG_SIDE = 640
YARDSTICK = "mediapipe_landscape"
ROOM_LIMIT = 0.002  # share of a room's pixels that may be taken for a person
FLICKER_PICTURES, FLICKER_FRAMES, FLICKER_NOISE = 10, 4, 6.0

Mask = NDArray[np.bool_]
Light = Callable[[Picture, np.random.Generator], Picture]


def darken(picture: Picture, rng: np.random.Generator) -> Picture:
    """A badly lit room: (p / 255)^1.3 * 0.3, and sensor noise of 6 grey levels that a webcam's gain brings."""
    light = (np.asarray(picture, np.float32) / 255) ** 1.3 * 0.3 * 255
    return np.asarray((light + rng.normal(0, 6, picture.shape)).round().clip(0, 255), np.uint8)


def brighten(picture: Picture, _rng: np.random.Generator) -> Picture:
    """Overexposed: (p / 255)^0.8 * 1.5, cut off at white."""
    return np.asarray(((np.asarray(picture, np.float32) / 255) ** 0.8 * 1.5 * 255).round().clip(0, 255), np.uint8)


CONDITIONS: dict[str, Light] = {"as is": lambda picture, _rng: picture, "dark": darken, "bright": brighten}


@dataclass(frozen=True)
class Case:
    """A picture file and its mask's file; without a mask nobody is in it."""

    picture: Path
    mask: Path | None

    def read(self) -> tuple[Picture, Mask]:
        """Picture uint8 RGB HxWx3 and truth bool HxW, at most `LONG_SIDE` pixels; PictureError names a bad file."""
        if self.mask is None:
            picture = read_picture(self.picture)
            mask = np.zeros(picture.shape[:2], np.uint8)
        else:
            picture, mask = read_pair(self.picture, self.mask)
        size = fitted_size(picture.shape[1], picture.shape[0], LONG_SIDE)
        return np.ascontiguousarray(resize(picture, size)[:, :, ::-1]), resize(mask, size) >= 128

    def under(self, condition: str, picture: Picture) -> Picture:
        """The picture in another light; the noise depends on the file's name only."""
        return CONDITIONS[condition](picture, np.random.default_rng(zlib.crc32(self.picture.name.encode())))


class Measurable(Protocol):
    """A network to measure: `predict` gives the soft mask (float32 HxW, 0..1) of a picture (uint8 RGB HxWx3).

    `file` is its file's name, `data` what stands in it, `feed_for_cost` all inputs for one run of the `session`.
    """

    @property
    def file(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def licence(self) -> str: ...
    @property
    def session(self) -> onnxruntime.InferenceSession: ...
    def feed_for_cost(self) -> Feed: ...
    def predict(self, picture_rgb: Picture, /) -> Alpha: ...


@dataclass
class NetworkResult:
    """What was found out about one network; `sets` and `rooms` are by name, then condition, then measure."""

    name: str
    file: str
    licence: str
    bytes: int
    macs: int
    ms: float = 0.0
    ratio: float | None = None
    sets: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    rooms: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)


@dataclass
class Results:
    """Everything that tables and plots show; `counts` says how many pictures each set and room folder has."""

    yardstick: str | None
    conditions: list[str]
    counts: dict[str, int]
    networks: list[NetworkResult]
    own: list[str]

    def write(self, path: Path) -> None:
        """As JSON; `read` takes it back."""
        write_whole(path, (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Results:
        """From `write`'s JSON."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "networks": [NetworkResult(**each) for each in values["networks"]]})


class Measured:
    """Metrics by set, condition and network, picture by picture, so that the worst can be found again."""

    def __init__(self) -> None:
        self.cases: dict[str, list[Case]] = {}
        self.metrics: dict[tuple[str, str, str], MaskMetrics] = {}

    def of(self, set_name: str, condition: str, network: str) -> MaskMetrics:
        """The metrics in one place, empty at first."""
        return self.metrics.setdefault((set_name, condition, network), MaskMetrics())


def find_sets(folder: Path, frames: int | None) -> dict[str, list[Case]]:
    """The sets in a folder by name; with `frames` only so many pictures of each, evenly spread."""
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    sets = {place.name: thin(cases_in(place), frames) for place in places if cases_in(place)}
    if not sets:
        raise CommandError(f"{folder} has no folder with images/ and masks/ (or img/ and mask/) in it")
    return sets


def cases_in(folder: Path) -> list[Case]:
    """The pictures of one set with their masks; empty if the folder is none."""
    for pictures, masks in zip(PICTURE_FOLDERS, MASK_FOLDERS, strict=True):
        if (folder / pictures).is_dir() and (folder / masks).is_dir():
            return [Case(path, folder / masks / f"{path.stem}.png") for path in list_pictures(folder / pictures)]
    return []


def find_rooms(folders: Sequence[Path], frames: int | None) -> dict[str, list[Case]]:
    """Pictures of empty rooms by the name of their folder, which holds them itself or in `images` or `img`."""
    rooms = {}
    for folder in folders:
        places = [folder / name for name in PICTURE_FOLDERS if (folder / name).is_dir()] or [folder]
        cases = [Case(path, None) for path in list_pictures(places[0])] if places[0].is_dir() else []
        if not cases:
            raise CommandError(f"--rooms: there are no pictures in {folder}")
        rooms[folder.name] = thin(cases, frames)
    return rooms


def thin(cases: list[Case], frames: int | None) -> list[Case]:
    """At most `frames` of them, evenly spread; all with None."""
    if frames is None or frames >= len(cases):
        return cases
    return [cases[round(place)] for place in np.linspace(0, len(cases) - 1, frames)]


def as_tensor(mask: NDArray[Any]) -> torch.Tensor:
    """A mask HxW as float32 [1,1,H,W]."""
    return torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None]


def measure(cases: Mapping[str, list[Case]], networks: Mapping[str, Measurable], conditions: Sequence[str]) -> Measured:
    """Show every picture in every light to every network."""
    measured = Measured()
    for set_name, those in cases.items():
        measured.cases[set_name] = those
        for case in those:
            picture, truth = case.read()
            for condition in conditions:
                lit = case.under(condition, picture)
                for name, network in networks.items():
                    metrics = measured.of(set_name, condition, name)
                    metrics.update_probability(as_tensor(network.predict(lit)), as_tensor(truth))
        print(f"{set_name}: {len(those)} pictures", flush=True)
    return measured


def still_clip(picture: Picture) -> Iterator[Picture]:
    """Frames of a camera and a person that stand still: the picture with fresh noise of 6 grey levels each time."""
    rng = np.random.default_rng(0)
    for _ in range(FLICKER_FRAMES):
        noisy = np.asarray(picture, np.float32) + rng.normal(0, FLICKER_NOISE, picture.shape)
        yield np.asarray(noisy.round().clip(0, 255), np.uint8)


def measure_flicker(measured: Measured, networks: Mapping[str, Measurable]) -> None:
    """Add the flicker on a few pictures of each set."""
    for set_name, cases in measured.cases.items():
        for case in thin(cases, FLICKER_PICTURES):
            picture, mask = case.read()
            frames = list(still_clip(picture))
            truth = as_tensor(mask).expand(len(frames), -1, -1, -1)
            for name, network in networks.items():
                answers = torch.cat([as_tensor(network.predict(frame)) for frame in frames])
                measured.of(set_name, "as is", name).update_clip(answers, truth)


def room_figures(metrics: MaskMetrics) -> dict[str, float]:
    """Of the shares of pixels taken for a person: their mean, the worst, and how many rooms are above the limit."""
    shares = metrics.per_picture("empty_share")
    over = sum(share > ROOM_LIMIT for share in shares)
    return {"mean": float(np.mean(shares)), "worst": max(shares), "over_limit": float(over)}


def measure_cost(networks: Mapping[str, Measurable], rounds: int) -> list[NetworkResult]:
    """File size, multiply-accumulates and milliseconds of each network."""
    feeds = {name: network.feed_for_cost() for name, network in networks.items()}
    sessions = {name: (network.session, feeds[name]) for name, network in networks.items()}
    timings = time_side_by_side(sessions, YARDSTICK, rounds)
    return [
        NetworkResult(
            name=name,
            file=network.file,
            licence=network.licence,
            bytes=len(network.data),
            macs=count_macs(onnx.load_from_string(network.data), feeds[name]),
            ms=timings[name].ms,
            ratio=timings[name].ratio,
        )
        for name, network in networks.items()
    ]


def fill(found: NetworkResult, conditions: Sequence[str], people: Measured, rooms: Measured) -> None:
    """Put the means over pictures into a network's result."""
    for set_name in people.cases:
        figures = {each: people.of(set_name, each, found.name).compute() for each in conditions}
        found.sets[set_name] = figures
    for room in rooms.cases:
        found.rooms[room] = {each: room_figures(rooms.of(room, each, found.name)) for each in conditions}
