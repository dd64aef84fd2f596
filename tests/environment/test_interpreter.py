# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a Python is looked for on each system, and which ones are turned down."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from background_filter.filters.environment import virtual
from background_filter.filters.environment.interpreter import Interpreter, ask, candidates, interpreters, is_python
from background_filter.filters.environment.virtual import BuildError, find_interpreter

GOOD = Interpreter(Path("/p"), (3, 11, 2), 64, False, has_venv=True, has_ensurepip=True, has_pip=True)


def nowhere(_name: str) -> None:
    """A PATH with nothing in it."""


def test_inside_obs_on_linux_the_prefix_leads_to_its_python() -> None:
    found = candidates("linux", {}, "", "/usr", (3, 11), nowhere)
    assert found[0] == "/usr/bin/python3.11"
    assert len(found) == len(set(found))


def test_inside_obs_on_windows_obs_itself_is_never_started() -> None:
    obs = r"C:\Program Files\obs-studio\bin\64bit\obs64.exe"
    found = candidates("win32", {"LOCALAPPDATA": r"C:\L"}, obs, r"C:\Python312", (3, 12), nowhere)
    assert found[0] == r"C:\Python312\python.exe"
    assert obs not in found
    assert r"C:\L\Programs\Python\Python313\python.exe" in found


def test_on_macos_the_stub_that_opens_a_window_is_left_alone() -> None:
    obs = "/Applications/OBS.app/Contents/MacOS/OBS"
    prefix = "/Library/Frameworks/Python.framework/Versions/3.11"
    found = candidates("darwin", {}, obs, prefix, (3, 11), nowhere)
    assert found[0] == f"{prefix}/bin/python3.11"
    assert not {"/usr/bin/python3", obs} & set(found)
    assert "/opt/homebrew/bin/python3" in found


def test_a_chosen_python_comes_first() -> None:
    assert candidates("linux", {"OBS_BACKGROUND_FILTER_PYTHON": "/mine"}, "/usr/bin/python3")[0] == "/mine"


@pytest.mark.parametrize(
    ("path", "platform", "expected"),
    [
        ("/usr/bin/python3.11", "linux", True),
        ("/usr/bin/obs", "linux", False),
        (None, "linux", False),
        (r"C:\Python312\python.exe", "win32", True),
        (r"C:\Python312\pythonw.exe", "win32", False),
        (r"C:\obs\obs64.exe", "win32", False),
    ],
)
def test_what_counts_as_a_python(path: str | None, platform: str, expected: bool) -> None:
    assert is_python(path, platform) is expected


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": (3, 9, 18)}, "3.9.18"),
        ({"version": (3, 15, 0)}, "3.10 to 3.14"),
        ({"bits": 32}, "64-bit"),
        ({"free_threaded": True}, "free-threaded"),
        ({"has_venv": False}, "venv"),
    ],
)
def test_an_unusable_python_is_turned_down_with_a_reason(change: dict[str, Any], word: str) -> None:
    assert GOOD.why_unusable() is None
    assert word in str(replace(GOOD, **change).why_unusable())


def test_this_python_answers_and_is_asked_once() -> None:
    found = ask(sys.executable)
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert found.bits == 64
    assert len(list(interpreters([sys.executable, sys.executable]))) == 1


def test_what_is_no_python_gives_no_answer(tmp_path: Path) -> None:
    liar = tmp_path / "python3"
    liar.write_text('#!/bin/sh\necho \'{"version": "none"}\'\n')
    liar.chmod(0o755)
    for command in (str(tmp_path / "missing"), "/bin/false", "/bin/echo", str(liar)):
        assert ask(command) is None


def test_without_a_usable_python_one_line_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = replace(GOOD, path=Path("/usr/bin/python3.11"), has_ensurepip=False, has_pip=False)
    old = replace(GOOD, path=Path("/old"), version=(3, 8, 1))
    monkeypatch.setattr(virtual, "interpreters", lambda commands: iter([old, bare]))
    with pytest.raises(
        BuildError, match=r"sudo apt install python3-venv; /old is version 3\.8\.1.*comes without pip"
    ) as caught:
        find_interpreter()
    assert "\n" not in str(caught.value)
    with pytest.raises(BuildError, match="does not answer like a Python"):
        find_interpreter(Path("/bin/false"))


def test_a_python_without_ensurepip_but_with_pip_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pip_only = replace(GOOD, has_ensurepip=False)
    monkeypatch.setattr(virtual, "interpreters", lambda commands: iter([pip_only]))
    assert find_interpreter() == pip_only


def test_the_probe_prints_one_json_object() -> None:
    from background_filter.filters.environment.commands import run_quietly
    from background_filter.filters.environment.interpreter import _PROBE

    answer = json.loads(run_quietly([sys.executable, "-I", "-c", _PROBE], 20).stdout)
    assert set(answer) == {"path", "version", "bits", "free_threaded", "venv", "ensurepip", "pip"}
