# SPDX-License-Identifier: GPL-2.0-or-later
"""A mask belongs to its frame: on a person who moves fast, the mask lies where the displayed picture shows her."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.pipeline import Segmenter
from background_filter.tests.obs.harness import Filter, media_source, read_frames
from background_filter.tests.obs.support import (
    CAMERA,
    FILTER_ID,
    PLAIN,
    Picture,
    assert_clean_exit,
    filter_obs,
    iou,
    swinging_clip,
    wait_for_mask,
)

REACH_FRAMES = 4


def shown_alpha(frame_bgr: Picture) -> Picture:
    """Where a recorded frame shows her and not the green canvas: uint8 H x W, 255 or 0."""
    blue, green, red = (frame_bgr[..., channel].astype(int) for channel in range(3))
    return np.where(green - np.maximum(blue, red) < 128, 255, 0).astype(np.uint8)


def shown_index(frame_bgr: Picture, clip_bgr: list[Picture], sure: list[Picture]) -> int:
    """Which frame of the clip is shown: the one that differs least where that frame's mask is sure of her."""
    small = frame_bgr[::4, ::4].astype(int)
    differences = [
        np.abs(small - clip[::4, ::4])[mask[::4, ::4] > 0].mean() for clip, mask in zip(clip_bgr, sure, strict=True)
    ]
    return int(np.argmin(differences))


@pytest.mark.parametrize("widths_per_s", [0.4, 1.2])
def test_the_mask_lags_the_shown_frame_by_no_frame(
    tmp_path: Path, default_segmenter: Segmenter, widths_per_s: float
) -> None:
    clip_bgr = swinging_clip(tmp_path / "swing.mkv", widths_per_s)
    camera = media_source(CAMERA, tmp_path / "swing.mkv", filters=[Filter("Room", FILTER_ID, PLAIN)])
    with filter_obs(tmp_path, [camera]) as obs:
        wait_for_mask(obs)
        recorded_bgr = read_frames(obs.record(4.0))
    assert_clean_exit(obs)
    masks = [clip_mask(default_segmenter, frame) for frame in clip_bgr]
    sure = [cv2.erode(mask, np.ones((25, 25))) for mask in masks]
    lags = [lag_of(frame, clip_bgr, masks, sure) for frame in recorded_bgr[5:-5:4]]
    assert len(lags) > 15
    assert set(lags) == {0}


def clip_mask(segmenter: Segmenter, frame_bgr: Picture) -> Picture:
    """The engine's mask of one frame at the frame's size, 255 where alpha is above half."""
    size = segmenter.network.width, segmenter.network.height
    small_rgba = cv2.cvtColor(cv2.resize(frame_bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGBA)
    alpha = cv2.resize(segmenter.alpha(np.asarray(small_rgba, np.uint8)), frame_bgr.shape[1::-1])
    return np.where(alpha > 127, 255, 0).astype(np.uint8)


def lag_of(frame_bgr: Picture, clip_bgr: list[Picture], masks: list[Picture], sure: list[Picture]) -> int:
    """By how many frames of the clip the drawn mask is older (positive) or newer than the picture it is drawn on."""
    index = shown_index(frame_bgr, clip_bgr, sure)
    alpha = shown_alpha(frame_bgr)
    fits = {lag: iou(alpha, masks[(index - lag) % len(masks)]) for lag in range(-REACH_FRAMES, REACH_FRAMES + 1)}
    best = max(fits, key=lambda lag: fits[lag])
    return 0 if np.isclose(fits[best], fits[0]) else best


def test_without_delay_the_mask_is_moved_to_where_she_is(tmp_path: Path, default_segmenter: Segmenter) -> None:
    fps = 10  # that the software renderer holds: an even movement looks even
    clip_bgr = swinging_clip(tmp_path / "swing.mkv", 0.3, fps)
    undelayed = Filter("Room", FILTER_ID, {**PLAIN, "timing": "no_delay"})
    camera = media_source(CAMERA, tmp_path / "swing.mkv", filters=[undelayed])
    with filter_obs(tmp_path, [camera], fps=fps) as obs:
        wait_for_mask(obs)
        recorded_bgr = read_frames(obs.record(8.0))
    assert_clean_exit(obs)
    assert obs.exit is not None and "picture delayed by 0 ms" in obs.exit.log
    masks = [clip_mask(default_segmenter, frame) for frame in clip_bgr]
    sure = [cv2.erode(mask, np.ones((25, 25))) for mask in masks]
    shown = [(shown_index(frame, clip_bgr, sure), shown_alpha(frame)) for frame in recorded_bgr[5:-5]]
    fits = [iou(alpha, masks[index]) for index, alpha in shown]
    # What a mask fits that is one frame old, the youngest there is, and stays where it was.
    stays = [iou(masks[index - 1], masks[index]) for index, _ in shown]
    assert len(fits) > 30
    assert 1 - np.median(fits) < 0.5 * (1 - np.median(stays)), (np.median(fits), np.median(stays))
