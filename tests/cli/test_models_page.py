# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/models.md: every command in it can be typed, every action stands in it, its folders are the real ones."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from background_filter.filters.cli import commands
from background_filter.models.catalog import find_model
from background_filter.models.places import ROOT, places

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
TYPED = [shlex.split(line) for line in re.findall(r"^python3 obs_background_filter\.py (.+)$", PAGE, re.MULTILINE)]
PREFIX = {"win32": "%", "linux": "~/", "darwin": "~/"}


def actions() -> set[str]:
    """What can stand behind ``models``."""
    found: set[str] = set()
    for action in commands.make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices["models"]._actions:
                if isinstance(below, argparse._SubParsersAction):
                    found |= set(below.choices)
    return found


@pytest.mark.parametrize("arguments", TYPED, ids=" ".join)
def test_every_command_can_be_typed(arguments: list[str]) -> None:
    options, others = commands.make_parser().parse_known_args(arguments)
    assert not others or options.passes_on
    name = getattr(options, "model", None)
    assert name is None or name.endswith(".onnx") or find_model(name) is not None


@pytest.mark.parametrize(
    "arguments", [each for each in TYPED if each[1:2] in ([], ["info"], ["verify"], ["where"])], ids=" ".join
)
def test_those_that_only_look_are_run(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path))
    assert commands.run(arguments) == 0
    assert capsys.readouterr().out


def test_every_action_stands_in_it() -> None:
    for action in actions() - {"list"}:
        assert f"models {action}" in PAGE, action


def test_its_folders_are_the_real_ones() -> None:
    variables = {"APPDATA": "/%APPDATA%", "ProgramFiles": "/%ProgramFiles%"}
    for platform, environ in (("linux", {}), ("darwin", {}), ("win32", variables)):
        for place in places(ROOT, platform, environ, Path("/~"))[1:]:
            shown = str(place.path).replace("/~/", "~/").replace("/%", "%")
            shown = shown.replace("/", "\\") if platform == "win32" else shown
            assert f"`{shown}`" in PAGE, (platform, shown)
