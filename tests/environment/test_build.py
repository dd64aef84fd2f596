# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds in scratch folders: complete or not there at all, one at a time, never in the way of the one that stands."""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from background_filter.filters.environment import build as building
from background_filter.filters.environment import graphics, stamp, virtual
from background_filter.filters.environment.build import (
    BuildError,
    build_environment,
    describe,
    engine_python,
    ensure_environment,
)
from background_filter.filters.environment.interpreter import ask
from background_filter.filters.environment.lock import FileLock

Steps = list[tuple[float, str]]


@pytest.fixture
def steps() -> Steps:
    """What a build reported."""
    return []


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment to copy, since making one takes seconds."""
    folder = tmp_path_factory.mktemp("template")
    virtual.make_virtual_environment(folder / "venv", virtual.find_interpreter(), folder / "log")
    return folder / "venv"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path) -> Path:
    """Requirements that install in a moment, taken for the engine's: nothing at all."""

    def copy_template(environment: Path, *_: object) -> None:
        shutil.copytree(template, environment, symlinks=True)

    monkeypatch.setattr(building, "make_virtual_environment", copy_template)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    monkeypatch.setattr(graphics, "FOR_PROCESSOR", requirements)
    monkeypatch.setattr(building, "KNOWN_REQUIREMENTS", [requirements])
    monkeypatch.setattr(building, "_CHECK", """print('{"python": "3", "numpy": "0"}')""")
    return requirements


def built_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "builds").iterdir())


def test_the_engines_own_environment_works(engine_environment: Path) -> None:
    program = "import cv2, numpy, onnxruntime; print(onnxruntime.get_available_providers())"
    result = subprocess.run([str(engine_environment), "-c", program], capture_output=True, text=True, check=True)
    assert "CPUExecutionProvider" in result.stdout
    assert engine_python() == engine_environment
    assert "onnxruntime" in describe()


def test_a_build_reports_and_stands(tmp_path: Path, small: Path, steps: Steps) -> None:
    folder = tmp_path / "engine"
    assert engine_python(folder) is None
    assert "no engine" in describe(folder)
    python = build_environment(lambda *step: steps.append(step), folder)
    assert python == engine_python(folder)
    assert subprocess.run([str(python), "-c", "import pip"], check=False).returncode == 0
    parts = [part for part, _ in steps]
    assert parts == sorted(parts)
    assert (parts[0], parts[-1]) == (0.0, 1.0)
    assert ensure_environment(lambda *_: pytest.fail("it was there"), folder) == python


def test_building_again_replaces_the_old_one(tmp_path: Path, small: Path) -> None:
    folder = tmp_path / "engine"
    first = build_environment(lambda *_: None, folder)
    second = build_environment(lambda *_: None, folder)
    assert first != second
    assert not first.exists()
    assert built_folders(folder) == [second.parent.parent.name]


def test_other_requirements_make_it_obsolete(tmp_path: Path, small: Path) -> None:
    folder = tmp_path / "engine"
    python = build_environment(lambda *_: None, folder)
    small.write_text("# nothing\r\n")
    assert engine_python(folder) == python, "the kind of line end does not matter"
    small.write_text("# something else\n")
    assert engine_python(folder) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "build": "../.."}', "null", '{"format": 2}'])
def test_a_garbled_stamp_is_no_stamp(tmp_path: Path, text: str) -> None:
    (tmp_path / stamp.STAMP_NAME).write_text(text)
    assert engine_python(tmp_path) is None


def test_a_stamp_can_not_point_outside(tmp_path: Path, small: Path) -> None:
    folder = tmp_path / "engine"
    build_environment(lambda *_: None, folder)
    values = json.loads((folder / stamp.STAMP_NAME).read_text())
    (folder / stamp.STAMP_NAME).write_text(json.dumps(values | {"build": f"../builds/{values['build']}"}))
    assert engine_python(folder) is None


def test_a_broken_build_leaves_nothing_and_keeps_the_old_one(tmp_path: Path, small: Path) -> None:
    folder = tmp_path / "engine"
    standing = build_environment(lambda *_: None, folder)
    bad = tmp_path / "bad.txt"
    bad.write_text("obs-background-filter-has-no-such-package==99\n")
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(BuildError, match=r"There is no obs-background-filter-has-no-such-package.*install\.log"):
            build_environment(lambda *_: None, folder, requirements=bad)
    assert "No matching distribution" in (folder / "install.log").read_text()
    assert engine_python(folder) == standing
    assert built_folders(folder) == [standing.parent.parent.name]


def test_an_unreachable_index_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("numpy==2.2.6\n")
    # Port 9 discards, if anything: no index answers there.
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(BuildError, match="network connection"):
        build_environment(lambda *_: None, tmp_path / "engine", requirements=wanted)
    assert built_folders(tmp_path / "engine") == []


def test_an_environment_that_does_not_work_is_not_stamped(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_CHECK", "import background_filter_is_not_here")
    with pytest.raises(BuildError, match="The new environment does not work"):
        build_environment(lambda *_: None, tmp_path / "engine")
    assert engine_python(tmp_path / "engine") is None
    assert built_folders(tmp_path / "engine") == []


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, small: Path) -> None:
    def interrupt(part: float, _step: str) -> None:
        if part >= building.PIP_BEGINS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_environment(interrupt, tmp_path / "engine")
    assert built_folders(tmp_path / "engine") == []
    assert build_environment(lambda *_: None, tmp_path / "engine").exists()


def test_what_a_killed_build_left_is_cleared(tmp_path: Path, small: Path) -> None:
    left = tmp_path / "engine" / "builds" / "half"
    left.mkdir(parents=True)
    (left / "pyvenv.cfg").write_text("")
    python = build_environment(lambda *_: None, tmp_path / "engine")
    assert built_folders(tmp_path / "engine") == [python.parent.parent.name]


def test_a_full_disk_is_seen_beforehand(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(building.NEEDED_BYTES, small.name, 10**18)
    with pytest.raises(BuildError, match=r"The disk is too full: \d+ MB needed, \d+ MB free"):
        build_environment(lambda *_: None, tmp_path / "engine")


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="Can't write into"):
        build_environment(lambda *_: None, tmp_path / "file" / "engine")


def test_two_at_once_make_one(tmp_path: Path, small: Path) -> None:
    folder = tmp_path / "engine"
    results: list[Path] = []
    steps: Steps = []

    def one() -> None:
        results.append(build_environment(lambda *step: steps.append(step), folder))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 2
    assert len(set(results)) == 1
    assert any("waiting" in words for _, words in steps)


HOLD_LOCK = """
import sys
from pathlib import Path
import obs_background_filter
from background_filter.filters.environment.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.try_take(), flush=True)
sys.stdin.read()
"""


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    path, root = tmp_path / "lock", Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", HOLD_LOCK, str(path)]
    with (
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        FileLock(path) as lock,
    ):
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"True"
        assert not lock.try_take()
        other.kill()
        other.wait()
        assert lock.try_take()


def test_pip_is_brought_along_where_ensurepip_is_missing(tmp_path: Path) -> None:
    found = ask(sys.executable)
    assert found is not None
    if not found.has_pip:
        pytest.skip("this Python has no pip of its own")
    environment = tmp_path / "venv"
    virtual.make_virtual_environment(environment, replace(found, has_ensurepip=False), tmp_path / "log")
    python = str(stamp.interpreter_in(environment))
    assert subprocess.run([python, "-I", "-m", "pip", "--version"], check=False).returncode == 0


def test_where_an_environment_has_its_python() -> None:
    assert stamp.interpreter_in(Path("e"), "win32") == Path("e") / "Scripts" / "python.exe"
    assert stamp.interpreter_in(Path("e"), "linux") == Path("e") / "bin" / "python"
