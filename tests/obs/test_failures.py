# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine dies or hangs in the middle of a show: the room is never seen, OBS renders on, the mask comes back."""

import os
import signal
import time
from pathlib import Path

import cv2
import pytest

from background_filter.tests.obs.harness import Obs, media_source, read_frames
from background_filter.tests.obs.support import (
    CAMERA,
    alpha_of,
    assert_clean_exit,
    background_filter,
    engines,
    filter_obs,
    room_share,
    swinging_clip,
    wait_for_mask,
    wait_until,
)

# What an imperfect mask may leave of the room around her; the whole room is .6 and more.
ROOM_AROUND_HER = 0.06


def skipped_frames(obs: Obs) -> int:
    """Frames that OBS could not render in time since its start."""
    return int(obs.ws.get_stats().render_skipped_frames)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
def test_no_frame_shows_the_room_while_the_engine_is_gone(tmp_path: Path, blow: signal.Signals) -> None:
    swinging_clip(tmp_path / "swing.mkv", 0.4)
    camera = media_source(CAMERA, tmp_path / "swing.mkv", filters=[background_filter()])
    with filter_obs(tmp_path, [camera]) as obs:
        wait_for_mask(obs)
        obs.start_recording()
        before = skipped_frames(obs)
        time.sleep(2.0)
        baseline = skipped_frames(obs) - before
        (engine,) = engines(obs)
        os.kill(engine, blow)
        time.sleep(2.0)
        lagged = skipped_frames(obs) - before - baseline
        if blow is signal.SIGSTOP:
            os.kill(engine, signal.SIGCONT)
        else:
            wait_until("a new engine", lambda: [pid for pid in engines(obs) if pid != engine] or None)
        wait_for_mask(obs, timeout_s=3.0)
        time.sleep(1.0)
        frames_bgr = read_frames(obs.stop_recording())
    assert_clean_exit(obs)
    worst = max(frames_bgr, key=room_share)
    cv2.imwrite(str(obs.artefacts / "worst-frame.png"), worst)
    assert room_share(worst) < ROOM_AROUND_HER
    assert lagged <= baseline + 6


def test_a_hung_engine_is_ended_and_replaced(tmp_path: Path) -> None:
    swinging_clip(tmp_path / "swing.mkv", 0.4)
    camera = media_source(CAMERA, tmp_path / "swing.mkv", filters=[background_filter()])
    with filter_obs(tmp_path, [camera]) as obs:
        wait_for_mask(obs)
        (engine,) = engines(obs)
        os.kill(engine, signal.SIGSTOP)
        wait_until("the picture to be hidden", lambda: True if alpha_of(obs).max() == 0 else None, 5.0)
        wait_until("a new engine", lambda: [pid for pid in engines(obs) if pid != engine] or None, 10.0)
        wait_for_mask(obs, timeout_s=3.0)
        assert len(engines(obs)) == 1
        assert "no sign of life" in obs.log
    assert_clean_exit(obs)


@pytest.mark.parametrize("choice", ["hide", "blur", "source"])
def test_without_an_engine_the_user_sees_what_he_chose(tmp_path: Path, choice: str) -> None:
    swinging_clip(tmp_path / "swing.mkv", 0.4)
    camera = media_source(CAMERA, tmp_path / "swing.mkv", filters=[background_filter(without_mask=choice)])
    nowhere = {"OBS_BACKGROUND_FILTER_ENGINE_ENV": str(tmp_path / "nowhere")}
    with filter_obs(tmp_path, [camera], env=nowhere) as obs:
        obs.wait_for_log("Install engine")
        frame_bgr = read_frames(obs.record(1.0))[-1]
        alpha = alpha_of(obs)
        assert engines(obs) == []
    assert_clean_exit(obs)
    cv2.imwrite(str(obs.artefacts / f"{choice}.png"), frame_bgr)
    sharpness = float(cv2.Laplacian(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())
    assert (alpha == (0 if choice == "hide" else 255)).all()
    if choice == "hide":
        assert room_share(frame_bgr) == 0.0
    elif choice == "blur":
        assert sharpness < 2.0
    else:
        assert room_share(frame_bgr) > 0.5 and sharpness > 20.0


def test_nothing_is_left_behind_when_obs_itself_is_killed(tmp_path: Path) -> None:
    camera_clip = tmp_path / "swing.mkv"
    swinging_clip(camera_clip, 0.4)
    camera = media_source(CAMERA, camera_clip, filters=[background_filter()])
    with filter_obs(tmp_path, [camera]) as obs:
        wait_for_mask(obs)
        (engine,) = engines(obs)
        os.kill(obs.pid, signal.SIGKILL)
        wait_until("the engine to end", lambda: None if Path(f"/proc/{engine}").exists() else True, 5.0)
        left = list(Path("/dev/shm").glob("obs-background-filter-*"))
        obs.close()
    assert left == []
