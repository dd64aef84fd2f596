# SPDX-License-Identifier: GPL-2.0-or-later
"""TensorFlow's and Keras's files, through the environment that ``models convert`` makes for them (1.8 GB, once)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from background_filter.filters.cli.workshop import FOR_TENSORFLOW, ROOT, VENV_TENSORFLOW, prepare_venv
from background_filter.tests.models.tools.in_tensorflow import CASES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="TensorFlow has nothing for Python 3.14 yet"),
]
DRIVER = Path(__file__).with_name("in_tensorflow.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the networks that in_tensorflow.py makes."""
    path = tmp_path_factory.mktemp("tensorflow")
    python = prepare_venv(FOR_TENSORFLOW, VENV_TENSORFLOW)
    subprocess.run([str(python), str(DRIVER), str(path), "make"], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, tuple[int, str]]:
    """What became of each case."""
    python = prepare_venv(FOR_TENSORFLOW, VENV_TENSORFLOW)
    done = subprocess.run(
        [str(python), str(DRIVER), str(folder), "convert"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, tuple[int, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("case", "out"), [(name, CASES[name][1]) for name in ("h5", "saved_model", "lambda, trusted")])
def test_they_answer_as_tensorflow_does(case: str, out: str, results: dict[str, tuple[int, str]], folder: Path) -> None:
    code, said = results[case]
    assert code == 0, said
    assert "against TensorFlow" in said
    session = onnxruntime.InferenceSession(str(folder / out), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 48, 64, 3]
    picture = np.full((1, 48, 64, 3), 0.25, np.float32)
    (answer,) = session.run(None, {session.get_inputs()[0].name: picture})
    assert answer.shape == (1, 48, 64, 1)
    if case.startswith("lambda"):
        assert np.allclose(answer, 0.5)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("saved_model without a size", "--size 256x144"),
        ("saved_model not trusted", "is a program"),
        ("lambda", "holds Python code"),
        ("damaged", "can't be opened"),
    ],
)
def test_what_is_refused(case: str, words: str, results: dict[str, tuple[int, str]], folder: Path) -> None:
    code, said = results[case]
    assert code == 1
    assert words in said, said
    assert not (folder / "no.onnx").exists()


def test_from_an_environment_without_tensorflow_it_goes_on_in_its_own(folder: Path) -> None:
    script, out = str(ROOT / "obs_background_filter.py"), folder / "handed over.onnx"
    command = [sys.executable, script, "models", "--here", "convert", str(folder / "net.keras"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "against TensorFlow" in done.stdout
    assert "0.0000% of the mask's pixels flip" in done.stdout
    assert out.is_file()
    assert "oneDNN" not in done.stderr
