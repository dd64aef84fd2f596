# SPDX-License-Identifier: GPL-2.0-or-later
"""The live filter without a device: whose picture is shown, and what is shown when there is no mask."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from background_filter.filters.cli.bench_attention import standing
from background_filter.filters.cli.bench_picture_clip import drawn_room, portrait
from background_filter.filters.engine.closer import Answer
from background_filter.filters.engine.network import InferenceError, Network
from background_filter.filters.obs.settings import DEFAULTS, FilterSettings
from background_filter.filters.offline import camera
from background_filter.filters.offline.backgrounds import Background, Blurred, Still
from background_filter.filters.offline.camera import LiveFilter, Look
from background_filter.filters.offline.capture import CameraFrame, Newest
from background_filter.filters.offline.person import PersonFinder
from background_filter.filters.offline.picture_files import Read
from background_filter.filters.offline.pictures import Wanted, finish
from background_filter.tests.offline.clips import Picture, portrait_frames

SIZE = 320, 180
RATE_HZ = 30.0
GREEN = np.array([0, 177, 64], np.uint8).reshape(1, 1, 3)


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []

    def send(self, picture_rgb: Picture) -> None:
        """As in ``Sink``."""
        self.pictures.append(picture_rgb.copy())


class Interrupted:
    """The finder of a live filter, which can be made to hang or to fail."""

    def __init__(self, finder: PersonFinder) -> None:
        self.settings = DEFAULTS
        self._finder = finder
        self.goes, self.fails = threading.Event(), False
        self.goes.set()

    def answer(self, picture_rgb: Picture, time_ns: int, ahead_ms: float = 0.0) -> Answer:
        """As ``PersonFinder``."""
        self.goes.wait(30)
        if self.fails:
            raise InferenceError("the device was removed")
        self._finder.settings = self.settings
        return self._finder.answer(picture_rgb, time_ns, ahead_ms)


class Live:
    """A live filter with a recorder, fed by hand or by a thread."""

    def __init__(self, network: Network, settings: FilterSettings) -> None:
        backgrounds: dict[str, Background] = {"color": Still(GREEN), "blur": Blurred()}
        self.recorder = Recorder()
        self.filter = LiveFilter(
            network,
            Look(dataclasses.replace(settings, background="color")),
            backgrounds,
            SIZE,
            RATE_HZ,
            (self.recorder,),
        )
        self.finder = self.filter._finder = Interrupted(PersonFinder(network, settings))  # type: ignore[assignment]
        self._end = threading.Event()

    def feed(self, frames_rgb: list[Picture]) -> None:
        """Put frames at the camera's rate, over and over, until ``end``."""

        def put() -> None:
            number = 0
            while not self._end.wait(1 / RATE_HZ):
                self.filter.put(CameraFrame(frames_rgb[number % len(frames_rgb)].copy(), time.monotonic_ns()))
                number += 1

        threading.Thread(target=put, daemon=True).start()

    def end(self) -> None:
        """No more frames."""
        self._end.set()

    def wait_for(self, what: Callable[[Picture], bool]) -> Picture:
        """The first picture from now on of which this is true."""
        end_s, number = time.monotonic() + 20, len(self.recorder.pictures)
        while time.monotonic() < end_s:
            for picture in self.recorder.pictures[number:]:
                if what(picture):
                    return picture
            time.sleep(0.01)
        raise AssertionError("no such picture")


Start = Callable[..., Live]


@pytest.fixture
def start(network: Network) -> Iterator[Start]:
    """Starts live filters with changed settings."""
    running: list[Live] = []

    def make(**changes: object) -> Live:
        live = Live(network, dataclasses.replace(DEFAULTS, **changes))  # type: ignore[arg-type]
        live.filter.__enter__()
        running.append(live)
        return live

    yield make
    for live in running:
        live.end()
        live.finder.goes.set()
        live.filter.__exit__(None, None, None)
        assert live.filter.error is None


def is_black(picture: Picture) -> bool:
    return not picture.any()


def is_green_behind(picture: Picture) -> bool:
    return bool((picture[:40, -20:] == GREEN).all()) and not is_black(picture)


@pytest.mark.parametrize("own_colours", [False, True])
def test_each_picture_is_the_one_that_image_makes_of_its_frame(
    start: Start, network: Network, own_colours: bool
) -> None:
    live, finder = start(despill=own_colours), PersonFinder(network, DEFAULTS)
    for frame_rgb in portrait_frames(6):
        frame = CameraFrame(frame_rgb, time.monotonic_ns())
        alpha = finder.alpha(frame_rgb, frame.capture_ns)
        kept = Wanted(dataclasses.replace(DEFAULTS, despill=own_colours), Still(GREEN))
        wanted = finish(Read(frame_rgb.copy(), None), alpha, kept)
        live.filter.put(frame)
        live.wait_for(lambda shown, wanted=wanted: np.array_equal(shown, wanted))  # type: ignore[misc]


def test_a_small_person_is_looked_at_closer_if_wanted(start: Start, network: Network) -> None:
    frame_bgr, _ = standing(*portrait(), drawn_room((640, 360))).frame(1 / 3, 0.6, 1)
    frame_rgb = np.asarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB), np.uint8)
    wanted = dataclasses.replace(DEFAULTS, attention=True)
    finder = PersonFinder(network, wanted)
    alpha = [finder.alpha(frame_rgb, number * 10**8) for number in range(40)][-1]
    assert np.abs(alpha.astype(int) - PersonFinder(network, DEFAULTS).alpha(frame_rgb, 0)).max() > 50
    expected = finish(Read(frame_rgb.copy(), None), alpha, Wanted(wanted, Still(GREEN)))
    live = start(attention=True)
    live.feed([frame_rgb])
    live.wait_for(lambda shown: np.array_equal(shown, expected))


def test_before_the_first_mask_and_while_the_engine_hangs_nothing_is_shown(start: Start) -> None:
    live = start()
    live.finder.goes.clear()
    live.feed(portrait_frames(8))
    for _ in range(4):
        assert is_black(live.wait_for(lambda _: True))
    live.finder.goes.set()
    live.wait_for(is_green_behind)
    live.finder.goes.clear()
    live.wait_for(is_black)
    live.finder.goes.set()
    live.wait_for(is_green_behind)
    assert all(is_black(picture) or is_green_behind(picture) for picture in live.recorder.pictures)


def test_a_network_that_fails_is_told_and_shows_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    live = start()
    monkeypatch.setattr(camera, "PersonFinder", lambda *_: live.finder)  # it begins anew, and fails again
    live.feed(portrait_frames(8))
    live.wait_for(is_green_behind)
    live.finder.fails = True
    live.wait_for(is_black)
    assert "the device was removed" in live.filter.figures().problem
    live.finder.fails = False
    live.wait_for(is_green_behind)
    assert not live.filter.figures().problem
    assert all(is_black(picture) or is_green_behind(picture) for picture in live.recorder.pictures)


@pytest.mark.parametrize("without_mask", ["blur", "source"])
def test_without_a_mask_what_was_asked_for_is_shown(start: Start, without_mask: str) -> None:
    live, frame_rgb = start(without_mask=without_mask), portrait_frames(1)[0]
    live.finder.goes.clear()
    live.feed([frame_rgb])
    shown = live.wait_for(lambda picture: bool(picture.any()))
    if without_mask == "source":
        assert np.array_equal(shown, frame_rgb)
        return
    assert detail(shown) < 0.3 * detail(frame_rgb)  # of her face there are three pixels
    assert abs(shown.mean() - frame_rgb.mean()) < 5


def detail(picture: Picture) -> float:
    """How much of a picture is lost when it is blurred."""
    return float(np.abs(picture.astype(np.float32) - cv2.GaussianBlur(picture, (0, 0), 4)).mean())


def test_without_delay_the_newest_frame_is_shown_with_an_older_mask(start: Start) -> None:
    live, frames = start(timing="no_delay"), portrait_frames(30)
    live.feed(frames)
    live.wait_for(is_green_behind)
    live.finder.goes.clear()  # no new masks: for a moment the frames go on with the last one
    before = len(live.recorder.pictures)
    live.wait_for(is_black)
    shown = [picture.tobytes() for picture in live.recorder.pictures[before:] if is_green_behind(picture)]
    assert len(set(shown)) > 3


def test_a_mask_is_never_drawn_on_a_frame_that_is_turned_the_other_way(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = start(timing="no_delay")
    monkeypatch.setattr(camera, "PersonFinder", lambda *_: live.finder)  # also the one that begins anew hangs
    live.feed(portrait_frames(30))
    live.wait_for(is_green_behind)
    live.finder.goes.clear()
    live.filter.look = dataclasses.replace(live.filter.look, is_mirrored=True)
    time.sleep(3 / RATE_HZ)  # what was on its way is shown
    before = len(live.recorder.pictures)
    live.wait_for(is_black)
    assert len({picture.tobytes() for picture in live.recorder.pictures[before:]}) <= 2  # the last one, and black


def test_frozen_off_and_mirrored(start: Start) -> None:
    live = start()
    live.feed(portrait_frames(30))
    live.wait_for(is_green_behind)
    live.filter.look = dataclasses.replace(live.filter.look, is_frozen=True)
    live.wait_for(lambda _: len({picture.tobytes() for picture in live.recorder.pictures[-6:]}) == 1)
    live.filter.look = dataclasses.replace(live.filter.look, is_frozen=False, is_off=True)
    live.wait_for(is_black)
    live.filter.look = dataclasses.replace(live.filter.look, is_off=False, is_mirrored=True)
    assert is_green_behind(live.wait_for(is_green_behind_left)[:, ::-1])


def is_green_behind_left(picture: Picture) -> bool:
    return is_green_behind(picture[:, ::-1])


def test_what_is_unexpected_ends_it(network: Network) -> None:
    class Broken:
        def send(self, picture_rgb: Picture) -> None:
            raise OSError("no such device")

    with LiveFilter(
        network,
        Look(dataclasses.replace(DEFAULTS, background="color")),
        {"color": Still(GREEN)},
        SIZE,
        RATE_HZ,
        (Broken(),),
    ) as live:
        end_s = time.monotonic() + 20
        while live.error is None and time.monotonic() < end_s:
            time.sleep(0.01)
    assert isinstance(live.error, OSError)


def test_of_what_is_put_only_the_newest_counts() -> None:
    newest: Newest[int] = Newest()
    assert newest.newer_than(0, 0.0) == (0, None)
    for item in (7, 8, 9):
        newest.put(item)
    assert newest.newer_than(0, 0.0) == (3, 9)
    assert newest.newer_than(3, 0.0) == (3, None)
    threading.Timer(0.05, newest.put, [10]).start()
    assert newest.newer_than(3, 20.0) == (4, 10)
