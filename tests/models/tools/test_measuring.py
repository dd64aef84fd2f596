# SPDX-License-Identifier: GPL-2.0-or-later
"""`models benchmark` and `models evaluate` with real models, real pictures and the engine's own environment."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from background_filter.filters.cli import commands
from background_filter.filters.engine.library import verify
from background_filter.filters.engine.preview import preview
from background_filter.models import trust
from background_filter.models.catalog import load_catalog
from background_filter.models.places import ROOT, user_models_folder
from background_filter.models.store import make_private_folder
from background_filter.models.suggest import Candidate, suggest
from background_filter.models.tools.benchmark import Quality, draw, figures_table, verdict
from background_filter.models.tools.chosen import chosen_models
from background_filter.models.tools.evaluate import open_networks
from background_filter.models.tools.speeds import ModelSpeed, Speeds
from background_filter.models.training.measuring import Case, Results
from background_filter.models.training.pictures import read_picture
from background_filter.models.training.teachers import open_teacher
from background_filter.tests.engine.nets import brightness_net
from background_filter.tests.models.training.people import HEIGHT, WIDTH, make_folder

PICTURES = 3
SHIPPED = {"person_fast_256x144", "person_quality_352x208"}


@pytest.fixture
def bright(config: Path) -> Path:
    """A trusted network in the user's folder that calls bright pixels person."""
    make_private_folder(user_models_folder())
    path = user_models_folder() / "bright.onnx"
    onnx.save(brightness_net(WIDTH, HEIGHT), path)
    trust.trust_file(path)
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Pictures of bright people with masks."""
    return make_folder(tmp_path / "people", PICTURES)


def run(*arguments: object) -> int:
    return commands.run(["models", "--here", *map(str, arguments)])


def overlap(model: str, folder: Path) -> float:
    """Person IoU of the engine's masks with the truth, mean over the pictures."""
    ious = []
    for path in sorted((folder / "images").iterdir()):
        picture_rgb, truth = Case(path, folder / "masks" / path.name).read()
        seen = preview(verify(model), np.ascontiguousarray(picture_rgb[:, :, ::-1])) >= 128
        ious.append((seen & truth).sum() / (seen | truth).sum())
    return float(np.mean(ious))


# benchmark


def test_models_are_measured_in_the_engines_environment(
    bright: Path, people: Path, tmp_path: Path, engine_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, plot = tmp_path / "figures.json", tmp_path / "figures.png"
    wishes = ("--seconds", 0.02, "--device", "cpu", "directml", "--json", file, "--plot", plot, "--fps", 1)
    assert run("benchmark", "--pictures", people, *wishes) == 0
    figures = json.loads(file.read_text())
    models = {each["name"]: each for each in figures["models"]}
    assert set(models) == {*SHIPPED, "bright.onnx"}
    for name, model in models.items():
        whole_ms, network_ms = model["ms"]["cpu"]
        assert 0 < network_ms < whole_ms, name
        path = bright if name == bright.name else ROOT / "models" / "weights" / f"{name}.onnx"
        assert (model["sha256"], model["bytes"]) == (trust.digest_file(path), path.stat().st_size)
        # This device is on no machine that runs tests.
        assert "directml" in model["absent"] and "directml" not in model["ms"]
    assert models["bright.onnx"]["input"] == [WIDTH, HEIGHT]
    assert figures["quality"]["bright.onnx"]["person_iou"] == pytest.approx(overlap(f"file:{bright}", people), abs=0.01)
    assert all(0 <= each["mean_iou"] <= 1 for each in figures["quality"].values())
    # At one frame a second every machine holds all of them.
    best = max(figures["quality"], key=lambda name: figures["quality"][name]["person_iou"])
    assert figures["suggested"] == {"cpu": best}
    assert {"processor", "memory", "system", "Python", "ONNX Runtime", "providers"} <= set(figures["machine"])
    said = capsys.readouterr().out
    assert f"best of them by measured quality: {best}." in said
    assert "not measured on DirectML: the installed ONNX Runtime" in said
    for name in models:
        assert any(line.startswith(name) for line in said.splitlines()), name
    assert read_picture(plot).std() > 5


def test_without_pictures_quality_is_the_catalogues(
    engine_environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert run("benchmark", "person_fast_256x144", "--seconds", 0.02, "--device", "cpu", "--json", file) == 0
    measured = load_catalog()["person_fast_256x144"].measured
    assert measured is not None
    figures = json.loads(file.read_text())
    assert figures["quality"]["person_fast_256x144"] == {"person_iou": measured.quality, "mean_iou": None}
    assert figures["quality_from"] == "catalogue" and "IoU is the one in the catalogue" in capsys.readouterr().out


def test_only_verified_bytes_are_measured(
    bright: Path, engine_environment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = tmp_path / "stranger.onnx"
    onnx.save(brightness_net(32, 32), stranger)
    assert run("benchmark", stranger, "--seconds", 0.02) == 1
    assert "stranger.onnx" in capfd.readouterr().err
    # Changed after it was trusted: left out of what may run, refused by name.
    onnx.save(brightness_net(32, 32), bright)
    assert set(chosen_models([])) == SHIPPED
    assert run("benchmark", "bright.onnx", "person_fast_256x144", "--seconds", 0.02, "--device", "cpu") == 0
    said = capfd.readouterr().out
    assert "not measured: bright.onnx: " in said and "person_fast_256x144" in said


def test_mistakes_of_benchmark_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_environment: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def refusal(*arguments: object) -> str:
        assert run("benchmark", *arguments) in (1, 2)
        return capfd.readouterr().err

    assert "There is no model person_fast" in refusal("person_fast")
    assert "named twice" in refusal("person_fast_256x144", "person_fast_256x144")
    assert "There is no folder" in refusal("person_fast_256x144", "--json", tmp_path / "none" / "a.json")
    nothing = refusal("person_fast_256x144", "--seconds", 0.02, "--device", "directml")
    assert "Nothing can be measured" in nothing and "DirectML" in nothing
    with pytest.raises(SystemExit):
        run("benchmark", "--fps", "0")
    assert "expected a number above 0" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        run("benchmark", "--seconds", "long")
    assert "invalid float value: 'long'" in capfd.readouterr().err
    empty = refusal("person_fast_256x144", "--seconds", 0.02, "--device", "cpu", "--pictures", tmp_path)
    assert "no folder with images/ and masks/" in empty
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_ENGINE_ENV", str(tmp_path / "no engine"))
    assert "The engine is not installed: run install-engine" in refusal("person_fast_256x144")


MADE = Speeds(
    {"processor": "one"},
    ["cpu", "cuda"],
    [
        ModelSpeed("slow", "a" * 64, 2_000_000, (320, 320), {"cpu": (40.0, 39.0), "cuda": (4.0, 2.0)}, memory_mb=99.6),
        ModelSpeed("quick", "b" * 64, 500_000, (256, 144), {"cpu": (2.0, 1.5)}, {"cuda": "CUDA: too little memory"}),
        ModelSpeed("broken", "c" * 64, 1, (8, 8)),
    ],
    {},
)
QUALITY = {"slow": Quality(0.97, 0.98), "quick": Quality(0.9, None)}


def test_the_table_has_a_column_for_each_device() -> None:
    header, *rows = (line.split() for line in figures_table(MADE, QUALITY).splitlines())
    assert " ".join(header) == "MODEL MB INPUT FPS cpu ms net ms FPS cuda ms net ms IoU mIoU memory MB"
    assert rows == [
        ["quick", "0.5", "256x144", "500", "2.00", "1.50", "0.900"],
        ["slow", "2.0", "320x320", "25", "40.00", "39.00", "250", "4.00", "2.00", "0.970", "0.980", "100"],
    ]


def test_the_verdict_names_what_is_held_and_the_best_of_it() -> None:
    assert verdict(MADE, QUALITY, "cpu", 30, 0.5) == (
        "On CPU at 30 frames per second this machine holds: quick; best of them by measured quality: quick."
    )
    assert verdict(MADE, QUALITY, "cpu", 10, 0.5).endswith(
        "holds: quick, slow; best of them by measured quality: slow."
    )
    assert verdict(MADE, {}, "cuda", 30, 0.5).endswith("holds: slow; the quality of none of them is known.")
    assert verdict(MADE, QUALITY, "cpu", 1000, 0.5).endswith("holds none of them.")


def test_the_plot_shows_every_device_with_a_known_quality(tmp_path: Path) -> None:
    draw(MADE, QUALITY, {}, tmp_path / "two.png")
    one = Speeds(MADE.machine, ["cpu"], MADE.models, {})
    draw(one, QUALITY, {}, tmp_path / "one.png")
    assert read_picture(tmp_path / "two.png").shape[1] == 2 * read_picture(tmp_path / "one.png").shape[1]
    assert suggest([Candidate("slow", 4.0, 0.97)], 30) == "slow"


# evaluate


def test_models_are_evaluated_as_the_engine_runs_them(bright: Path, people: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    wishes = ("--data", people.parent, "--conditions", "as is", "--rounds", 1, "--out", out)
    assert run("evaluate", "person_fast_256x144", "bright.onnx", *wishes) == 0
    results = Results.read(out / "results.json")
    assert [each.name for each in results.networks] == ["person_fast_256x144", "bright.onnx"] == results.own
    for each, name in zip(results.networks, ("person_fast_256x144", f"file:{bright}"), strict=True):
        found = each.sets["people"]["as is"]["person_iou"]
        assert found == pytest.approx(overlap(name, people), abs=0.01)
        assert each.ms > 0 and each.macs > 0
    assert results.networks[0].licence == "GPL-2.0-or-later"
    written = {path.name for path in out.iterdir()}
    assert {"table.md", "quality_against_time.png", "worst_person_fast_256x144.png", "worst_bright.onnx.png"} <= written


@pytest.mark.parametrize("teacher", ["mediapipe_landscape", "sinet_224", "rvm"])
def test_models_and_train_evaluate_find_the_same_person(teacher: str, shared_folder: Path, config: Path) -> None:
    known = open_teacher(teacher, shared_folder / "models")
    make_private_folder(user_models_folder())
    copy = Path(shutil.copy(known.path, user_models_folder()))
    trust.trust_file(copy)
    entry = next(each for each in load_catalog().values() if each.file == copy.name)
    picture_rgb = np.ascontiguousarray(read_picture(ROOT / "tests" / "pictures" / "astronaut.png")[:, :, ::-1])
    seen = open_networks(chosen_models([entry.id]))[entry.id].predict(picture_rgb) >= 0.5
    expected = known.predict(picture_rgb) >= 0.5
    # RVM has 256x144 pixels here, and more for a teacher.
    assert (seen & expected).sum() / (seen | expected).sum() > (0.9 if teacher == "rvm" else 0.99)


def test_mistakes_of_evaluate_are_named(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    stranger = tmp_path / "stranger.onnx"
    onnx.save(brightness_net(32, 32), stranger)
    assert run("evaluate", stranger, "--data", people.parent, "--out", tmp_path / "report") == 1
    assert "stranger.onnx" in capsys.readouterr().err
    assert run("evaluate", "person_fast_256x144", "--data", tmp_path / "no", "--out", tmp_path / "report") == 1
    assert "no folder with images/ and masks/" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


# docs/models.md


def typed(action: str) -> list[list[str]]:
    """What the page says to type, without the program."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    lines = re.findall(rf"^python3 obs_background_filter\.py models ({action}.*)$", page, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page's commands name."""
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "people", PICTURES)
    make_folder(tmp_path / "measure" / "friends", PICTURES)
    make_folder(tmp_path / "rooms", 1)
    onnx.save(brightness_net(WIDTH, HEIGHT), "mine.onnx")
    trust.trust_file(Path("mine.onnx"))
    return tmp_path


@pytest.mark.parametrize("arguments", typed("benchmark"), ids=" ".join)
def test_the_page_s_benchmarks_run(arguments: list[str], desk: Path, engine_environment: Path) -> None:
    assert run(*arguments, "--seconds", 0.02) == 0
    assert all((desk / word).exists() for word in arguments if word.startswith("figures."))


@pytest.mark.parametrize("arguments", typed("evaluate"), ids=" ".join)
def test_the_page_s_evaluations_run(arguments: list[str], desk: Path) -> None:
    assert run(*arguments, "--rounds", 1) == 0
    assert (desk / "report" / "table.md").exists()


def test_the_page_has_them() -> None:
    assert len(typed("benchmark")) == 3 and typed("evaluate")
