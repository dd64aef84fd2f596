# SPDX-License-Identifier: GPL-2.0-or-later
"""The finished stretches of a video, in a folder beside it: what an earlier run has done is not done again."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import av

from ...models.atomic import replace_file
from ..engine.network import Network
from .files import MediaError
from .person import STRETCH, WARM_UP
from .pictures import Wanted
from .reading import Mark
from .writing import Encoding

STATE = "state.json"
VERSION = 1
SAMPLE_BYTES = 1 << 20  # of a file's beginning and end, to know it by


@dataclasses.dataclass
class Stretches:
    """What is done: stretch n lies in ``path(n)`` and begins at ``first_pts[n]``. ``frames`` counts all of theirs;
    ``marks[n]`` is where reading begins when the masks of stretch n are needed (``lead_number``)."""

    folder: Path
    encoding: Encoding
    fingerprint: str
    frames: int = 0
    first_pts: list[int] = dataclasses.field(default_factory=list)
    marks: list[Mark] = dataclasses.field(default_factory=list)

    @property
    def done(self) -> int:
        """How many stretches are finished."""
        return len(self.first_pts)

    def path(self, number: int) -> Path:
        """Where a stretch lies, or will lie."""
        return self.folder / f"{number:06}{self.encoding.stretch}"

    def files(self) -> list[tuple[Path, int]]:
        """All stretches, with the time of the first frame of each."""
        return [(self.path(number), pts) for number, pts in enumerate(self.first_pts)]

    def start(self) -> Mark | None:
        """Where reading begins to go on, None: at the beginning. The masks of the stretch before the missing one are
        needed again, for smoothing."""
        return self.marks[self.done - 1] if self.done > 1 else None

    def first_needed(self) -> int:
        """The number of the first frame whose mask is needed to go on."""
        return max(self.done - 1, 0) * STRETCH

    def add(self, part: Path, frames: int, first_pts: int, mark: Mark) -> None:
        """The next stretch is finished, in the file ``part``. Raises OSError."""
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(self.path(self.done))
        self.frames += frames
        self.first_pts.append(first_pts)
        self.marks.append(mark)
        state = {
            "version": VERSION, "fingerprint": self.fingerprint, "frames": self.frames, "first_pts": self.first_pts,
            "marks": self.marks,
        }  # fmt: skip
        replace_file(self.folder / STATE, json.dumps(state).encode())

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)


def lead_number(stretch: int) -> int:
    """The frame that reading begins at when the masks of a stretch are needed."""
    return max(stretch * STRETCH - WARM_UP, 0)


def folder_of(target: Path) -> Path:
    """Where the stretches of a video lie until it is whole."""
    return target.with_name(f"{target.name}.part")


def open_stretches(target: Path, encoding: Encoding, fingerprint: str, go_on: bool) -> Stretches:
    """What an earlier run with the same fingerprint left, if it is to ``go_on``; else an empty folder. MediaError."""
    folder = folder_of(target)
    fresh = Stretches(folder, encoding, fingerprint)
    found = read_state(fresh) if go_on else None
    try:
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
    except OSError as error:
        raise MediaError(f"{target} can't be written: {error.strerror or error}.") from error
    return found or fresh


def read_state(fresh: Stretches) -> Stretches | None:
    """What lies in the folder, if all of it is as its list says and has the same fingerprint."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        state: dict[str, Any] = json.loads((fresh.folder / STATE).read_bytes())
        marks = [Mark(*mark) for mark in state["marks"]]
        times = [int(pts) for pts in state["first_pts"]]
        found = dataclasses.replace(fresh, frames=int(state["frames"]), first_pts=times, marks=marks)
        paths = [found.path(number) for number in range(found.done)]
        is_whole = len(marks) == len(times) and all(path.stat().st_size > 0 for path in paths)
        if is_whole and (state["version"], state["fingerprint"]) == (VERSION, fresh.fingerprint):
            return found
    return None


def fingerprint_of(source: Path, wanted: Wanted, network: Network, encoding: Encoding) -> str:
    """What must be the same for a run to go on where another ended."""
    settings = dataclasses.asdict(wanted.settings)
    behind = Path(wanted.settings.background_source)
    told = [
        settings,
        sample_of(source),
        sample_of(behind) if wanted.settings.background == "source" else "",
        [network.sha256, network.device],
        [encoding, STRETCH, WARM_UP, av.__version__],
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def sample_of(path: Path) -> str:
    """A digest of a file's size, beginning and end. MediaError."""
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            sample = stream.read(SAMPLE_BYTES)
            stream.seek(max(size - SAMPLE_BYTES, 0))
            return hashlib.sha256(sample + stream.read() + str(size).encode()).hexdigest()
    except OSError as error:
        raise MediaError(f"{path} can't be read: {error.strerror or error}.") from error
