# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs as users start them: repeated, killed, resumed, refused; short, on synthetic pictures."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from background_filter.filters.cli.errors import CommandError
from background_filter.models import networks
from background_filter.models.training import export, loop
from background_filter.models.training.batches import Batch
from background_filter.models.training.checkpoint import read_checkpoint
from background_filter.models.training.config import read_config
from background_filter.models.training.feeding import FrameStream, frame_loader
from background_filter.models.training.loop import learning_rate_factor
from background_filter.models.training.watch import read_log
from background_filter.tests.models.training.people import make_pack, step

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "models" / "training" / "configs" / "tiny.toml"
SCRIPT = ROOT / "obs_background_filter.py"
FEW = ("run.batch=4", "run.check_every=4", "run.steps=4", "run.held_out=4")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("loop"))


def words(packed: Path, out: Path, *changes: str) -> list[str]:
    """Arguments of a run of four steps."""
    settings = (f"pack={packed}", f"out={out}", *FEW, *changes)
    return [str(TINY), *(word for setting in settings for word in ("--set", setting))]


def weights(out: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_checkpoint(out / name)["average"]
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(packed: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert step(loop, *words(packed, tmp_path / name, f"run.seed={seed}")) == 0
    # A checkpoint names all options of its network: the usual ones may change later.
    saved = read_checkpoint(tmp_path / "a" / "last.pt")["architecture"]
    assert networks.NETWORKS[saved["name"]].options.keys() <= saved["options"].keys()
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_a_run_leaves_configuration_log_curves_and_pictures(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert step(loop, *words(packed, out, "run.steps=8")) == 0
    assert read_config(out / "config.toml").run.steps == 8
    records = read_log(out)
    assert [record["step"] for record in records] == [4, 8]
    wanted = {
        "loss",
        "held_out_loss",
        "pixel_accuracy",
        "mean_iou",
        "background_iou",
        "person_iou",
        "boundary_f",
        "mad",
    }
    assert wanted <= records[0].keys()
    assert all(math.isfinite(value) for record in records for value in record.values())
    curves = EventAccumulator(str(out / "tensorboard"))
    curves.Reload()
    assert wanted <= set(curves.Tags()["scalars"])
    assert curves.Tags()["images"] == ["held-out masks"]
    shown = capsys.readouterr().out
    assert re.search(r"^step +8 .*held-out loss \d.*person IoU", shown, re.MULTILINE)
    table = shown[shown.index("on the held-out frames") :].splitlines()[:10]
    assert len({len(line) for line in table}) == 1, "the table aligns"
    assert {line[:24].strip() for line in table} >= {"mIoU", "background IoU", "boundary F", "MAD x1000"}
    assert read_checkpoint(out / "best.pt")["progress"]["best"] == max(each["person_iou"] for each in records)


def test_a_run_is_never_thrown_away_by_mistake(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert step(loop, *words(packed, out)) == 0
    before = weights(out)
    with pytest.raises(CommandError, match=r"holds a run already\. Go on with it by --resume, throw it away by --over"):
        step(loop, *words(packed, out, "run.seed=5"))
    assert same(weights(out), before)
    assert step(loop, *words(packed, out, "run.seed=5"), "--overwrite") == 0
    assert not same(weights(out), before)
    assert len(read_log(out)) == 1


def test_a_longer_run_goes_on_where_it_was(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert step(loop, *words(packed, out)) == 0
    assert step(loop, out, "--resume", "--set", "run.steps=8") == 0
    assert [record["step"] for record in read_log(out)] == [4, 8]
    assert read_checkpoint(out / "last.pt")["progress"]["step"] == 8
    with pytest.raises(CommandError, match="is a run of person_unet"):
        step(loop, out, "--resume", "--set", "network.name=unet_light", "--set", "network.options={}")


def test_a_resumed_run_sees_other_frames(packed: Path, tmp_path: Path) -> None:
    config = read_config(TINY, [f"pack={packed}"])
    first, second = (next(iter(FrameStream(config, 0, start)))[0] for start in (0, 4))
    assert not torch.equal(first, second)


def begin(arguments: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPT), "train", "--here", "run", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_for_checks(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until the run has written so many checks."""
    while len(read_log(out)) < count:
        assert process.poll() is None, "the run ended by itself"
        time.sleep(0.05)


def test_a_killed_run_goes_on_from_its_last_checkpoint(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed = begin(words(packed, out, "run.steps=100000", "run.check_every=2"))
    try:
        wait_for_checks(out, 3, killed)
    finally:
        killed.kill()
        killed.wait()
    reached = read_checkpoint(out / "last.pt")["progress"]["step"]
    assert reached >= 4
    goal = reached + 3
    assert step(loop, out, "--resume", "--set", f"run.steps={goal}") == 0
    steps = [record["step"] for record in read_log(out)]
    assert steps[-1] == goal == read_checkpoint(out / "last.pt")["progress"]["step"]
    assert steps == sorted(set(steps)), "no check is told twice"
    assert (out / "best.pt").exists()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_saves_what_there_is_also_with_workers(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stopped = begin(words(packed, out, "run.steps=100000", "run.workers=2"))
    try:
        wait_for_checks(out, 1, stopped)
        time.sleep(0.2)
        os.killpg(stopped.pid, signal.SIGINT)  # a terminal tells the workers too
        assert stopped.wait(60) == 130
    finally:
        stopped.kill()
        stopped.wait()
    assert read_checkpoint(out / "last.pt")["progress"]["step"] >= read_log(out)[-1]["step"]


def test_minutes_end_a_run(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert step(loop, *words(packed, out, "run.minutes=0.01")) == 0
    assert read_checkpoint(out / "last.pt")["progress"]["seconds"] >= 0.6


def test_minutes_of_the_processor_leave_out_what_the_run_waits_for(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_loader(*arguments: Any) -> Iterator[Batch]:
        for batch in frame_loader(*arguments):
            time.sleep(0.5)
            yield batch

    monkeypatch.setattr(loop, "frame_loader", slow_loader)
    before_s = time.process_time()
    assert step(loop, *words(packed, tmp_path / "run", "run.clock=processor")) == 0
    used_s = time.process_time() - before_s
    assert 0 < read_checkpoint(tmp_path / "run" / "last.pt")["progress"]["seconds"] <= used_s < 4 * 0.5


def test_weights_that_are_no_numbers_end_the_run_in_words(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no numbers any more at step \d+\. Try a lower learning_rate"):
        step(loop, *words(packed, tmp_path / "run", "optimiser.learning_rate=1e30", "optimiser.clip_gradient=1e30"))
    assert not (tmp_path / "run" / "last.pt").exists()


def test_fine_tuning_starts_from_the_weights_of_another_run(packed: Path, tmp_path: Path) -> None:
    assert step(loop, *words(packed, tmp_path / "first")) == 0
    files = ("--out", tmp_path / "first.onnx", "--weights", tmp_path / "half.pt")
    assert step(export, tmp_path / "first" / "best.pt", *files) == 0
    assert (tmp_path / "half.pt").stat().st_size < (tmp_path / "first" / "best.pt").stat().st_size / 5
    for name, start in (("whole", tmp_path / "first" / "best.pt"), ("half", tmp_path / "half.pt")):
        changes = (
            f"network.init_from={start}",
            "optimiser.learning_rate=1e-12",
            "run.steps=1",
            "optimiser.weight_decay=0",
        )
        assert step(loop, *words(packed, tmp_path / name, *changes)) == 0
        begun, ended = weights(tmp_path / "first", "best.pt")["head.weight"], weights(tmp_path / name)["head.weight"]
        assert torch.allclose(begun, ended, atol=1e-3)
    with pytest.raises(CommandError, match=r"init_from: .* holds another network or other options"):
        others = (f"network.init_from={tmp_path / 'half.pt'}", "network.options={channels=[16,16,16,32]}")
        step(loop, *words(packed, tmp_path / "other", *others))


def test_a_teacher_teaches(packed: Path, tmp_path: Path) -> None:
    """The student of a teacher that sees people everywhere sees more of them than without one."""
    assert step(loop, *words(packed, tmp_path / "teacher")) == 0
    state = read_checkpoint(tmp_path / "teacher" / "best.pt")
    state["average"]["head.bias"] += 50
    torch.save(state, tmp_path / "teacher.pt")
    common = ("run.steps=25", "run.check_every=25")
    assert step(loop, *words(packed, tmp_path / "alone", *common)) == 0
    taught = (*common, f"distill.teachers=['{tmp_path / 'teacher.pt'}']", "distill.weight=1")
    assert step(loop, *words(packed, tmp_path / "taught", *taught)) == 0
    accuracy = {name: read_log(tmp_path / name)[-1]["background_iou"] for name in ("alone", "taught")}
    assert accuracy["taught"] < accuracy["alone"] - 0.1
    with pytest.raises(CommandError, match="There is no teacher"):
        step(loop, *words(packed, tmp_path / "none", "distill.teachers=['nobody']"))


def test_steadiness_is_a_part_of_the_loss(packed: Path, tmp_path: Path) -> None:
    losses = []
    for name, weight in (("without", 0), ("with", 5)):
        assert step(loop, *words(packed, tmp_path / name, f"temporal.weight={weight}", "run.steps=1")) == 0
        losses.append(json.loads((tmp_path / name / "log.jsonl").read_text())["loss"])
    assert losses[1] > losses[0]


@pytest.mark.parametrize(
    ("changes", "words_of_it"),
    [
        (("network.name=unet_hevy",), r"\[network\]: unknown network 'unet_hevy'; known are person_unet, "),
        (("network.options={colour=1}",), r"\[network\]: person_unet has no option 'colour'"),
        (("network.width=100",), r"person_unet takes sides that are multiples of 16"),
        (("network.backbone_weights=x.pth",), r"person_unet has no backbone"),
        (("pack=nowhere",), r"nowhere holds no pack: make one with `train pack`"),
    ],
)
def test_what_can_not_be_trained_is_said_in_words(
    packed: Path, tmp_path: Path, changes: tuple[str, ...], words_of_it: str
) -> None:
    with pytest.raises(CommandError, match=words_of_it):
        step(loop, *words(packed, tmp_path / "run", *changes))


def test_the_rate_rises_and_falls() -> None:
    factors: list[Any] = [learning_rate_factor(part / 100, 0.1) for part in range(101)]
    assert factors[0] == 0.01
    assert factors[10] == pytest.approx(1)
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0.01)
