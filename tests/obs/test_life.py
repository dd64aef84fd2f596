# SPDX-License-Identifier: GPL-2.0-or-later
"""The filter over the life of an OBS: saved and restored, scene collections switched, a damaged installation."""

import shutil
import time
from pathlib import Path

from background_filter.tests.obs.harness import Obs, scene_collection
from background_filter.tests.obs.support import (
    CAMERA,
    FILTER_ID,
    ROOT,
    SCRIPT,
    assert_clean_exit,
    background_filter,
    engines,
    filter_obs,
    portrait_source,
    wait_for_mask,
    wait_until,
)

SWITCHES = 20


def test_the_filter_is_saved_and_comes_back_with_its_settings(tmp_path: Path) -> None:
    chosen = {"threshold": 0.7, "feather_px": 6.0, "without_mask": "blur"}
    with filter_obs(tmp_path, [portrait_source(tmp_path)], home=tmp_path / "home") as obs:
        obs.add_filter(CAMERA, "Room", settings=chosen)
        wait_for_mask(obs)
        first = obs.restart()
        wait_for_mask(obs)
        (restored,) = obs.ws.get_source_filter_list(CAMERA).filters
    assert (first.code, first.leaks) == (0, 0)
    assert_clean_exit(obs)
    assert restored["filterKind"] == FILTER_ID and restored["filterName"] == "Room"
    assert restored["filterSettings"] == chosen


def test_twenty_switches_of_the_scene_collection(tmp_path: Path) -> None:
    camera = portrait_source(tmp_path, [background_filter()])
    other = scene_collection("other", [camera], [SCRIPT])
    with filter_obs(tmp_path, [camera], collections={"other": other}) as obs:
        wait_for_mask(obs)
        for number in range(SWITCHES):
            obs.ws.set_current_scene_collection(["other", "harness"][number % 2])
            time.sleep(0.3)
        wait_for_mask(obs)
        assert len(engines(obs)) == 1
    assert_clean_exit(obs)


def test_the_engine_ends_with_the_last_filter_and_starts_with_the_next(tmp_path: Path) -> None:
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])]) as obs:
        wait_for_mask(obs)
        obs.ws.remove_source_filter(CAMERA, "Room")
        wait_until("the engine to end", lambda: True if not engines(obs) else None)
        obs.add_filter(CAMERA, "Room again")
        wait_for_mask(obs)
        assert len(engines(obs)) == 1
        assert list(Path("/dev/shm").glob("obs-background-filter-*")) == []
    assert_clean_exit(obs)


def test_a_damaged_installation_is_reported_and_harms_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for folder in ("filters", "models"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPT, copy)
    (copy / "filters" / "bridge" / "layout.py").unlink()
    with Obs(scripts=[copy / SCRIPT.name], sources=[portrait_source(tmp_path)]) as obs:
        obs.wait_for_log("Install it again")
        time.sleep(1.0)
    assert_clean_exit(obs)
