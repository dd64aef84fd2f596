# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's folders on the three systems, told apart by arguments alone."""

from pathlib import Path

import pytest

from background_filter.filters.environment.folders import config_folder, data_folder, engine_environment_folder

HOME = Path("/home/her")


@pytest.mark.parametrize(
    ("platform", "environ", "data", "config"),
    [
        ("linux", {}, ".local/share/obs-background-filter", ".config/obs-background-filter"),
        ("darwin", {}, "Library/Application Support/obs-background-filter", None),
        ("win32", {}, "AppData/Local/obs-background-filter", "AppData/Roaming/obs-background-filter"),
        ("linux", {"XDG_DATA_HOME": "relative", "XDG_CONFIG_HOME": ""}, ".local/share/obs-background-filter", None),
    ],
)
def test_without_variables_the_folders_lie_in_the_home(
    platform: str, environ: dict[str, str], data: str, config: str | None
) -> None:
    assert data_folder(platform, environ, HOME) == HOME / data
    assert engine_environment_folder(platform, environ, HOME) == HOME / data / "engine"
    if config:
        assert config_folder(platform, environ, HOME) == HOME / config


def test_the_systems_variables_are_followed() -> None:
    linux = {"XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c"}
    assert data_folder("linux", linux, HOME) == Path("/d/obs-background-filter")
    assert config_folder("linux", linux, HOME) == Path("/c/obs-background-filter")
    windows = {"LOCALAPPDATA": "C:\\L", "APPDATA": "D:/R"}
    assert data_folder("win32", windows, HOME) == Path("C:\\L") / "obs-background-filter"
    assert config_folder("win32", windows, HOME) == Path("D:/R/obs-background-filter")


def test_our_own_variables_win() -> None:
    environ = {"OBS_BACKGROUND_FILTER_ENGINE_ENV": "/e", "OBS_BACKGROUND_FILTER_CONFIG": "/c", "XDG_DATA_HOME": "/d"}
    for platform in ("linux", "darwin", "win32"):
        assert engine_environment_folder(platform, environ, HOME) == Path("/e")
        assert config_folder(platform, environ, HOME) == Path("/c")
