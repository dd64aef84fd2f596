# SPDX-License-Identifier: GPL-2.0-or-later
"""The harness itself: what it records is what was shown, what it adds is there, and OBS ends clean."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.tests.obs.harness import (
    HarnessError,
    Obs,
    colour_source,
    image_source,
    media_source,
    read_frames,
    write_clip,
)
from background_filter.tests.obs.harness.report import parse_leaks, parse_profiler

SIZE_PX = (640, 360)


def picture_bgr() -> np.ndarray:
    """Colour ramps with hard edges: uint8 360 x 640 x 3, BGR; a codec with subsampled colour would show."""
    rows, columns = np.mgrid[0 : SIZE_PX[1], 0 : SIZE_PX[0]]
    return np.dstack([columns % 256, rows % 256, (columns // 7 * 37 + rows // 5 * 91) % 256]).astype(np.uint8)


def test_an_image_is_shown_to_the_bit_and_recorded_nearly_so_and_obs_ends_clean(tmp_path: Path) -> None:
    shown_bgr = picture_bgr()
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), shown_bgr)
    with Obs(sources=[image_source("Image", picture)], canvas=SIZE_PX) as obs:
        frames_bgr = read_frames(obs.record(1.0))
        screenshot_rgba = obs.screenshot("Image")
        obs.add_filter("Image", "Key", "chroma_key_filter_v2", {"similarity": 300})
        filters = obs.ws.get_source_filter_list("Image").filters
    assert len(frames_bgr) >= 20
    assert np.abs(frames_bgr.astype(int) - shown_bgr).max() <= 2  # RGB to full-range YUV and back
    assert (screenshot_rgba[..., 2::-1] == shown_bgr).all()
    assert [each["filterKind"] for each in filters] == ["chroma_key_filter_v2"]
    assert obs.exit is not None
    assert (obs.exit.code, obs.exit.leaks) == (0, 0), obs.exit.log[-3000:]
    assert obs.exit.profiler["obs_graphics_thread"].median_ms > 0.0


def test_a_clip_plays_as_written_and_sources_can_be_added_live(tmp_path: Path) -> None:
    levels = (40, 120, 200)
    clip_bgr = [np.full((SIZE_PX[1], SIZE_PX[0], 3), level, np.uint8) for level in levels for _ in range(10)]
    clip = write_clip(tmp_path / "clip.mkv", clip_bgr)
    assert (read_frames(clip) == np.stack(clip_bgr)).all()
    with Obs(sources=[media_source("Clip", clip)], canvas=SIZE_PX) as obs:
        played_bgr = read_frames(obs.record(2.0))
        obs.add_source(colour_source("Red", (255, 0, 0), SIZE_PX))
        shown_rgba = obs.screenshot("Scene")
        screen = cv2.imread(str(obs.window_screenshot("window.png")))
        obs.xdotool("mousemove", 5, 7)
        assert "x:5 y:7" in obs.xdotool("getmouselocation")
    assert set(np.unique(played_bgr)) <= {0, *levels}
    assert set(levels) <= set(np.unique(played_bgr))
    assert tuple(shown_rgba[100, 100]) == (255, 0, 0, 255)
    assert screen is not None and screen.std() > 5.0


def test_a_kept_home_keeps_the_scene_over_a_restart(tmp_path: Path) -> None:
    with Obs(canvas=SIZE_PX, home=tmp_path / "home") as obs:
        obs.add_source(colour_source("Green", (0, 255, 0), SIZE_PX))
        obs.add_filter("Green", "Key", "chroma_key_filter_v2")
        assert obs.restart().code == 0
        assert [each["filterName"] for each in obs.ws.get_source_filter_list("Green").filters] == ["Key"]
    assert "Green" in [each["name"] for each in obs.collection()["sources"]]


def test_a_crash_is_told_with_the_log() -> None:
    with (
        pytest.raises(HarnessError, match=r"exit code -9.*\n(.*\n)*.*OBS 2|exit code -9"),
        Obs(canvas=SIZE_PX) as obs,
    ):
        obs.ws.disconnect()
        obs.ws = None
        import os

        os.kill(obs.pid, 9)
        obs.wait_for_log("never said", timeout_s=0.5)


def test_the_log_is_understood() -> None:
    log = (
        "12:00:00.000: == Profiler Results =====\n"
        "12:00:00.000: obs_graphics_thread(33.3333\xa0ms): min=0.08\xa0ms, median=27.3\xa0ms, max=290.3\xa0ms, "
        "99th percentile=173.1\xa0ms, 81.8% below 33.333\xa0ms\n"
        "12:00:00.000:  ┣tick_sources: min=0\xa0ms, median=0.011\xa0ms, max=81.4\xa0ms, 99th percentile=0.029\xa0ms\n"
        "12:00:00.000: == Profiler Time Between Calls ====\n"
        "12:00:00.000: obs_graphics_thread(33.3333\xa0ms): min=9.6\xa0ms, median=33.3\xa0ms, max=290.34\xa0ms\n"
        "12:00:00.000: Number of memory leaks: 3\n"
    )
    assert parse_leaks(log) == 3
    assert parse_leaks("") is None
    profiler = parse_profiler(log)
    assert profiler["obs_graphics_thread"].median_ms == 27.3
    assert profiler["tick_sources"].p99_ms == 0.029
