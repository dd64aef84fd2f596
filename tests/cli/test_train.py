# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `train` before there is an environment, how it makes one, and how it hands over to it."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from background_filter.filters.cli import steps, train, workshop
from background_filter.filters.cli.errors import CommandError
from background_filter.filters.environment.stamp import interpreter_in
from background_filter.tests.cli.test_commands import run

ROOT = Path(__file__).resolve().parents[2]


def test_the_steps_are_told_without_an_environment() -> None:
    told = run("train", "--help")
    assert told.returncode == 0
    assert all(f"    {name} " in told.stdout for name in train.STEPS)
    assert run("train").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runn", "x.toml"), "There is no step “runn”. The steps are manifest, import aisegment"),
        (("import",), "Say what to import: import aisegment, import supervisely, import collection"),
        (("import", "coco"), "Say what to import"),
    ],
)
def test_a_wrong_step_is_answered_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = run("train", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {words}")


def test_every_step_has_its_module_and_stands_in_the_documentation() -> None:
    told = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for name, step in train.STEPS.items():
        source = (ROOT / "models" / f"{step.module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert "def add_arguments(parser: argparse.ArgumentParser) -> None:" in source, name
        assert "def run(options: argparse.Namespace) -> int:" in source, name
        assert f"train {name}" in told, name


def test_the_step_goes_on_in_the_environment_for_training(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def prepare_venv(requirements: Path, environment: Path) -> Path:
        asked.append((requirements.name, environment.name))
        return Path("/venv/python")

    def hand_over(command: list[str]) -> int:
        asked.append(command)
        return 7

    monkeypatch.setattr(steps, "prepare_python", lambda: None)
    monkeypatch.setattr(steps, "prepare_venv", prepare_venv)
    monkeypatch.setattr(steps, "hand_over", hand_over)
    assert train.train(["import", "aisegment", "folder", "--out", "x"]) == 7
    script = str(ROOT / "obs_background_filter.py")
    handed = [str(Path("/venv/python")), script, "train", "--here", "import", "aisegment", "folder", "--out", "x"]
    assert asked == [("requirements.txt", ".venv-training"), handed]


def test_the_environment_is_made_once_and_again_for_other_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[tuple[str, ...]] = []

    def make(environment: Path, interpreter: object, log: Path) -> None:
        did.append(("make", environment.name, log.name))
        python = interpreter_in(environment)
        python.parent.mkdir(parents=True)
        python.touch()

    monkeypatch.setattr(workshop, "find_interpreter", lambda: None)
    monkeypatch.setattr(workshop, "make_virtual_environment", make)
    monkeypatch.setattr(workshop, "pip_install", lambda environment, *rest: did.append(("fill", environment.name)))
    requirements = tmp_path / "requirements.txt"
    monkeypatch.setitem(workshop.EXPECTED_BYTES, requirements, 1)
    requirements.write_text("torch==1\n")
    for _ in range(2):
        workshop.prepare_venv(requirements, tmp_path / ".venv-training")
    assert did == [("make", ".venv-training", ".venv-training.log"), ("fill", ".venv-training")]
    requirements.write_text("torch==2\n")
    workshop.prepare_venv(requirements, tmp_path / ".venv-training")
    assert did[2:] == [("fill", ".venv-training")]


def test_the_step_s_exit_code_is_the_command_s() -> None:
    assert steps.wait_for([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import obs_background_filter\n"
        "from background_filter.filters.cli.steps import hand_over\n"
        "print('before'); hand_over([sys.executable, '-c', 'print(\"after\"); raise SystemExit(4)'])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["before", "after"]
    assert result.returncode == 4 or sys.platform == "win32"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, package: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(CommandError, match=r"Python package torch is missing\. Leave --here away"):
        train.train(["--here", "run", "x.toml"])
