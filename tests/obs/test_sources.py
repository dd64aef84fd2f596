# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters on several sources, twice on one, on a scene, on nothing, on a source that changes its size: one engine."""

import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from background_filter.tests.obs.harness import Obs, colour_source, image_source
from background_filter.tests.obs.harness.scenes import SCENE
from background_filter.tests.obs.support import (
    CAMERA,
    CANVAS,
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


def test_two_sources_and_two_filters_on_one_share_an_engine(tmp_path: Path) -> None:
    twice = [background_filter("One"), background_filter("Two")]
    second = portrait_source(tmp_path, [background_filter()], name="Second")
    with filter_obs(tmp_path, [portrait_source(tmp_path, twice), second]) as obs:
        wait_for_mask(obs)
        wait_for_mask(obs, "Second")
        wait_until("three streams", lambda: True if obs.log.count("ready, model") >= 3 else None)
        assert len(engines(obs)) == 1
    assert_clean_exit(obs)


def test_a_filter_on_a_scene(tmp_path: Path) -> None:
    picture = tmp_path / "portrait.png"
    cv2.imwrite(str(picture), astronaut_bgr())
    with filter_obs(tmp_path, [image_source(CAMERA, picture)], scene_filters=[background_filter()]) as obs:
        alpha = wait_for_mask(obs, SCENE)
    assert_clean_exit(obs)
    assert alpha.shape == CANVAS[::-1]


def test_a_source_of_no_size_and_an_empty_one(tmp_path: Path) -> None:
    nothing = image_source("Nothing", tmp_path / "missing.png", filters=[background_filter()])
    dot = colour_source("Dot", (200, 30, 30), (1, 1), filters=[background_filter()])
    with filter_obs(tmp_path, [nothing, dot, portrait_source(tmp_path, [background_filter()])]) as obs:
        wait_for_mask(obs)
        time.sleep(1.0)
    assert_clean_exit(obs)


def has_size(obs: Obs, width: int, height: int) -> bool:
    """Whether the camera shows a picture of this size."""
    return alpha_of(obs).shape == (height, width)


def test_a_source_that_changes_its_size_while_live(tmp_path: Path) -> None:
    sizes = [(640, 480), (1920, 1080), (360, 640), (1280, 720)]
    pictures = []
    for width, height in sizes:
        path = tmp_path / f"{width}x{height}.png"
        cv2.imwrite(str(path), astronaut_bgr((width, height)))
        pictures.append(path)
    camera = image_source(CAMERA, pictures[-1], filters=[background_filter()])
    with filter_obs(tmp_path, [camera]) as obs:
        wait_for_mask(obs)
        for (width, height), path in zip(sizes, pictures, strict=True):
            obs.ws.set_input_settings(CAMERA, {"file": str(path)}, True)
            wait_until("the new size", partial(has_size, obs, width, height))
            alpha = wait_for_mask(obs)
            cv2.imwrite(str(obs.artefacts / f"{width}x{height}.png"), alpha)
            assert np.mean(alpha > 127) > 0.2
        assert len(engines(obs)) == 1
    assert_clean_exit(obs)


def test_hidden_and_shown_again(tmp_path: Path) -> None:
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])]) as obs:
        wait_for_mask(obs)
        item = obs.ws.get_scene_item_id(SCENE, CAMERA).scene_item_id
        obs.ws.set_scene_item_enabled(SCENE, item, False)
        time.sleep(5.0)
        assert "no sign of life" not in obs.log
        obs.ws.set_scene_item_enabled(SCENE, item, True)
        wait_for_mask(obs)
    assert_clean_exit(obs)
