# SPDX-License-Identifier: GPL-2.0-or-later
"""Real networks through their catalogue entries in a real engine process, against a plain script for each.

A few pictures of each development set; with ALL_PICTURES=1 all of them (ten minutes), and with -s the table is shown.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.bridge.status import State
from background_filter.models import trust
from background_filter.models.catalog import ModelEntry, load_catalog
from background_filter.models.places import shipped_models_folder, user_models_folder
from background_filter.tests.engine.running import RunningEngine, RunningStream
from background_filter.tests.models.reference import SHARED, SHIPPED, Reference, open_plainly, person_in

SETS = ("portraits", "street", "everyday")
ALL_PICTURES = os.environ.get("ALL_PICTURES") == "1"
PER_SET = 6  # pictures of each set
PER_SET_OF_SLOW = 2  # for networks of many pixels: the tests must not take minutes
SLOW_PX = 400 * 400
SAME = 0.98  # overlap of the engine's masks and the plain script's, over all pictures of a set
CLOSE = 0.01  # by how much their overlaps with the truth may differ
SPREAD = {"portraits": 0.08, "street": 0.15}  # standard deviation over a whole set, of the networks that vary most
ERRORS = 3.0  # standard errors: so far may the mean of a few pictures be from that of all


class Pair(NamedTuple):
    """A picture, HxWx3 uint8 RGB, and where the person is."""

    picture_rgb: NDArray[np.uint8]
    truth: NDArray[np.bool_]


@functools.cache
def masks_of(folder: Path, count: int) -> list[Path]:
    """The masks of a set, or so many of them, evenly spread."""
    masks = sorted((folder / "mask").iterdir())
    return masks if ALL_PICTURES else masks[:: len(masks) // count][:count]


@functools.lru_cache(maxsize=400 if ALL_PICTURES else None)
def read_pair(folder: Path, mask: Path) -> Pair:
    """A picture of a development set with its mask."""
    picture = cv2.imread(str(next((folder / "img").glob(f"{mask.stem}.*"))))
    truth = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    assert picture is not None and truth is not None
    return Pair(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), np.asarray(truth) > 127)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def entry_of(file: str) -> ModelEntry:
    """The catalogue's entry for a file."""
    return next(entry for entry in load_catalog().values() if entry.file == file)


@pytest.fixture(scope="module")
def engine(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """An engine of a user who has got every shared network and trusts it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path_factory.mktemp("config")))
        user_models_folder().mkdir(parents=True)
        for reference in SHARED:
            source = shared_folder / "models" / f"{reference.file}.onnx"
            trust.trust_file(Path(shutil.copy(source, user_models_folder())))
        running = RunningEngine()
        yield running
        running.process.kill()
        running.process.wait()


class Looker:
    """Shows pictures to the engine, as OBS does, each as if it were the first."""

    def __init__(self, stream: RunningStream, entry: ModelEntry) -> None:
        self._stream = stream
        self._size = entry.input.width, entry.input.height
        self._remembers = bool(entry.recurrence)

    def person_in(self, picture_rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Where the engine's mask, brought to the picture's size, is above one half."""
        small = np.asarray(cv2.resize(picture_rgb, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        if self._remembers:  # a cut: black or white, whatever is further from the picture
            self._stream.alpha_of(rgba(np.full_like(small, 0 if small.mean() > 127 else 255)))
        alpha = self._stream.alpha_of(rgba(small))
        return cv2.resize(alpha, picture_rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 127


def rgba(picture_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame that OBS would send."""
    return np.dstack([picture_rgb, np.full(picture_rgb.shape[:2], 255, np.uint8)])


def test_every_shared_network_is_in_the_catalogue_and_tested(shared_folder: Path) -> None:
    paths = sorted((shared_folder / "models").glob("*/*.onnx"))
    assert {path.name for path in paths} <= {entry.file for entry in load_catalog().values()}
    assert {f"{path.parent.name}/{path.stem}" for path in paths} == {reference.file for reference in SHARED}


def test_every_network_that_ships_is_tested() -> None:
    assert {path.stem for path in shipped_models_folder().glob("*.onnx")} == {reference.file for reference in SHIPPED}


@pytest.mark.parametrize("reference", [*SHARED, *SHIPPED], ids=lambda reference: Path(reference.file).name)
def test_the_engine_does_what_the_plain_script_does(
    reference: Reference, shared_folder: Path, engine: RunningEngine
) -> None:
    folder = shared_folder / "models" if reference in SHARED else shipped_models_folder()
    path = folder / f"{reference.file}.onnx"
    session, entry = open_plainly(path), entry_of(path.name)
    assert (entry.input.width, entry.input.height) == (reference.width, reference.height)
    stream = RunningStream(engine, 1 + [*SHARED, *SHIPPED].index(reference), entry.id, "cpu")
    try:
        assert stream.wait_for_state(State.READY).model == entry.id
        for name in SETS:
            compare(Looker(stream, entry), reference, session, shared_folder / "data" / "dev" / name)
    finally:
        stream.close()


def compare(looker: Looker, reference: Reference, session: object, folder: Path) -> None:
    """The overlap with the truth is the same for both, about the published one, and both find the same people."""
    found, expected, both, either = [], [], 0, 0
    for mask in masks_of(folder, PER_SET if reference.width * reference.height < SLOW_PX else PER_SET_OF_SLOW):
        picture_rgb, truth = read_pair(folder, mask)
        ours, theirs = looker.person_in(picture_rgb), person_in(picture_rgb, reference, session)
        found.append(overlap(ours, truth))
        expected.append(overlap(theirs, truth))
        both, either = both + int((ours & theirs).sum()), either + int((ours | theirs).sum())
    figures = np.mean(found), np.mean(expected), both / either
    print("{} {} ({}): engine {:.4f}, script {:.4f}, alike {:.4f}".format(
        reference.file, folder.name, len(found), *figures))  # fmt: skip
    assert abs(figures[0] - figures[1]) < CLOSE
    assert figures[2] > SAME
    published = {"portraits": reference.portraits, "street": reference.street}.get(folder.name)
    if published is not None:
        assert abs(figures[0] - published) < ERRORS * SPREAD[folder.name] / len(found) ** 0.5
