# SPDX-License-Identifier: GPL-2.0-or-later
"""The preview window on a real screen: what it shows, and what keys and sliders do."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.network import Network
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.backgrounds import Background, Blurred, Still
from background_filter.filters.offline.camera import LiveFilter, Look
from background_filter.filters.offline.capture import CameraFrame
from background_filter.filters.offline.files import MediaError
from background_filter.filters.offline.preview_window import SLIDERS, PreviewWindow
from background_filter.tests.obs.harness.screen import Screen
from background_filter.tests.offline.clips import portrait_frames

SIZE = 480, 270
GREEN = np.array([0, 177, 64], np.uint8).reshape(1, 1, 3)


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A screen of our own."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb")
    screen = Screen(None, (800, 700))
    screen.start(tmp_path)
    monkeypatch.setenv("DISPLAY", screen.display)
    yield screen
    screen.close()


@pytest.fixture
def live(network: Network) -> Iterator[LiveFilter]:
    """A live filter that gets the portrait, again and again."""
    backgrounds: dict[str, Background] = {"color": Still(GREEN), "blur": Blurred()}
    end, frame_rgb = threading.Event(), portrait_frames(1, *SIZE)[0]
    with LiveFilter(network, Look(dataclasses.replace(DEFAULTS, background="color")), backgrounds, SIZE, 30.0) as live:

        def feed() -> None:
            while not end.wait(1 / 30):
                live.put(CameraFrame(frame_rgb, time.monotonic_ns()))

        threading.Thread(target=feed, daemon=True).start()
        yield live
        end.set()


def test_picture_keys_and_sliders(screen: Screen, live: LiveFilter, tmp_path: Path) -> None:
    window = PreviewWindow(live, lambda: "30 frames per second")
    window.root.update()
    slider = {key: box_of(window, row) for row, key in enumerate(SLIDERS, 1)}
    threshold, problems = slider["threshold"], []

    def key(name: str, has_acted: Callable[[], bool]) -> None:
        screen.run_tool("xdotool", "key", name)
        wait_for(has_acted, name)

    def act() -> None:
        try:
            wait_for(lambda: is_green(picture_of(screen, tmp_path)), "the picture")
            key("b", lambda: live.look.settings.background == "blur")
            wait_for(lambda: not is_green(picture_of(screen, tmp_path)), "the blurred room")
            key("b", lambda: live.look.settings.background == "color")
            key("m", lambda: live.look.is_mirrored)
            key("m", lambda: not live.look.is_mirrored)
            key("space", lambda: live.look.is_frozen)
            key("space", lambda: not live.look.is_frozen)
            key("o", lambda: live.look.is_off)
            wait_for(lambda: not picture_of(screen, tmp_path).any(), "nothing")
            key("o", lambda: not live.look.is_off)
            left, top, width, height = threshold
            at = str(top + height // 2)
            screen.run_tool("xdotool", "mousemove", str(left + width // 2), at, "mousedown", "1")
            screen.run_tool("xdotool", "mousemove", str(left + width - 20), at, "mouseup", "1")
            wait_for(lambda: live.look.settings.threshold > 0.8, "the slider")
            assert live.look.settings.smoothing == DEFAULTS.smoothing
            screen.run_tool("xdotool", "key", "q")
        except BaseException as problem:
            problems.append(problem)
            window.root.after(0, window.close)

    actor = threading.Thread(target=act, daemon=True)
    actor.start()
    window.run()
    actor.join()
    assert not problems, problems
    assert window.is_visible
    window.root.withdraw()
    assert not window.is_visible
    window.root.destroy()


def test_without_a_screen_it_says_what_to_do(live: LiveFilter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(MediaError, match="--no-preview"):
        PreviewWindow(live, str)


def box_of(window: PreviewWindow, row: int) -> tuple[int, int, int, int]:
    """Where the slider in a row stands on the screen: left, top, width, height."""
    slider = window.root.winfo_children()[0].grid_slaves(row=row, column=1)[0]
    return slider.winfo_rootx(), slider.winfo_rooty(), slider.winfo_width(), slider.winfo_height()


def picture_of(screen: Screen, folder: Path) -> np.ndarray:
    """What the screen shows where the window has its picture, as RGB."""
    shot = folder / "screen.png"
    screen.run_tool("import", "-window", "root", f"png:{shot}")
    shown_bgr = cv2.imread(str(shot))
    assert shown_bgr is not None
    return shown_bgr[12 : 12 + SIZE[1] - 8, 12 : 12 + SIZE[0] - 8, ::-1]


def is_green(picture: np.ndarray) -> bool:
    """Whether the person stands before the green."""
    far = picture[:30, -60:]
    return bool((np.abs(far.astype(int) - GREEN) < 4).all()) and float(picture[:, :, 0].max()) > 150


def wait_for(what: Callable[[], bool], name: str) -> None:
    """Until it is so."""
    end_s = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end_s, name
        time.sleep(0.05)
