# SPDX-License-Identifier: GPL-2.0-or-later
"""Training tests run where its libraries are; elsewhere they are skipped, or with REQUIRE_TRAINING=1 fail."""

import importlib.util
import os
import sys

import pytest

NEEDED = ("cv2", "onnx", "onnxruntime", "PIL", "rich", "torch")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

if MISSING:
    assert os.environ.get("REQUIRE_TRAINING") != "1", f"missing: {', '.join(MISSING)}"
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The trainings that a step starts, run here: another process would import everything anew."""
    from background_filter.filters.cli.steps import HERE
    from background_filter.filters.cli.train import run_step
    from background_filter.models.training import recipe

    commands = []

    def run_here(command: list[str]) -> int:
        commands.append(command)
        at = command.index(HERE)
        return run_step(command[at + 1], command[at + 2 :])

    monkeypatch.setattr(recipe, "wait_for", run_here)
    return commands


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The machine may be busy with a training run."""
    import cv2

    cv2.setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
