# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo and test set up: missing programs are installed where that is allowed, and named where it is not."""

import shutil
import sys
from pathlib import Path

import pytest

from background_filter.filters.cli import workshop
from background_filter.filters.cli.errors import CommandError


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine with apt-get and nothing else; gives the apt calls."""
    calls: list[list[str]] = []

    def apt(command: list[str]) -> bool:
        calls.append(command)
        return True

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(workshop, "_apt", apt)
    monkeypatch.setattr(workshop, "_as_root", list)
    monkeypatch.setattr(sys, "platform", "linux")
    return calls


def test_root_gets_them_installed(bare: list[list[str]]) -> None:
    workshop.prepare_programs("obs", "Xvfb")
    update, install = bare
    assert update[-1] == "update"
    assert install[-4:] == ["obs-studio", "xvfb", *workshop.COMPANIONS]


def test_others_get_the_line_to_type(bare: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "_as_root", lambda: None)
    with pytest.raises(CommandError, match=r"sudo apt install obs-studio libgl1-mesa-dri") as caught:
        workshop.prepare_programs("obs")
    assert caught.value.exit_code == 2
    assert bare == []


def test_where_apt_fails_the_log_is_named(bare: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "_apt", lambda command: False)
    with pytest.raises(CommandError, match=r"\.apt\.log.*\n.*sudo apt install xdotool"):
        workshop.prepare_programs("xdotool")


def test_without_apt_or_linux(bare: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CommandError, match="install obs-studio first"):
        workshop.prepare_programs("obs")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(CommandError, match=r"docs/install\.md"):
        workshop.prepare_programs("obs")


def test_nothing_is_done_where_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(workshop, "_apt", lambda command: pytest.fail("apt was called"))
    workshop.prepare_programs(*workshop.PACKAGES)


def test_a_change_in_a_named_file_counts(tmp_path: Path) -> None:
    (tmp_path / "inner.txt").write_text("numpy==1\n")
    (tmp_path / "outer.txt").write_text("-r inner.txt\npytest\n")
    before = workshop._digest(tmp_path / "outer.txt")
    (tmp_path / "inner.txt").write_text("numpy==2\n")
    assert workshop._digest(tmp_path / "outer.txt") != before
