# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialogs as a person sees them, opened with mouse and keyboard. The pictures are kept: look at them."""

import dataclasses
import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from background_filter.filters.obs.settings import DEFAULTS
from background_filter.tests.obs.harness import HarnessError, Obs, colour_source
from background_filter.tests.obs.models import constant_model
from background_filter.tests.obs.support import (
    CAMERA,
    SCRIPT,
    alpha_of,
    assert_clean_exit,
    background_filter,
    filter_obs,
    portrait_source,
    wait_for_mask,
    wait_until,
)

RELOADS = 20
SCRIPTS = "Scripts"
FILTERS = re.compile("^Filters for")
# OBS on a computer whose cores are all taken.
TIMEOUT_S = 60.0


def open_scripts(obs: Obs) -> None:
    """Tools, Scripts, with our script chosen."""
    obs.widgets.menu("Tools", "Scripts")
    obs.widgets.press(SCRIPT.name, "list item", SCRIPTS)


def close(obs: Obs, title: str | re.Pattern[str]) -> None:
    """Press the button "Close" of a dialog, and wait until it is gone."""
    obs.widgets.press("Close", window=title)
    obs.widgets.wait_for_end(title)


def stored_settings(obs: Obs) -> dict[str, Any]:
    """The filter's settings as OBS holds them, defaults included."""
    return {**dataclasses.asdict(DEFAULTS), **obs.ws.get_source_filter(CAMERA, "Room").filter_settings}


def was_loaded(obs: Obs, times: int) -> bool | None:
    """Whether OBS has loaded the script so many times."""
    return obs.log.count("loaded, Python") >= times or None


def test_the_filters_dialog_and_its_defaults_button(tmp_path: Path) -> None:
    moved = background_filter(threshold=0.9, feather_px=10.0, without_mask="blur")
    with filter_obs(tmp_path, [portrait_source(tmp_path, [moved])], widgets=True) as obs:
        wait_for_mask(obs, timeout_s=TIMEOUT_S)
        obs.widgets.press(CAMERA, "list item")
        obs.window_screenshot("main-window.png")
        obs.widgets.press("Filters")  # in the source's toolbar
        assert obs.widgets.text("Threshold", FILTERS) == "0.90"
        assert obs.widgets.text("Without a mask", FILTERS) == "Blur everything"
        obs.widgets.find("label", re.compile(r"^Status: .*on CPU, [\d.]+ ms per mask"), FILTERS)  # it is redrawn
        obs.window_screenshot("filters-dialog.png")
        # OBS 29 does not know which of its two lists "Defaults" is about until one has had the focus.
        obs.widgets.click("", "list item", FILTERS)
        defaults = dataclasses.asdict(DEFAULTS)
        obs.widgets.press("Defaults", window=FILTERS, effect=lambda: stored_settings(obs) == defaults)
        wait_until("the default", lambda: obs.widgets.text("Without a mask", FILTERS) == "Hide the picture", TIMEOUT_S)
        obs.window_screenshot("filters-dialog-defaults.png")
        close(obs, FILTERS)
    assert_clean_exit(obs)


def test_the_scripts_dialog_and_twenty_reloads(tmp_path: Path) -> None:
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])], widgets=True) as obs:
        wait_for_mask(obs, timeout_s=TIMEOUT_S)
        open_scripts(obs)
        obs.widgets.find("combo box", window=SCRIPTS)
        obs.window_screenshot("scripts-dialog.png")
        picture = cv2.imread(str(obs.artefacts / "scripts-dialog.png"))
        assert picture is not None and np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 50
        for number in range(RELOADS):
            obs.widgets.press("Reload Scripts", window=SCRIPTS, effect=partial(was_loaded, obs, number + 2))
        obs.window_screenshot("scripts-dialog-reloaded.png")
        wait_until("her picture", lambda: (alpha_of(obs) > 127).mean() > 0.05, TIMEOUT_S)
        close(obs, SCRIPTS)
    assert_clean_exit(obs)


def test_the_install_button_builds_the_engine_while_obs_renders_on(tmp_path: Path) -> None:
    nothing_yet = {"OBS_BACKGROUND_FILTER_ENGINE_ENV": str(tmp_path / "engine")}
    camera = portrait_source(tmp_path, [background_filter()])
    with filter_obs(tmp_path, [camera], env=nothing_yet, widgets=True) as obs:
        obs.wait_for_log("Press “Install engine”", TIMEOUT_S)
        open_scripts(obs)
        before = obs.ws.get_stats()
        obs.widgets.press("Install engine", window=SCRIPTS)
        obs.widgets.press(re.compile("^Installing: "), window=SCRIPTS)  # shows how far it is
        obs.window_screenshot("installing.png")
        wait_for_mask(obs, timeout_s=200.0)
        after = obs.ws.get_stats()
        close(obs, SCRIPTS)
    assert_clean_exit(obs)
    rendered = after.render_total_frames - before.render_total_frames
    assert rendered > 60
    assert after.render_skipped_frames - before.render_skipped_frames < rendered / 2


def test_the_trust_button_lets_an_own_file_run(tmp_path: Path) -> None:
    path = constant_model(tmp_path / "own.onnx", 1.0)
    settings = {"model": "own", "own_model_file": str(path)}
    camera = portrait_source(tmp_path, [background_filter()])
    with filter_obs(tmp_path, [camera], settings, widgets=True) as obs:
        obs.wait_for_log("is unknown, so it was not loaded", TIMEOUT_S)
        assert alpha_of(obs).max() == 0
        open_scripts(obs)
        assert obs.widgets.text("Own ONNX file", SCRIPTS) == str(path)
        obs.window_screenshot("own-file.png")
        obs.widgets.press("Trust this file", window=SCRIPTS, effect=lambda: "trusted by the user: own.onnx" in obs.log)
        wait_until("her picture", lambda: alpha_of(obs).min() == 255, TIMEOUT_S)
        close(obs, SCRIPTS)
    assert_clean_exit(obs)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in (tmp_path / "trusted.json").read_text()


LONG_LIST = """
import obspython as obs

def script_properties():
    properties = obs.obs_properties_create()
    row = obs.obs_properties_add_list(
        properties, "row", "Row", obs.OBS_COMBO_TYPE_LIST, obs.OBS_COMBO_FORMAT_STRING
    )
    for number in range(60):
        obs.obs_property_list_add_string(row, f"Entry {number}", str(number))
    obs.obs_properties_add_int(properties, "amount", "Amount", 0, 100, 1)
    obs.obs_properties_add_bool(properties, "ticked", "Ticked")
    return properties

def script_defaults(settings):
    obs.obs_data_set_default_string(settings, "row", "30")
    obs.obs_data_set_default_int(settings, "amount", 7)
"""


def test_lists_are_read_scrolled_and_chosen_from(tmp_path: Path) -> None:
    script = tmp_path / "long_list.py"
    script.write_text(LONG_LIST)
    with Obs(scripts=[script], home=tmp_path / "home", widgets=True) as obs:
        obs.widgets.menu("Tools", "Scripts")
        obs.widgets.press(script.name, "list item", SCRIPTS)
        assert obs.widgets.text("Row", SCRIPTS) == "Entry 30"
        assert obs.widgets.entries("Row", SCRIPTS) == [f"Entry {number}" for number in range(60)]
        assert obs.widgets.text("Amount", SCRIPTS) == "7"
        obs.widgets.press("Ticked", "check box", SCRIPTS)
        for entry in ("Entry 59", "Entry 2", "Entry 2", "Entry 3"):
            obs.widgets.choose("Row", entry, SCRIPTS)
            assert obs.widgets.text("Row", SCRIPTS) == entry
        close(obs, SCRIPTS)
        assert SCRIPTS not in obs.widgets.windows()
    assert_clean_exit(obs)
    [stored] = obs.collection()["modules"]["scripts-tool"]
    assert stored["settings"] == {"row": "3", "ticked": True}


def test_what_is_not_there_is_said_with_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("background_filter.tests.obs.harness.widgets.TIMEOUT_S", 0.5)
    with Obs(sources=[colour_source("Green", (0, 255, 0), (640, 360))], widgets=True) as obs:
        with pytest.raises(HarnessError, match=r"push button No such button\nThere is:\n(.*\n)*  list item 'Green'"):
            obs.widgets.press("No such button")
        obs.restart()
        wait_until("the source", lambda: obs.widgets.all("list item", "Green"), TIMEOUT_S)
    assert_clean_exit(obs)
