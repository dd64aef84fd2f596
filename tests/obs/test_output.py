# SPDX-License-Identifier: GPL-2.0-or-later
"""What the filter draws, in real OBS: the engine's own mask, on the right picture, in the right colours."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.edges import EdgeGuide
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.engine.prepare import halved
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.tests.obs.harness import Obs, image_source, read_frames
from background_filter.tests.obs.harness.scenes import SCENE
from background_filter.tests.obs.models import constant_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    CANVAS,
    FILTER_ID,
    GREEN,
    PLAIN,
    Picture,
    alpha_of,
    assert_clean_exit,
    astronaut_bgr,
    astronaut_mask,
    background_filter,
    filter_obs,
    iou,
    portrait_source,
    wait_for_mask,
    wait_until,
)


def engine_alpha(segmenter: Segmenter, picture_bgr: Picture) -> Picture:
    """The engine's mask of a picture, brought to the picture's size as the shader does: bilinear."""
    size = segmenter.network.width, segmenter.network.height
    small_rgba = cv2.cvtColor(cv2.resize(picture_bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGBA)
    alpha = segmenter.alpha(np.asarray(small_rgba, np.uint8))
    return np.asarray(cv2.resize(alpha, picture_bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def guided_alpha(segmenter: Segmenter, picture_bgr: Picture) -> Picture:
    """The guided filter's alpha of a picture, in NumPy."""
    size = segmenter.network.width, segmenter.network.height
    small_rgba = cv2.cvtColor(cv2.resize(picture_bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGBA)
    frame_rgba = np.asarray(small_rgba, np.uint8)
    half = segmenter.look(frame_rgba, 0, may_be_half=True).alpha
    assert half.shape == (size[1] // 2, size[0] // 2)
    factors = EdgeGuide().factors(half, halved(frame_rgba)).astype(np.float32)
    large = cv2.resize(factors, picture_bgr.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    alpha = (large[:, :, :3] * picture_bgr[:, :, ::-1]).sum(2) + 255 * large[:, :, 3]
    return np.asarray(alpha.round().clip(0, 255), np.uint8)


def test_the_filter_is_listed_added_and_draws_the_engines_mask(tmp_path: Path, default_segmenter: Segmenter) -> None:
    with filter_obs(tmp_path, [portrait_source(tmp_path)]) as obs:
        known = obs.ws.get_source_filter_default_settings(FILTER_ID).default_filter_settings
        # The dialog's list of presets has a default of its own.
        assert known | dataclasses.asdict(DEFAULTS) == known
        obs.add_filter(CAMERA, "Room", settings=PLAIN)
        alpha = wait_for_mask(obs)
        frames_bgr = read_frames(obs.record(1.0))
    assert_clean_exit(obs)
    expected = engine_alpha(default_segmenter, astronaut_bgr())
    difference = np.abs(alpha.astype(float) - expected) / 255
    cv2.imwrite(str(obs.artefacts / "output.png"), frames_bgr[-1])
    cv2.imwrite(str(obs.artefacts / "alpha_obs_engine.png"), np.hstack([alpha, expected]))
    assert difference.mean() < 0.01
    assert iou(alpha, astronaut_mask()) >= 0.93
    assert_composed(frames_bgr[-1], expected)


def assert_composed(frame_bgr: Picture, alpha: Picture) -> None:
    """Where the mask is sure, the recording shows the portrait, or the green canvas."""
    person, room = cv2.erode(alpha, np.ones((9, 9))) > 250, cv2.dilate(alpha, np.ones((9, 9))) < 5
    assert person.mean() > 0.1 and room.mean() > 0.1
    assert np.abs(frame_bgr[person].astype(int) - astronaut_bgr()[person]).mean() < 2.0
    assert np.abs(frame_bgr[room].astype(int) - GREEN[::-1]).mean() < 2.0


def test_with_a_mask_of_ones_the_output_is_the_input_to_the_bit(tmp_path: Path) -> None:
    model = constant_model(tmp_path / "ones.onnx", 1.0)
    settings = {"model": "own", "own_model_file": str(model)}
    trusted_in(tmp_path, model)
    picture_bgr = np.random.default_rng(1).integers(0, 256, (CANVAS[1], CANVAS[0], 3), np.uint8)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), picture_bgr)
    with filter_obs(tmp_path, [image_source(CAMERA, path, filters=[background_filter()])], settings) as obs:
        obs.wait_for_log("ready, model")
        wait_until("the picture", lambda: True if alpha_of(obs).min() == 255 else None)
        filtered, on_canvas = obs.screenshot(CAMERA), obs.screenshot(SCENE)
        despilled = settled(obs, despill=True)
        obs.ws.set_source_filter_enabled(CAMERA, "Room", False)
        unfiltered = obs.screenshot(CAMERA)
    assert_clean_exit(obs)
    # Below 16 the software GPU rounds one value in a hundred thousand by one, also when it draws the bare picture.
    picture_rgb = picture_bgr[..., ::-1]
    bright = picture_rgb >= 16
    for shown in (filtered, on_canvas, despilled, unfiltered):
        assert (shown[..., :3][bright] == picture_rgb[bright]).all()
        assert np.abs(shown[..., :3].astype(int) - picture_rgb).max() <= 3


def settled(obs: Obs, **settings: Any) -> Picture:
    """The camera as it is drawn with these settings."""
    obs.ws.set_source_filter_settings(CAMERA, "Room", settings, overlay=True)
    time.sleep(0.7)
    return obs.screenshot(CAMERA)


def test_sharp_edges_are_the_guided_filter_on_the_whole_picture(
    portrait_obs: Obs, default_segmenter: Segmenter
) -> None:
    plain = settle(portrait_obs, PLAIN)
    sharp = settle(portrait_obs, {**PLAIN, "sharp_edges": True})
    expected = guided_alpha(default_segmenter, astronaut_bgr())
    cv2.imwrite(str(portrait_obs.artefacts / "plain_sharp_expected.png"), np.hstack([plain, sharp, expected]))
    difference = np.abs(sharp.astype(float) - expected)
    assert difference.mean() < 1.0
    assert difference.mean() < 0.2 * np.abs(plain.astype(float) - expected).mean()


def test_in_4k_each_pixel_has_its_own_alpha(portrait_obs: Obs, default_segmenter: Segmenter, tmp_path: Path) -> None:
    obs, size = portrait_obs, (3840, 2160)
    picture_bgr = astronaut_bgr(size)
    cv2.imwrite(str(tmp_path / "large.png"), picture_bgr)
    settings: dict[str, Any] = {**PLAIN, "sharp_edges": True, "smoothing": 0.5}
    obs.add_source(image_source("Large", tmp_path / "large.png", filters=[background_filter(**settings)]))
    try:
        alpha = wait_for_mask(obs, "Large", 30.0)
    finally:
        obs.ws.remove_input("Large")
    assert alpha.shape == size[::-1]
    difference = np.abs(alpha.astype(np.int16) - guided_alpha(default_segmenter, picture_bgr))
    assert difference.mean() < 1.0


@pytest.mark.parametrize(
    "settings, low, high",
    [
        ({"grow_px": 20.0}, 1.03, 1.4),
        ({"grow_px": -20.0}, 0.7, 0.97),
        ({"feather_px": 40.0}, 0.9, 1.1),
    ],
    ids=["grow", "shrink", "feather"],
)
def test_each_slider_moves_the_edge_as_it_says(portrait_obs: Obs, settings: dict[str, float], low: float, high: float):
    obs = portrait_obs
    hard = {**PLAIN, "edge_softness": 0.1, "feather_px": 0.0, "grow_px": 0.0}
    before = settle(obs, hard)
    after = settle(obs, {**hard, **settings})
    cv2.imwrite(str(obs.artefacts / f"{'-'.join(settings)}.png"), np.hstack([before, after]))
    assert low <= (after > 127).sum() / (before > 127).sum() <= high
    soft_before, soft_after = ((mask > 20) & (mask < 235) for mask in (before, after))
    if "feather_px" in settings:
        assert soft_after.sum() > 3 * soft_before.sum()


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.8])
def test_the_threshold_cuts_the_mask_where_it_says(portrait_obs: Obs, threshold: float) -> None:
    plain = settle(portrait_obs, PLAIN)
    cut = settle(portrait_obs, {**PLAIN, "threshold": threshold, "edge_softness": 0.05})
    assert (cut > 127).mean() == pytest.approx((plain > 255 * threshold).mean(), abs=0.01)


def test_the_preview_shows_the_mask_in_grey(portrait_obs: Obs) -> None:
    obs = portrait_obs
    alpha = settle(obs, PLAIN)
    settle(obs, {**PLAIN, "preview_mask": True})
    shown = obs.screenshot(CAMERA)
    settle(obs, {**PLAIN, "preview_mask": False})
    assert (shown[..., 3] == 255).all()
    for channel in range(3):
        assert np.abs(shown[..., channel].astype(int) - alpha).mean() < 1.0


def settle(obs: Obs, settings: dict[str, Any]) -> Picture:
    """Set the filter and wait until its mask no longer changes; gives the alpha."""
    obs.ws.set_source_filter_settings(CAMERA, "Room", settings, overlay=False)
    time.sleep(0.7)
    return alpha_of(obs)
