# SPDX-License-Identifier: GPL-2.0-or-later
"""Presets and hotkeys in real OBS: the filter's dialog by accessibility, keys by the X server, and the picture."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from background_filter.filters.locale import text
from background_filter.filters.obs.settings import GROUPS, SETTINGS
from background_filter.filters.presets import BUILT_IN
from background_filter.tests.obs.harness import HarnessError, Obs, colour_source, scene_collection
from background_filter.tests.obs.support import (
    CAMERA,
    CANVAS,
    GREEN,
    SCRIPT,
    alpha_of,
    assert_clean_exit,
    astronaut_bgr,
    background_filter,
    engines,
    filter_obs,
    portrait_source,
    wait_for_mask,
    wait_until,
)

FILTERS, SETTINGS_WINDOW = re.compile("^Filters for"), "Settings"
OWN = text("group.presets")
PATIENCE_S = 60.0
KEY, BOUND = "F9", "obs_background_filter.toggle_blur.Room"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration folder of the OBS here."""
    return tmp_path_factory.mktemp("presets")


@pytest.fixture(scope="module")
def presets_obs(folder: Path) -> Iterator[Obs]:
    """One OBS for all tests here, with a key stored for *Blur on/off*; at its end: no leak, no error in a callback, and
    the key is stored again."""
    sources = [colour_source("Green", GREEN, CANVAS), portrait_source(folder, [background_filter()])]
    collection = scene_collection("harness", sources, [(SCRIPT, {})])
    (camera,) = (each for each in collection["sources"] if each["name"] == CAMERA)
    camera["hotkeys"] = {BOUND: [{"key": f"OBS_KEY_{KEY}"}]}
    options: dict[str, Any] = {"scene_json": collection, "screen": (1280, 2700), "widgets": True}
    with filter_obs(folder, [], home=folder / "home", name="presets", **options) as obs:
        wait_for_mask(obs, timeout_s=PATIENCE_S)
        yield obs
    assert_clean_exit(obs)
    (camera,) = (each for each in obs.collection()["sources"] if each["name"] == CAMERA)
    assert camera["hotkeys"][BOUND] == [{"key": f"OBS_KEY_{KEY}"}]


@pytest.fixture
def dialog(presets_obs: Obs) -> Iterator[Obs]:
    """The filter as a new one has it, and its dialog, so large that all of it shows."""
    obs = presets_obs
    obs.ws.set_source_filter_settings(CAMERA, "Room", {}, overlay=False)
    obs.ws.open_input_filters_dialog(CAMERA)
    obs.widgets.find("label", re.compile("^Status: .* on CPU"), FILTERS)
    window = obs.xdotool("search", "--name", "^Filters for").split()[0]
    obs.xdotool("windowmove", window, 0, 0)
    obs.xdotool("windowsize", window, 1280, 2680)
    yield obs
    obs.widgets.press("Close", window=FILTERS)
    obs.widgets.wait_for_end(FILTERS)


def stored(obs: Obs) -> dict[str, Any]:
    """The filter's settings as OBS stores them."""
    settings: dict[str, Any] = obs.ws.get_source_filter(CAMERA, "Room").filter_settings
    return settings


def listed(obs: Obs) -> str:
    """What the list of presets says."""
    return obs.widgets.text("Preset", FILTERS)


def wait_for(obs: Obs, what: str, condition: Callable[[], Any]) -> None:
    """Wait for something that a busy OBS may take its time for."""
    try:
        wait_until(what, condition, PATIENCE_S)
    except HarnessError as error:
        obs.window_screenshot("failed.png")
        raise HarnessError(f"{error}; stored: {stored(obs)}") from None


def test_the_dialog_asks_first_what_people_look_for_first(dialog: Obs) -> None:
    rows = dialog.widgets.all("label", window=FILTERS) + dialog.widgets.all("check box", window=FILTERS)
    heights = {row.name: dialog.widgets.place(row).y for row in rows}
    labels = [text(f"setting.{key}.label") for keys in GROUPS.values() for key in keys]
    there = ["Preset", *(label for label in labels if label in heights), text("preset.name.label")]
    assert len(there) >= len(SETTINGS) - 3  # all but those that another background has
    assert [heights[label] for label in there] == sorted(heights[label] for label in there)
    assert next(y for name, y in heights.items() if name.startswith("Status: ")) < heights["Preset"]
    dialog.window_screenshot("dialog.png")


def test_a_preset_sets_all_at_once_and_a_change_makes_it_custom(dialog: Obs) -> None:
    obs = dialog
    assert (listed(obs), obs.widgets.entries("Preset", FILTERS)) == (
        "Streamer",
        [text(f"preset.{each}") for each in BUILT_IN],
    )
    assert alpha_of(obs).min() == 0
    obs.widgets.choose("Preset", "Meeting", FILTERS)
    wait_for(obs, "the values", lambda: BUILT_IN["meeting"].values.items() <= stored(obs).items())
    wait_for(obs, "the room, blurred", lambda: alpha_of(obs).min() == 255)
    wait_for(obs, "the dialog", lambda: obs.widgets.text("Background", FILTERS) == "The room, blurred")
    assert listed(obs) == "Meeting"
    obs.window_screenshot("meeting.png")
    obs.widgets.press("Sharp edges", "check box", FILTERS)
    wait_for(obs, "what is no preset", lambda: listed(obs) == "Custom")
    assert stored(obs)["preset"] == ""
    obs.widgets.choose("Preset", "Slow computer", FILTERS)
    wait_for(obs, "its model", lambda: stored(obs)["model"] == "person_fast_256x144")
    wait_for(obs, "the dialog", lambda: "Custom" not in obs.widgets.entries("Preset", FILTERS))
    obs.widgets.choose("Preset", "Streamer", FILTERS)
    wait_for(obs, "the model of before", lambda: stored(obs)["model"] == "")
    wait_for_mask(obs, timeout_s=PATIENCE_S)


def test_an_own_preset_is_saved_chosen_and_removed(dialog: Obs, folder: Path) -> None:
    obs = dialog
    file = folder / "presets" / "My desk.json"
    obs.ws.set_source_filter_settings(CAMERA, "Room", {"smoothing": 0.25, "background": "color"}, overlay=True)
    obs.widgets.press("Save as preset", window=FILTERS, effect=lambda: said(obs, "Type a name first"))
    wait_for(obs, "the name", lambda: typed_name(obs) == "My desk")
    obs.widgets.press("Save as preset", window=FILTERS, effect=file.exists)
    wait_for(obs, "the preset in the list", lambda: listed(obs) == "My desk")
    assert said(obs, str(file))
    assert json.loads(file.read_text())["settings"]["smoothing"] == 0.25
    obs.window_screenshot("saved.png")
    obs.widgets.choose("Preset", "Streamer", FILTERS)
    wait_for(obs, "other values", lambda: stored(obs)["smoothing"] == 0.5)
    obs.widgets.choose("Preset", "My desk", FILTERS)
    wait_for(obs, "its values", lambda: (stored(obs)["smoothing"], stored(obs)["background"]) == (0.25, "color"))
    obs.widgets.press("Remove “My desk”", window=FILTERS)
    obs.widgets.find("push button", "Press again to remove “My desk”", FILTERS)
    assert file.exists()
    obs.widgets.press("Press again to remove “My desk”", window=FILTERS, effect=lambda: not file.exists())
    wait_for(obs, "the list without it", lambda: listed(obs) == "Custom")
    assert "My desk" not in obs.widgets.entries("Preset", FILTERS)
    assert stored(obs)["smoothing"] == 0.25


def typed_name(obs: Obs) -> str:
    """Type a name, instead of what stands there; gives what has come of it."""
    obs.widgets.click(OWN, "text", FILTERS)
    obs.xdotool("key", "ctrl+a")
    obs.xdotool("type", "My desk")
    return str(stored(obs).get("preset_name"))


def said(obs: Obs, words: str) -> bool:
    """Whether some line of the dialog holds these words."""
    return bool(obs.widgets.all("label", re.compile(re.escape(words)), FILTERS))


def test_a_preset_from_a_file_is_used_at_once_but_shows_no_room(dialog: Obs, folder: Path, tmp_path: Path) -> None:
    obs = dialog
    settings = {"background": "blur", "blur_strength": 0.0, "without_mask": "source", "glitter": 1, "invert": True}
    given, garbage = tmp_path / "given.json", tmp_path / "garbage.json"
    given.write_text(json.dumps({"format": 1, "name": "Theirs", "settings": settings}))
    garbage.write_text("hello")
    load(obs, garbage)
    wait_for(obs, "what is wrong", lambda: said(obs, "garbage.json is no preset"))
    load(obs, given)
    wait_for(obs, "their preset", lambda: listed(obs) == "Theirs")
    assert said(obs, "glitter") and said(obs, "Invert") and said(obs, "Blur strength")
    now = stored(obs)
    assert (now["background"], now["blur_strength"]) == ("blur", 0.3)
    assert not {"without_mask", "invert", "glitter"} & set(now)
    assert (folder / "presets" / "Theirs.json").exists()
    obs.window_screenshot("loaded.png")


def load(obs: Obs, path: Path) -> None:
    """Choose a file as by hand."""
    obs.widgets.click("Browse", "push button", FILTERS)
    title = obs.widgets.wait_for_window(text("preset.file.label"))
    # Not by the keyboard: without a window manager nobody says which window gets the keys.
    obs.widgets.write(re.compile("^File name"), str(path), title)
    obs.widgets.press("Open", window=title)
    obs.widgets.wait_for_end(title)


def test_no_row_is_redrawn_while_a_window_that_it_has_opened_waits(dialog: Obs) -> None:
    obs = dialog
    obs.ws.set_source_filter_settings(CAMERA, "Room", {"background": "color"}, overlay=True)
    obs.widgets.click("Select color", "push button", FILTERS)
    title = obs.widgets.wait_for_window("Background colour")
    before = status(obs)
    started = obs.log.count("engine started")
    os.kill(engines(obs)[0], signal.SIGKILL)
    wait_for(obs, "the next engine", lambda: obs.log.count("engine started") > started)
    time.sleep(3.0)  # the dialog has other things to say now, and must not
    assert (status(obs), said(obs, "Problem: ")) == (before, False)
    obs.window_screenshot("colour.png")
    obs.xdotool("key", "Return")
    obs.widgets.wait_for_end(title)
    wait_for(obs, "the new words", lambda: status(obs) != before)


def status(obs: Obs) -> str:
    """The line with the status."""
    return obs.widgets.find("label", re.compile("^Status: "), FILTERS).name


def hotkeys(obs: Obs) -> set[str]:
    """The names of our hotkeys."""
    names = obs.ws.get_hot_key_list().hotkeys
    return {name.removeprefix("obs_background_filter.") for name in names if name.startswith("obs_background_filter.")}


def press(obs: Obs, what: str, name: str = "Room") -> None:
    """Trigger a hotkey as libobs does."""
    obs.ws.trigger_hot_key_by_name(f"obs_background_filter.{what}.{name}")


def shows_room(obs: Obs) -> bool:
    """Whether the source is shown as it is."""
    shown = obs.screenshot(CAMERA)
    return bool(shown[..., 3].min() == 255 and np.abs(shown[..., 2::-1].astype(int) - astronaut_bgr()).max() <= 2)


def has_background(obs: Obs, background: str) -> bool:
    """Whether this is set."""
    return stored(obs).get("background") == background


def has_least_alpha(obs: Obs, alpha: int) -> bool:
    """Whether nothing of the picture is more transparent, and something is as much."""
    return bool(alpha_of(obs).min() == alpha)


def test_hotkeys_change_the_picture(presets_obs: Obs) -> None:
    obs = presets_obs
    obs.ws.set_source_filter_settings(CAMERA, "Room", {}, overlay=False)
    wait_for_mask(obs, timeout_s=PATIENCE_S)
    press(obs, "toggle_filter")
    wait_for(obs, "the filter off", lambda: shows_room(obs))
    assert not obs.ws.get_source_filter(CAMERA, "Room").filter_enabled
    press(obs, "toggle_filter")
    wait_for_mask(obs, timeout_s=PATIENCE_S)
    for background, least_alpha in (("blur", 255), ("color", 255), ("transparent", 0)):
        press(obs, "next_background")
        wait_for(obs, background, partial(has_background, obs, background))
        wait_for(obs, f"{background} in the picture", partial(has_least_alpha, obs, least_alpha))
    green = {"background": "color", "background_source": "Green"}
    obs.ws.set_source_filter_settings(CAMERA, "Room", green, overlay=True)
    press(obs, "next_background")
    wait_for(obs, "the source", partial(has_background, obs, "source"))
    wait_for(obs, "green behind her", lambda: (obs.screenshot(CAMERA)[..., :3] == GREEN).all(axis=2).mean() > 0.3)


def test_a_key_that_the_scene_collection_holds_turns_the_blur_on_and_off(presets_obs: Obs) -> None:
    obs = presets_obs
    obs.ws.set_source_filter_settings(CAMERA, "Room", {"background": "color"}, overlay=False)
    for background in ("blur", "color", "blur"):
        obs.xdotool("keydown", KEY)
        wait_for(obs, background, partial(has_background, obs, background))
        obs.xdotool("keyup", KEY)
        time.sleep(0.2)  # libobs looks at the keyboard every 25 ms


def test_hotkeys_follow_the_filter(presets_obs: Obs) -> None:
    obs = presets_obs
    room = {f"{what}.Room" for what in ("toggle_filter", "toggle_blur", "next_background")}
    assert hotkeys(obs) == room
    obs.add_filter(CAMERA, "Second")
    wait_for(obs, "those of another filter", lambda: len(hotkeys(obs)) == 6)
    obs.ws.set_source_filter_name(CAMERA, "Second", "Third")
    wait_for(
        obs, "its new name", lambda: "toggle_blur.Third" in hotkeys(obs) and "toggle_blur.Second" not in hotkeys(obs)
    )
    press(obs, "toggle_filter", "Third")
    wait_for(obs, "it off", lambda: not obs.ws.get_source_filter(CAMERA, "Third").filter_enabled)
    assert obs.ws.get_source_filter(CAMERA, "Room").filter_enabled
    obs.ws.remove_source_filter(CAMERA, "Third")
    wait_for(obs, "the end of its hotkeys", lambda: hotkeys(obs) == room)


def test_the_settings_of_obs_list_them(presets_obs: Obs) -> None:
    obs = presets_obs
    obs.widgets.click("Settings", "push button")  # modal, so not by accessibility
    obs.widgets.click("Hotkeys", "list item", SETTINGS_WINDOW)
    for what in ("toggle_filter", "toggle_blur", "next_background"):
        obs.widgets.find("label", text(f"hotkey.{what}", name="Room"), SETTINGS_WINDOW)
    obs.window_screenshot("hotkeys.png")
    obs.widgets.press("Cancel", window=SETTINGS_WINDOW)
    obs.widgets.wait_for_end(SETTINGS_WINDOW)
