# SPDX-License-Identifier: GPL-2.0-or-later
"""Two tiny networks compared: trained alike, exported, measured, told; stopped and given again."""

import re
from pathlib import Path

import onnx
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import architectures
from background_filter.models.training.config import read_config
from background_filter.models.training.pictures import write_picture
from background_filter.models.training.watch import read_log
from background_filter.tests.models.training.people import make_pack, person, step

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "models" / "training" / "configs" / "tiny.toml"
SECOND = ("channels = [16, 16, 16, 16]", "channels = [16, 32, 32, 32]")  # another network of the same kind
OTHER_BATCH = ("batch = 8", "batch = 2")
OTHER_FRAMES = ("grid = 0.0", "grid = 0.5")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two configurations, a pack, and a set to measure on."""
    folder = tmp_path_factory.mktemp("architectures")
    make_pack(folder)
    for i in range(1000, 1003):
        for kind, pixels in zip(("images", "masks"), person(i), strict=True):
            write_picture(folder / "sets" / "unseen" / kind / f"p{i}.png", pixels)
    text = TINY.read_text(encoding="utf-8")
    (folder / "first.toml").write_text(text, encoding="utf-8")
    for old, new in (SECOND, OTHER_BATCH, OTHER_FRAMES):
        assert old in text
        text = text.replace(old, new)
    (folder / "second.toml").write_text(f"{text}\n[distill]\nteachers = ['nobody']\n", encoding="utf-8")
    return folder


def words(prepared: Path, out: Path, *more: object) -> list[object]:
    """Arguments for a comparison of both."""
    data = ("--pack", prepared / "pack", "--data", prepared / "sets", "--conditions", "as is", "--rounds", 2)
    both = (prepared / "first.toml", prepared / "second.toml")
    return [*both, *data, "--out", out, "--size", "64x48", "--batch", 4, *more]


def cells(table: str) -> dict[str, list[str]]:
    """The table's rows by network."""
    rows = (line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|"))
    return {name: row for name, *row in rows}


def test_all_train_alike_and_stand_in_one_table(prepared: Path, tmp_path: Path, started: list[list[str]]) -> None:
    out = tmp_path / "out"
    assert step(architectures, *words(prepared, out, "--minutes", 0.02, "--set", "frames.empty=0.2")) == 0
    configs = [read_config(out / name / "config.toml") for name in ("first", "second")]
    assert configs[0].frames == configs[1].frames
    assert configs[0].distill == configs[1].distill
    assert configs[0].frames.empty == 0.2
    assert configs[0].run == configs[1].run
    assert (configs[0].run.clock, configs[0].run.batch) == ("processor", 4)

    table = cells((out / "table.md").read_text())
    assert list(table) == ["network", "---", "first", "second"]
    assert table["network"][:3] == ["million weights", "steps", "frames seen"]
    assert table["network"][-1] == "unseen IoU / mIoU / F / MAD"
    for name in ("first", "second"):
        (record,) = read_log(out / name)
        assert table[name][1:3] == [f"{record['step']}", f"{4 * record['step']}"]
        assert record["seconds"] >= 0.02 * 60
        assert len(re.findall(r"\d\.\d", table[name][-1])) == 4
    assert float(table["second"][4]) > float(table["first"][4]), "more channels multiply more"
    assert (out / "architectures.png").stat().st_size > 1000
    exported = onnx.load(out / "first" / "first.onnx")
    assert not any("QuantizeLinear" in node.op_type for node in exported.graph.node)

    # Again: nothing is done twice. For longer: both go on.
    written = {path: path.stat().st_mtime_ns for path in (out / "first" / "last.pt", out / "first" / "first.onnx")}
    assert step(architectures, *words(prepared, out, "--minutes", 0.02, "--set", "frames.empty=0.2")) == 0
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert step(architectures, *words(prepared, out, "--minutes", 0.03)) == 0
    assert ["--resume" in command for command in started] == [False, False, True, True, True, True]
    before, after = read_log(out / "second")
    assert after["step"] > before["step"]
    assert cells((out / "table.md").read_text())["second"][1] == f"{after['step']}"


def test_what_is_missing_is_said_before_anything_trains(
    prepared: Path, tmp_path: Path, started: list[list[str]]
) -> None:
    twice = [prepared / "first.toml", *words(prepared, tmp_path)]
    with pytest.raises(CommandError, match="the same name"):
        step(architectures, *twice)
    for more, said in (
        (("--data", tmp_path / "nothing"), "has no folder with images"),
        (("--rooms", tmp_path / "nothing"), "there are no pictures in"),
        (("--pack", tmp_path / "nothing"), "holds no pack"),
        (("--teachers-from", tmp_path / "nothing"), "there is no folder"),
    ):
        with pytest.raises(CommandError, match=said):
            step(architectures, *words(prepared, tmp_path, *more))
    assert started == []


def test_the_usual_ones_are_those_of_the_papers_and_ours() -> None:
    named = [read_config(architectures.CONFIGS / f"{name}.toml").network.name for name in architectures.USUAL]
    assert len(set(named)) == len(named) == 9
    assert not set(named) & {"modnet", "sinet", "extremec3"}
