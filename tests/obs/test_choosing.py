# SPDX-License-Identifier: GPL-2.0-or-later
"""A model for one filter alone, another in the middle of a show, and the one that suits the computer."""

import re
import time
from pathlib import Path

import cv2
import numpy as np

from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.tests.obs.harness import Obs, image_source, media_source, read_frames
from background_filter.tests.obs.models import colour_key_model, constant_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    SCRIPT,
    Picture,
    alpha_of,
    assert_clean_exit,
    astronaut_mask,
    background_filter,
    filter_obs,
    iou,
    person_at,
    portrait_source,
    room_share,
    swinging_clip,
    wait_for_mask,
    wait_until,
)

# Of the frame: what a mask of 144 rows leaves of the room around her (the whole is .6 and more), and what she takes.
ROOM_AROUND_HER, SHE = 0.005, 0.04
SIZES = {"small.onnx": (256, 144), "square.onnx": (320, 320), "upright.onnx": (192, 256), "same.onnx": (192, 256)}


SCRIPTS, FILTERS = "Scripts", re.compile("^Filters for")
PATIENCE_S = 60.0


def choose(obs: Obs, model: str, name: str = "Room", source: str = CAMERA) -> None:
    """Set the model of one filter."""
    obs.ws.set_source_filter_settings(source, name, {"model": model}, True)


def green_share(frame_bgr: Picture) -> float:
    """The share of pixels in which the canvas shows."""
    blue, green, red = (frame_bgr[::4, ::4, channel].astype(int) for channel in range(3))
    return float((green - np.maximum(blue, red) > 128).mean())


def wait_for_model(obs: Obs, model: str, times: int = 1) -> None:
    """Wait until the engine has said so many times that this model runs now."""
    wait_until(model, lambda: obs.log.count(f"ready, model {model} on") >= times or None, 30.0)


def test_no_frame_shows_the_room_while_models_of_all_sizes_are_switched(tmp_path: Path) -> None:
    swinging_clip(tmp_path / "swing.mkv", 0.4)
    paths = {name: colour_key_model(tmp_path / name, size) for name, size in SIZES.items()}
    for path in paths.values():
        trusted_in(tmp_path, path)
    stranger = colour_key_model(tmp_path / "stranger.onnx", (160, 160))
    stranger.write_bytes(stranger.read_bytes() + b"\x00")
    first = background_filter(model=f"file:{paths['small.onnx']}")
    with filter_obs(tmp_path, [media_source(CAMERA, tmp_path / "swing.mkv", filters=[first])]) as obs:
        wait_for_mask(obs)
        obs.start_recording()
        time.sleep(0.5)
        for times in (1, 2):
            for name in ("square.onnx", "upright.onnx", "same.onnx", "small.onnx"):
                choose(obs, f"file:{paths[name]}")
                wait_for_model(obs, name, times + (name == "small.onnx"))
        choose(obs, f"file:{stranger}")
        obs.wait_for_log("stranger.onnx")
        choose(obs, "no_such_model")
        obs.wait_for_log("The model file no_such_model is not there.")
        choose(obs, f"file:{paths['square.onnx']}")
        wait_for_model(obs, "square.onnx", 3)
        time.sleep(0.5)
        frames_bgr = read_frames(obs.stop_recording())
    assert_clean_exit(obs)
    worst = max(frames_bgr, key=room_share)
    cv2.imwrite(str(obs.artefacts / "worst-frame.png"), worst)
    assert room_share(worst) < ROOM_AROUND_HER
    assert len(frames_bgr) > 60
    shows_her = [green_share(frame) < 1 - SHE for frame in frames_bgr]
    assert sum(shows_her) > 0.95 * len(shows_her)


def test_a_filter_has_a_model_of_its_own_and_gives_it_back(tmp_path: Path) -> None:
    everything = constant_model(tmp_path / "everything.onnx", 1.0, (320, 192))
    trusted_in(tmp_path, everything)
    second = portrait_source(tmp_path, [background_filter("Two", model=f"file:{everything}")], name="Second")
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter("One")]), second]) as obs:
        wait_for_mask(obs)
        wait_until("all of the second", lambda: True if alpha_of(obs, "Second").min() == 255 else None)
        assert iou(alpha_of(obs), astronaut_mask()) > 0.8
        choose(obs, "", "Two", "Second")
        wait_for_mask(obs, "Second")
        assert iou(alpha_of(obs, "Second"), astronaut_mask()) > 0.8
        choose(obs, "auto", "Two", "Second")
        obs.wait_for_log("ready, model auto:", PATIENCE_S)
        assert "Best model for 30 frames per second on auto" in obs.log
        wait_for_mask(obs, "Second")
    assert_clean_exit(obs)


def open_scripts(obs: Obs) -> None:
    """Tools, Scripts, with our script chosen."""
    obs.widgets.menu("Tools", "Scripts")
    obs.widgets.press(SCRIPT.name, "list item", SCRIPTS)


def test_automatic_is_an_offer_in_both_dialogs(tmp_path: Path) -> None:
    names = {entry.id: entry.name for entry in load_catalog().values()}
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])], widgets=True) as obs:
        wait_for_mask(obs, timeout_s=PATIENCE_S)
        open_scripts(obs)
        models = obs.widgets.entries("Model", SCRIPTS)
        assert models[0] == "Automatic" and names[default_model_id()] in models
        assert obs.widgets.text("Model", SCRIPTS) == names[default_model_id()]
        obs.widgets.find("label", re.compile("^Not measured yet"), SCRIPTS)
        obs.widgets.press("Measure again", window=SCRIPTS)
        obs.wait_for_log("Best model for 30 frames per second", PATIENCE_S)
        obs.widgets.press("Measure again", window=SCRIPTS)
        obs.widgets.find("label", re.compile("^This computer holds"), SCRIPTS)
        obs.window_screenshot("suggestion.png")
        assert "model auto:" not in obs.log
        obs.widgets.choose("Model", models[0], SCRIPTS)
        obs.wait_for_log("ready, model auto:", PATIENCE_S)
        obs.widgets.press("Close", window=SCRIPTS)
        obs.widgets.press(CAMERA, "list item")
        obs.widgets.press("Filters")
        assert obs.widgets.text("Model", FILTERS) == "As in Tools, Scripts"
        assert obs.widgets.entries("Model", FILTERS)[1:] == models[:-1]
        obs.widgets.find("label", re.compile("^Status: automatic: person_.* on CPU"), FILTERS)
        obs.widgets.choose("Model", names[default_model_id()], FILTERS)
        obs.widgets.find("label", re.compile(f"^Status: {default_model_id()} on CPU"), FILTERS)
        obs.window_screenshot("filter.png")
        obs.widgets.press("Close", window=FILTERS)
        assert obs.ws.get_source_filter(CAMERA, "Room").filter_settings["model"] == default_model_id()
    assert_clean_exit(obs)


def test_a_guess_about_an_own_file_is_corrected_in_the_dialog(tmp_path: Path) -> None:
    """With blue and red exchanged the network takes the room for her, at once; and the room shows."""
    path = colour_key_model(tmp_path / "own.onnx", (256, 144))
    trusted_in(tmp_path, path)
    cv2.imwrite(str(tmp_path / "camera.png"), person_at(300.0)[0])
    camera = image_source(CAMERA, tmp_path / "camera.png", filters=[background_filter()])
    settings = {"model": "own", "own_model_file": str(path)}
    with filter_obs(tmp_path, [camera], settings, widgets=True) as obs:
        wait_for_mask(obs, timeout_s=PATIENCE_S)
        assert alpha_of(obs)[:200, :200].max() == 0
        open_scripts(obs)
        guessed, *orders = obs.widgets.entries("Order of the colours", SCRIPTS)
        assert guessed == "as guessed (RGB)" and orders == ["RGB", "BGR"]
        obs.widgets.choose("Order of the colours", "BGR", SCRIPTS)
        obs.window_screenshot("corrected.png")
        wait_until("the room", lambda: alpha_of(obs)[:200, :200].min() == 255, PATIENCE_S)
        obs.widgets.choose("Order of the colours", guessed, SCRIPTS)
        wait_until("no room", lambda: alpha_of(obs)[:200, :200].max() == 0, PATIENCE_S)
        obs.widgets.press("Close", window=SCRIPTS)
    assert_clean_exit(obs)
    assert '"choices": {}' in (tmp_path / "choices.json").read_text()
