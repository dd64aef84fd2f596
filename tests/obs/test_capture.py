# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine gets to see: the source reduced by area on the GPU, once per frame however many views draw it."""

import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.tests.obs.harness import Filter, image_source
from background_filter.tests.obs.models import SIZE, brightness_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    FILTER_ID,
    PLAIN,
    assert_clean_exit,
    background_filter,
    filter_obs,
    portrait_source,
    wait_for_mask,
)


@pytest.mark.parametrize("width, height", [(1280, 720), (1920, 1080), (2560, 1440)])
def test_the_source_is_reduced_by_area_and_not_by_picking_pixels(tmp_path: Path, width: int, height: int) -> None:
    model = brightness_model(tmp_path / "brightness.onnx")
    trusted_in(tmp_path, model)
    settings = {"model": "own", "own_model_file": str(model)}
    grey = np.random.default_rng(2).integers(64, 256, (height, width), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), cv2.merge([grey, grey, grey]))
    camera = image_source(CAMERA, tmp_path / "noise.png", filters=[Filter("Room", FILTER_ID, PLAIN)])
    with filter_obs(tmp_path, [camera], settings) as obs:
        obs.wait_for_log("ready, model")
        time.sleep(1.0)
        mask = cv2.resize(obs.screenshot(CAMERA)[..., 3], SIZE, interpolation=cv2.INTER_NEAREST).astype(float)
    assert_clean_exit(obs)
    by_area = cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA).astype(float)
    picked = cv2.resize(grey, SIZE, interpolation=cv2.INTER_LINEAR).astype(float)
    error, error_of_picking = np.abs(mask - by_area).mean(), np.abs(picked - by_area).mean()
    assert error < 0.35 * error_of_picking + 1.5


def test_a_frame_is_captured_once_though_three_views_draw_it(tmp_path: Path) -> None:
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])], fps=20) as obs:
        wait_for_mask(obs)
        for source in (CAMERA, "Scene"):
            obs.ws.send("OpenSourceProjector", {"sourceName": source, "monitorIndex": -1})
        time.sleep(4.0)
        obs.window_screenshot("three-views.png")
        masks = re.search(r"(\d+) masks per second", obs.stop().log)
    assert masks and 5 <= int(masks[1]) <= 21
