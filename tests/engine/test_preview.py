# SPDX-License-Identifier: GPL-2.0-or-later
"""A look at what a network does before it goes live: the function, and the command."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.cli import preview as command
from background_filter.filters.cli.errors import CommandError
from background_filter.filters.engine.library import verify
from background_filter.filters.engine.preview import preview, sheet
from background_filter.models import choices, trust
from background_filter.models.catalog import default_model_id
from background_filter.tests.engine import nets, shaped_nets
from background_filter.tests.engine.test_network import verified
from background_filter.tests.engine.test_real_networks import iou, picture


def half_bright() -> np.ndarray:
    """A picture of 96x128 that is white on the right."""
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:, 64:] = 255
    return picture


def test_mask_has_the_size_of_the_picture() -> None:
    mask = preview(verified(nets.brightness_net()), half_bright())
    assert mask.shape == (96, 128) and mask.dtype == np.uint8
    assert mask[:, :56].max() == 0 and mask[:, 72:].min() == 255


def test_it_finds_her() -> None:
    assert iou(preview(verify(default_model_id()), picture("astronaut.png", 512, 512))) > 0.85


def test_sheet_shows_picture_mask_and_person() -> None:
    shown = sheet(half_bright(), half_bright()[..., 0])
    height, third = shown.shape[0], shown.shape[1] // 3
    left, right = third // 4, 3 * third // 4
    columns = [left, right, third + left, third + right, 2 * third + left, 2 * third + right]
    colours = [shown[height // 2, column].tolist() for column in columns]
    black, white, green = [0, 0, 0], [255, 255, 255], [80, 200, 80]
    assert colours == [black, white, black, white, green, white]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with a user's configuration and a picture."""
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path / "config"))
    cv2.imwrite(str(tmp_path / "picture.png"), half_bright())
    return tmp_path


def run(folder: Path, model: str, *more: str) -> int:
    """The command, in this process."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = [model, "--picture", str(folder / "picture.png"), "--out", str(folder / "out.png"), *more]
    return command.run(parser.parse_args(words))


def own_file(folder: Path, is_trusted: bool = True) -> str:
    path = folder / "own.onnx"
    path.write_bytes(shaped_nets.modnet().SerializeToString())
    if is_trusted:
        trust.trust_file(path)
    return str(path)


def test_command_says_what_was_guessed_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, own_file(folder)) == 0
    said = capsys.readouterr().out
    assert "NCHW" in said and "three colours stand there" in said and "256x256" not in said and "320x192" in said
    assert cv2.imread(str(folder / "out.png")) is not None


def test_command_keeps_what_was_set_and_forgets_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = own_file(folder)
    sha256 = verify(f"file:{model}").sha256
    assert run(folder, model, "--set", "input.channels=BGR", "--set", "output.inverted=true") == 0
    assert "you chose it" in capsys.readouterr().out
    assert choices.load_choices(sha256) == {"input": {"channels": "BGR"}, "output": {"inverted": True}}
    assert run(folder, model, "--set", "input.width=64", "--set", "input.height=64") == 0
    assert choices.load_choices(sha256)["input"] == {"channels": "BGR", "width": 64, "height": 64}
    assert run(folder, model, "--forget") == 0
    assert choices.load_choices(sha256) == {}


def test_command_keeps_nothing_that_did_not_work(folder: Path) -> None:
    model = own_file(folder)
    with pytest.raises(CommandError, match="looks like a mask"):
        run(folder, model, "--set", "output.tensor=nothing")
    assert choices.load_choices(verify(f"file:{model}").sha256) == {}


def test_command_takes_models_of_the_catalogue(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, default_model_id()) == 0
    assert "As the catalogue says" in capsys.readouterr().out
    with pytest.raises(CommandError, match="nothing can be set"):
        run(folder, default_model_id(), "--set", "input.channels=BGR")


def test_command_runs_nothing_that_is_not_trusted(folder: Path) -> None:
    with pytest.raises(CommandError, match="unknown, so it was not loaded"):
        run(folder, own_file(folder, is_trusted=False))


def test_command_without_a_picture_or_a_model(folder: Path) -> None:
    with pytest.raises(CommandError, match="is not there"):
        run(folder, str(folder / "none.onnx"))
    (folder / "picture.png").write_bytes(b"no picture")
    with pytest.raises(CommandError, match="no picture that can be read"):
        run(folder, own_file(folder))
