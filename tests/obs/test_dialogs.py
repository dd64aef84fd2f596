# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialogs as a person sees them, opened with mouse and keyboard. The pictures are kept: look at them."""

import dataclasses
import hashlib
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from background_filter.filters.obs.settings import DEFAULTS
from background_filter.tests.obs.harness import HarnessError, Obs
from background_filter.tests.obs.models import constant_model
from background_filter.tests.obs.support import (
    CAMERA,
    alpha_of,
    assert_clean_exit,
    background_filter,
    filter_obs,
    portrait_source,
    wait_for_mask,
    wait_until,
)

RELOADS = 20
# Where the buttons of the Scripts dialog of OBS 29 stand, from its upper left corner.
TRUST_BUTTON, INSTALL_BUTTON = (617, 394), (637, 379)


def windows(obs: Obs, title: str) -> list[str]:
    """The visible windows with ``title`` (a regular expression) in their name."""
    try:
        return obs.xdotool("search", "--onlyvisible", "--name", title).split()
    except HarnessError:  # xdotool found none
        return []


def wait_for_window(obs: Obs, title: str) -> str:
    """Wait until a window shows, and let it draw itself; gives its id."""
    found = wait_until(f"the window {title}", lambda: windows(obs, title) or None)
    time.sleep(1.0)
    return str(found[0])


def place(obs: Obs, window: str) -> tuple[int, int, int, int]:
    """x, y, width and height of a window on the screen."""
    numbers = re.findall(r"\d+", obs.xdotool("getwindowgeometry", "--shell", window).replace(window, ""))
    x, y, width, height = (int(number) for number in numbers[:4])
    return x, y, width, height


def click(obs: Obs, x: int, y: int, button: int = 1) -> None:
    """A mouse click on the screen."""
    obs.xdotool("mousemove", x, y, "click", button)
    time.sleep(0.3)


def open_scripts(obs: Obs) -> str:
    """Tools, Scripts, by keyboard, with our script chosen; gives the window."""
    obs.xdotool("key", "alt+t")
    time.sleep(0.5)
    obs.xdotool("key", "Down", "Down", "Down", "Return")
    window = wait_for_window(obs, "^Scripts$")
    x, y, _, _ = place(obs, window)
    click(obs, x + 80, y + 50)
    time.sleep(1.0)
    return window


def stored_settings(obs: Obs) -> dict[str, Any]:
    """The filter's settings as OBS holds them, defaults included."""
    return {**dataclasses.asdict(DEFAULTS), **obs.ws.get_source_filter(CAMERA, "Room").filter_settings}


def close(obs: Obs, title: str) -> None:
    """Press the button "Close" at the lower right of a dialog, and wait until it is gone."""
    x, y, width, height = place(obs, windows(obs, title)[0])
    click(obs, x + width - 50, y + height - 31)
    wait_until(f"the end of {title}", lambda: not windows(obs, title))


def was_loaded(obs: Obs, times: int) -> bool | None:
    """Whether OBS has loaded the script so many times."""
    return obs.log.count("loaded, Python") >= times or None


def test_the_filters_dialog_and_its_defaults_button(tmp_path: Path) -> None:
    moved = background_filter(threshold=0.9, feather_px=10.0, without_mask="blur")
    with filter_obs(tmp_path, [portrait_source(tmp_path, [moved])]) as obs:
        wait_for_mask(obs)
        main = place(obs, windows(obs, "^OBS ")[0])
        click(obs, main[0] + 260, main[1] + 532)
        obs.window_screenshot("main-window.png")
        click(obs, main[0] + 372, main[1] + 451)  # the button "Filters" of the source's toolbar
        window = wait_for_window(obs, "^Filters for")
        time.sleep(3.0)  # the live line is redrawn
        obs.window_screenshot("filters-dialog.png")
        x, y, _, height = place(obs, window)
        click(obs, x + 325, y + height - 31)
        wait_until("the defaults", lambda: stored_settings(obs) == dataclasses.asdict(DEFAULTS))
        time.sleep(1.0)
        obs.window_screenshot("filters-dialog-defaults.png")
        close(obs, "^Filters for")
    assert_clean_exit(obs)


def test_the_scripts_dialog_and_twenty_reloads(tmp_path: Path) -> None:
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])]) as obs:
        wait_for_mask(obs)
        x, y, _, height = place(obs, open_scripts(obs))
        obs.window_screenshot("scripts-dialog.png")
        picture = cv2.imread(str(obs.artefacts / "scripts-dialog.png"))
        assert picture is not None and np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 50
        for number in range(RELOADS):
            click(obs, x + 121, y + height - 83)  # the button with the circling arrow
            wait_until(f"reload {number + 1}", partial(was_loaded, obs, number + 2))
        obs.window_screenshot("scripts-dialog-reloaded.png")
        assert (alpha_of(obs) > 127).mean() > 0.05
        close(obs, "^Scripts$")
    assert_clean_exit(obs)


def test_the_install_button_builds_the_engine_while_obs_renders_on(tmp_path: Path) -> None:
    nothing_yet = {"OBS_BACKGROUND_FILTER_ENGINE_ENV": str(tmp_path / "engine")}
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])], env=nothing_yet) as obs:
        obs.wait_for_log("Press “Install engine”")
        x, y, _, _ = place(obs, open_scripts(obs))
        before = obs.ws.get_stats()
        click(obs, x + INSTALL_BUTTON[0], y + INSTALL_BUTTON[1])
        time.sleep(2.0)
        click(obs, x + INSTALL_BUTTON[0], y + INSTALL_BUTTON[1])  # shows how far it is
        obs.xdotool("mousemove", x + 637, y + 300, "click", "--repeat", 10, 5)  # the mouse wheel, down
        time.sleep(0.3)
        obs.window_screenshot("installing.png")
        wait_for_mask(obs, timeout_s=200.0)
        after = obs.ws.get_stats()
        close(obs, "^Scripts$")
    assert_clean_exit(obs)
    rendered = after.render_total_frames - before.render_total_frames
    assert rendered > 60
    assert after.render_skipped_frames - before.render_skipped_frames < rendered / 2


def test_the_trust_button_lets_an_own_file_run(tmp_path: Path) -> None:
    path = constant_model(tmp_path / "own.onnx", 1.0)
    settings = {"model": "own", "own_model_file": str(path)}
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])], settings) as obs:
        obs.wait_for_log("is unknown, so it was not loaded")
        assert alpha_of(obs).max() == 0
        x, y, _, _ = place(obs, open_scripts(obs))
        obs.window_screenshot("own-file.png")
        click(obs, x + TRUST_BUTTON[0], y + TRUST_BUTTON[1])
        obs.wait_for_log("trusted by the user: own.onnx")
        wait_until("her picture", lambda: alpha_of(obs).min() == 255)
        close(obs, "^Scripts$")
    assert_clean_exit(obs)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in (tmp_path / "trusted.json").read_text()
