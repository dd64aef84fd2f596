# SPDX-License-Identifier: GPL-2.0-or-later
"""TFLite files answer as PyTorch does; runs where models/training/requirements-tflite.txt is installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import tflite
from background_filter.models.training.checkpoint import noise_pictures, restore
from background_filter.tests.models.training.chains import checkpoint
from background_filter.tests.models.training.people import step

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in tflite.NEEDED),
    reason="litert-torch is not installed (models/training/requirements-tflite.txt)",
)


def test_without_the_converter_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite, "NEEDED", ("no_such_converter",))
    with pytest.raises(CommandError, match=r"requirements-tflite\.txt"):
        step(tflite, tmp_path / "best.pt", "--out", tmp_path / "person.tflite")


def test_pictures_to_compare_on_are_squeezed_to_the_input(tmp_path: Path) -> None:
    restored = restore(checkpoint(tmp_path / "best.pt"))
    assert tflite.read_pictures([], restored).shape == (4, 3, restored.height, restored.width)
    with pytest.raises(CommandError, match=r"none\.jpg"):
        tflite.read_pictures([tmp_path / "none.jpg"], restored)


def test_a_file_that_answers_otherwise_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restored = restore(checkpoint(tmp_path / "best.pt"))
    pictures = noise_pictures(restored)
    with torch.no_grad():
        right = restored.network(pictures.float() / 255).numpy()
    monkeypatch.setattr(tflite, "NEEDED", ())
    monkeypatch.setattr(tflite, "_convert", lambda restored, path: path.write_bytes(b"TFL3"))
    monkeypatch.setattr(tflite, "run_tflite", lambda path, pictures: right + np.float32(0.01))
    with pytest.raises(CommandError, match="does not compute what PyTorch does"):
        tflite.convert(restored, tmp_path / "person.tflite", pictures)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]
    monkeypatch.setattr(tflite, "run_tflite", lambda path, pictures: right + np.float32(1e-5))
    tflite.convert(restored, tmp_path / "person.tflite", pictures)
    assert (tmp_path / "person.tflite").read_bytes() == b"TFL3"


@installed
def test_a_real_file_answers_as_pytorch_does(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "best.pt")
    assert step(tflite, source, "--out", tmp_path / "person.tflite") == 0
    restored = restore(source)
    assert tflite.compare(restored, tmp_path / "person.tflite", noise_pictures(restored, 2)) < tflite.PARITY_LIMIT
