# SPDX-License-Identifier: GPL-2.0-or-later
"""The ONNX Runtime for NVIDIA cards where none can be used: the engine says why, and goes on with the CPU."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from background_filter.filters.bridge.status import State
from background_filter.filters.environment.build import build_environment
from background_filter.filters.environment.graphics import FOR_NVIDIA
from background_filter.models.catalog import default_model_id
from background_filter.tests.engine.running import RunningEngine, RunningStream

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gpu_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with onnxruntime-gpu, but without the 2 GB of CUDA libraries: no card can be used from it."""
    folder = tmp_path_factory.mktemp("gpu")
    requirements = folder / "requirements-gpu.txt"
    requirements.write_text(re.sub(r"onnxruntime-gpu\[[\w,]+\]", "onnxruntime-gpu", FOR_NVIDIA.read_text()))
    yield build_environment(lambda part, step: None, folder / "engine", requirements=requirements)
    shutil.rmtree(folder)


@pytest.mark.timeout(900)
def test_the_runtime_for_cards_is_the_one_installed(gpu_python: Path) -> None:
    program = "import onnxruntime; print(onnxruntime.get_available_providers())"
    result = subprocess.run([str(gpu_python), "-c", program], capture_output=True, text=True, check=True)
    assert "CUDAExecutionProvider" in result.stdout


def test_the_engine_falls_back_to_the_cpu_with_a_clear_word(gpu_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(gpu_python))
    engine = RunningEngine()
    try:
        stream = RunningStream(engine, 1, default_model_id(), "cuda")
        status = stream.wait_for_state(State.READY)
        assert status.device == "CPU"
        status = stream.wait_for_problem("device.unavailable")
        assert status.problem is not None
        assert status.problem.params["device"] == "CUDA"
        assert re.search("driver|library", str(status.problem.params["reason"]))
        size = (status.input_height, status.input_width)
        assert stream.alpha_of(np.zeros((*size, 4), np.uint8)).shape == size
        stream.close()
        assert engine.end() == 0
    finally:
        engine.process.kill()
        engine.process.wait()
