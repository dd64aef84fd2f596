# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipe: everything in one command, and given again only what is missing; every step's help."""

from pathlib import Path

import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.filters.cli.train import STEPS, run_step
from background_filter.models.training import recipe
from background_filter.models.training.pictures import write_picture
from background_filter.models.training.watch import read_log
from background_filter.tests.models.training.people import person, room, step

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "models" / "training" / "configs" / "tiny.toml"


@pytest.mark.parametrize("name", STEPS)
def test_every_step_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_step(name, ["--help"])
    assert caught.value.code == 0
    assert f"usage: obs_background_filter.py train {name} " in capsys.readouterr().out


def make_collection(folder: Path) -> None:
    for split, seed, count in (("train/masked", 0, 20), ("dev", 500, 4)):
        for i in range(count):
            picture, mask = person(seed + i)
            write_picture(folder / split / "made" / "img" / f"p{i}.png", picture)
            write_picture(folder / split / "made" / "mask" / f"p{i}.png", mask)
    for i in range(4):
        write_picture(folder / "train" / "rooms" / "hall" / "img" / f"r{i}.png", room(i))
    for name in ("masked/made", "rooms/hall"):
        (folder / "train" / name / "LICENSE.txt").write_text("Licence: CC0-1.0\n")
        (folder / "train" / name / "SOURCE.txt").write_text("From: drawn by a test\n")


def test_the_recipe_does_what_is_missing(
    tmp_path: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    make_collection(tmp_path / "data")
    (tmp_path / "few.toml").write_text(TINY.read_text(encoding="utf-8"), encoding="utf-8")
    arguments = [tmp_path / "few.toml", "--data", tmp_path / "data", "--work", tmp_path / "work"]
    arguments += ["--set", f"out={tmp_path / 'run'}", "--set", "run.check_every=2"]
    assert step(recipe, *arguments, "--set", "run.steps=2") == 0
    for name in ("manifest.csv", "pack/index.json", "ATTRIBUTION.md", "evaluation/table.md"):
        assert (tmp_path / "work" / name).exists(), name
    exported = tmp_path / "run" / "few.onnx"
    packed, first = (tmp_path / "work" / "pack" / "pixels.npy").stat().st_mtime_ns, exported.stat().st_mtime_ns
    assert "--resume" not in started[0]

    assert step(recipe, *arguments, "--set", "run.steps=4") == 0
    assert "--resume" in started[1]
    assert [record["step"] for record in read_log(tmp_path / "run")] == [2, 4]
    assert (tmp_path / "work" / "pack" / "pixels.npy").stat().st_mtime_ns == packed
    assert capsys.readouterr().out.count("== pack") == 1
    newer = (tmp_path / "run" / "best.pt").stat().st_mtime_ns > first
    assert (exported.stat().st_mtime_ns > first) == newer


def test_a_failed_training_ends_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_collection(tmp_path / "data")
    monkeypatch.setattr(recipe, "wait_for", lambda command: 1)
    with pytest.raises(CommandError, match=r"did not succeed\. Give the command again"):
        step(recipe, TINY, "--data", tmp_path / "data", "--work", tmp_path / "work", "--set", f"out={tmp_path / 'run'}")
    with pytest.raises(CommandError, match="the same folder"):
        step(recipe, TINY, TINY.with_name("fast.toml"), "--data", tmp_path / "data", "--set", "out=x")
