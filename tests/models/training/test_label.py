# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels by teachers: the rule, the networks behind it, and a run that may be killed at any moment."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import label, manifest, teachers
from background_filter.models.training.label import Decision, Labeller, Rule, decide_person, decide_room
from background_filter.models.training.manifest import Row
from background_filter.models.training.pictures import Alpha, Picture, read_mask, read_picture, write_picture
from background_filter.models.training.teachers import Teacher, describe, open_teacher
from background_filter.tests.models.training.people import (
    bright_teacher,
    make_rows,
    matting_teacher,
    person,
    room,
    step,
)

RULE = Rule()
PICTURES = Path(__file__).resolve().parents[2] / "pictures"


def columns(count: int, value: float = 1.0, width: int = 100) -> Alpha:
    """An alpha, 10 rows high, whose first columns have the value."""
    alpha = np.zeros((10, width), np.float32)
    alpha[:, :count] = value
    return alpha


def test_label_is_the_weighted_mean_with_more_contrast() -> None:
    matting, near, far = columns(50, 0.9), columns(50, 0.6), columns(30, 0.8)
    decision = decide_person(matting, matting, [near, far], RULE)
    assert decision.mask is not None and decision.reason == ""
    mean = (1.5 * 0.9 + 0.75 * 0.6) / 2.25  # the far one agrees (.6) but does not join
    assert set(np.unique(decision.mask)) == {0, round(255 * ((mean - 0.5) * 1.3 + 0.5))}
    assert decision.agreement == 1.0


def test_all_who_agree_well_are_mixed() -> None:
    matting, others = columns(50, 0.7), [columns(50, 0.6), columns(52, 0.55)]
    decision = decide_person(matting, matting, others, RULE)
    assert decision.mask is not None
    mean = (1.5 * 0.7 + 0.75 * 0.6 + 0.75 * 0.55) / 3
    assert decision.mask[0, 0] == round(255 * ((mean - 0.5) * 1.3 + 0.5))
    assert decision.mask[0, 51] == round(255 * ((0.75 * 0.55 / 3 - 0.5) * 1.3 + 0.5))
    assert decision.mask[0, 52] == 0


def test_matting_alone_where_nobody_joins() -> None:
    matting = columns(50, 0.8)
    decision = decide_person(matting, matting, [columns(30)], RULE)
    assert decision.mask is not None
    assert decision.mask[0, 0] == round(255 * 0.89)
    assert decision.agreement == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("first", "last", "others", "reason"),
    [
        (100, 86, [86], ""),
        (100, 84, [84], "the first teacher is unsteady: IoU 0.840"),
        (2, 2, [2], ""),
        (1, 1, [1], "too little person: 1.00%"),
        (0, 0, [0], "too little person: 0.00%"),
        (50, 50, [25, 0], ""),
        (50, 50, [24, 0], "no other teacher agrees: IoU 0.480"),
        (50, 50, [0, 49], ""),
    ],
)
def test_who_is_dropped(first: int, last: int, others: list[int], reason: str) -> None:
    decision = decide_person(columns(first), columns(last), [columns(count) for count in others], RULE)
    assert decision.reason == reason
    assert (decision.mask is None) == bool(reason)


@pytest.mark.parametrize(
    ("shares", "kept"), [([0, 0, 0], True), ([90, 1, 0], True), ([2, 2, 0], False), ([0, 2, 90], False)]
)
def test_rooms_are_dropped_when_two_see_somebody(shares: list[int], kept: bool) -> None:
    decision = decide_room([columns(count) for count in shares], RULE)
    assert (decision.mask is not None) == kept
    assert decision.mask is None or not decision.mask.any()


def test_rule_is_what_the_documentation_says() -> None:
    assert dataclasses.asdict(RULE) == {
        "steady": 0.85,
        "smallest_person": 0.02,
        "agree": 0.5,
        "join": 0.9,
        "matting_weight": 1.5,
        "other_weight": 0.75,
        "contrast": 1.3,
        "room_person": 0.01,
    }


def truth_iou(alpha: Alpha, mask: Picture) -> float:
    seen, truth = alpha >= 0.5, mask >= 128
    return float((seen & truth).sum() / (seen | truth).sum())


def as_alpha(mask: Picture) -> Alpha:
    return np.asarray(mask / 255, np.float32)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", ["logits", "probability", "softmax_logits"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (160, 90)])
def test_described_networks_see_the_person(tmp_path: Path, kind: str, layout: str, width: int, height: int) -> None:
    picture, mask = person(3, width, height)
    alpha = bright_teacher(tmp_path, kind, layout).predict(np.ascontiguousarray(picture[:, :, ::-1]))
    assert alpha.shape == mask.shape and alpha.dtype == np.float32
    assert alpha.min() >= 0 and alpha.max() <= 1
    assert truth_iou(alpha, mask) > 0.9


def test_channels_mean_and_scale_are_used(tmp_path: Path) -> None:
    teacher = bright_teacher(tmp_path)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:] = (10, 20, 30)
    spec = dataclasses.replace(
        teacher.description.input, channels="BGR", scale=0.5, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0)
    )
    teacher.description = dataclasses.replace(teacher.description, input=spec)
    assert teacher.prepare(picture)[0, :, 0, 0] == pytest.approx([14, 4, 0.5])


@pytest.mark.parametrize(
    ("width", "height", "size"), [(200, 100, (64, 32)), (20, 10, (32, 16)), (50, 44, (48, 48)), (300, 10, (64, 16))]
)
def test_networks_of_any_size_get_multiples(tmp_path: Path, width: int, height: int, size: tuple[int, int]) -> None:
    teacher = matting_teacher(tmp_path)
    assert teacher.input_size(width, height) == size
    assert teacher.predict(np.zeros((height, width, 3), np.uint8)).shape == (height, width)


def test_memory_goes_from_look_to_look(tmp_path: Path) -> None:
    picture = np.ascontiguousarray(person()[0][:, :, ::-1])
    first, last = matting_teacher(tmp_path).first_and_last(picture)
    assert np.array_equal(first, last)
    first, last = matting_teacher(tmp_path, drift=-30).first_and_last(picture)
    assert (first >= 0.5).mean() > 0.2
    assert not (last >= 0.5).any()


def test_wrong_network_is_explained(tmp_path: Path) -> None:
    teacher = bright_teacher(tmp_path)
    path = tmp_path / teacher.description.file
    with pytest.raises(CommandError, match=r"has no tensor pha, r1i:0.*: it is not the expected network"):
        Teacher(path, describe("rvm"))
    path.write_bytes(b"no network")
    with pytest.raises(CommandError, match="can't be opened as an ONNX model"):
        Teacher(path, teacher.description)
    with pytest.raises(CommandError, match=r"no teacher “nobody”\. Known are rvm, bisenetv2_coco, "):
        open_teacher("nobody", tmp_path)
    with pytest.raises(CommandError, match="Name the folder that holds it, with --models"):
        open_teacher("rvm", tmp_path)


def test_models_of_the_catalogue_are_teachers(tmp_path: Path) -> None:
    picture = read_picture(PICTURES / "astronaut.png")
    alpha = open_teacher("person_fast_256x144", tmp_path).predict(np.ascontiguousarray(picture[:, :, ::-1]))
    assert truth_iou(alpha, read_mask(PICTURES / "astronaut_mask.png")) > 0.7


@pytest.fixture
def tiny_teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models with three tiny teachers, known by their names."""
    folder = tmp_path / "models"
    known = {
        "tiny_matting": matting_teacher(folder),
        "tiny_bright": bright_teacher(folder),
        "tiny_logits": bright_teacher(folder, "logits", "NHWC"),
        "tiny_unsteady": matting_teacher(folder, drift=-30),
        "tiny_everything": matting_teacher(folder, bias=100),
    }
    descriptions = {name: teacher.description for name, teacher in known.items()}
    monkeypatch.setattr(teachers, "known_teachers", lambda: descriptions)
    return folder


REAL_TEACHERS = [
    "rvm", "rvm_mobilenetv3_tf", "mediapipe_general", "mediapipe_landscape", "sinet_320", "sinet_224", "extremec3",
    "portrait_mnv3", "prisma", "deeplab_aiseg", "deeplabv3", "bodypix",
]  # fmt: skip
TINY = ("--teacher", "tiny_matting", "--teacher", "tiny_bright", "--teacher", "tiny_logits")
TINY_FOR_ROOMS = ("--room-teacher", "tiny_matting", "--room-teacher", "tiny_bright")


def labelled(rows: list[Row], tmp_path: Path, models: Path, *more: object, out: str = "out") -> list[Row]:
    manifest.write(tmp_path / "m.csv", rows)
    arguments = (*(() if "--teacher" in more else TINY), *(() if "--room-teacher" in more else TINY_FOR_ROOMS), *more)
    assert step(label, tmp_path / "m.csv", "--models", models, "--out", tmp_path / out, *arguments) == 0
    return manifest.read(tmp_path / out / "manifest.csv")


def reasons(folder: Path) -> dict[str, str]:
    with (folder / "dropped.csv").open(newline="", encoding="utf-8") as file:
        return {Path(row["picture"]).stem: row["reason"] for row in csv.DictReader(file)}


def test_pictures_are_labelled(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 3, masks=False)
    found = labelled(rows, tmp_path, tiny_teachers)
    for seed, (row, before) in enumerate(zip(found, rows, strict=True)):
        assert row.mask == tmp_path / "out" / "masks" / "made" / f"p{seed}.png"
        mask = np.asarray(cv2.imread(str(row.mask), cv2.IMREAD_UNCHANGED), np.uint8)
        assert mask.shape == (48, 64)
        assert truth_iou(as_alpha(mask), person(seed)[1]) > 0.9
        assert len(np.unique(mask)) > 5
        assert row.agreement is not None and row.agreement > 0.9
        assert dataclasses.replace(row, mask=None, labels="", agreement=None) == before
        assert row.labels == "teachers"
    assert reasons(tmp_path / "out") == {}


def test_masks_by_people_are_kept(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 2)
    rows[1] = dataclasses.replace(rows[1], mask=None, labels="")
    found = labelled(rows, tmp_path, tiny_teachers)
    assert found[0] == rows[0]
    assert [row.labels for row in found] == ["people", "teachers"]


def test_dropped_pictures_are_listed(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 4, masks=False)
    write_picture(rows[1].picture, room())
    rows[2].picture.write_bytes(b"no picture")
    write_picture(tmp_path / "r.png", room(1))
    write_picture(tmp_path / "somebody.png", person(5)[0])
    rows += [Row(tmp_path / f"{name}.png", None, "room", "rooms", "train", "CC0") for name in ("r", "somebody")]
    found = labelled(rows, tmp_path, tiny_teachers)
    assert [row.picture.stem for row in found] == ["p0", "p3", "r"]
    assert found[2].labels == "room" and found[2].mask is not None
    assert not read_mask(found[2].mask).any()
    why = reasons(tmp_path / "out")
    assert why["p1"].startswith("too little person: 0.00%")
    assert why["p2"].startswith("unreadable: ")
    assert why["somebody"].startswith("two teachers see somebody")


@pytest.mark.parametrize(
    ("matting", "other", "reason"),
    [
        ("tiny_unsteady", "tiny_bright", "the first teacher is unsteady"),
        ("tiny_everything", "tiny_bright", "no other teacher agrees"),
    ],
)
def test_nothing_kept_is_said(tmp_path: Path, tiny_teachers: Path, matting: str, other: str, reason: str) -> None:
    rows = make_rows(tmp_path, 1, masks=False)
    with pytest.raises(CommandError, match=r"No picture was kept, see .*dropped\.csv"):
        labelled(rows, tmp_path, tiny_teachers, "--teacher", matting, "--teacher", other)
    assert reasons(tmp_path / "out")["p0"].startswith(reason)


def test_room_teachers_are_asked_for_rooms(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 1, masks=False)
    write_picture(tmp_path / "r.png", room(1))
    rows.append(Row(tmp_path / "r.png", None, "room", "rooms", "train", "CC0"))
    sees_all = ("--room-teacher", "tiny_everything", "--room-teacher", "tiny_matting")
    assert len(labelled(rows, tmp_path, tiny_teachers, *sees_all)) == 2
    with pytest.raises(CommandError, match="was made with room_teachers"):
        labelled(rows, tmp_path, tiny_teachers)


def test_one_teacher_is_not_enough(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 1, masks=False)
    for names in (["tiny_matting"], ["tiny_matting", "tiny_matting"]):
        options = [part for name in names for part in ("--teacher", name)]
        with pytest.raises(CommandError, match="One teacher alone can't agree"):
            labelled(rows, tmp_path, tiny_teachers, *options)


def test_squeezed_pictures_get_masks_of_their_file(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = [dataclasses.replace(make_rows(tmp_path, 1, masks=False)[0], aspect=2.0)]
    (row,) = labelled(rows, tmp_path, tiny_teachers, "--long-side", "32")
    assert row.mask is not None
    assert read_mask(row.mask).shape == (48, 64)
    assert truth_iou(as_alpha(read_mask(row.mask)), person(0)[1]) > 0.85


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class KilledError(Exception):
    """What a test does to a run."""


def killed_after(count: int) -> Callable[[Labeller, Row], Decision]:
    """A `Labeller.decide` that works `count` times."""
    decide, calls = Labeller.decide, []

    def dying(self: Labeller, row: Row) -> Decision:
        calls.append(row)
        if len(calls) > count:
            raise KilledError
        return decide(self, row)

    return dying


@pytest.mark.parametrize("torn", [b"", b'{"name": "made/p', b'{"name": "made/p2", "reason": "to'])
def test_killed_run_goes_on(tmp_path: Path, tiny_teachers: Path, monkeypatch: pytest.MonkeyPatch, torn: bytes) -> None:
    rows = make_rows(tmp_path, 6, masks=False)
    write_picture(rows[1].picture, room())
    labelled(rows, tmp_path, tiny_teachers, out="whole")
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Labeller, "decide", killed_after(3))
        labelled(rows, tmp_path, tiny_teachers)
    journal = tmp_path / "out" / "journal.jsonl"
    assert 0 < len(journal.read_bytes().splitlines()) < 6
    with journal.open("ab") as file:
        file.write(torn)
    labelled(rows, tmp_path, tiny_teachers)
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")


def test_finished_run_labels_nothing_again(
    tmp_path: Path, tiny_teachers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(tmp_path, 4, masks=False)
    write_picture(rows[1].picture, room())
    before = labelled(rows, tmp_path, tiny_teachers)
    assert before[2].mask is not None
    before[2].mask.unlink()
    monkeypatch.setattr(Labeller, "decide", killed_after(1))
    assert labelled(rows, tmp_path, tiny_teachers) == before


def test_workers_change_nothing(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 7, masks=False)
    labelled(rows, tmp_path, tiny_teachers, out="one")
    labelled(rows, tmp_path, tiny_teachers, "--workers", "3", out="three")
    assert files_below(tmp_path / "three") == files_below(tmp_path / "one")


def test_other_settings_need_another_folder(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 1, masks=False)
    labelled(rows, tmp_path, tiny_teachers)
    with pytest.raises(CommandError, match=r"was made with join 0\.9, now it is 0\.8"):
        labelled(rows, tmp_path, tiny_teachers, "--join", "0.8")


def test_other_manifest_needs_another_folder(tmp_path: Path, tiny_teachers: Path) -> None:
    labelled(make_rows(tmp_path, 1, masks=False), tmp_path, tiny_teachers)
    (tmp_path / "other").mkdir()
    rows = make_rows(tmp_path / "other", 1, masks=False)
    with pytest.raises(CommandError, match="was made with manifest"):
        labelled(rows, tmp_path / "other", tiny_teachers, out="../out")


def test_damaged_journal_is_explained(tmp_path: Path, tiny_teachers: Path) -> None:
    rows = make_rows(tmp_path, 1, masks=False)
    labelled(rows, tmp_path, tiny_teachers)
    (tmp_path / "out" / "journal.jsonl").write_bytes(b"no JSON\n")
    with pytest.raises(CommandError, match=r"journal\.jsonl is damaged\. Delete it"):
        labelled(rows, tmp_path, tiny_teachers)


def test_sheets_show_labels(tmp_path: Path, tiny_teachers: Path) -> None:
    labelled(make_rows(tmp_path, 4, masks=False), tmp_path, tiny_teachers, "--sheet", "4")
    for name in ("sheet-random.jpg", "sheet-least-agreed.jpg"):
        sheet = read_picture(tmp_path / "out" / name)
        # Two rows of three tiles; the background of what is cut out is green.
        assert sheet.shape == (448, 1344, 3)
        green = (sheet[:, :, 1].astype(int) - sheet[:, :, 2]) > 100
        assert green[:, :224].mean() < 0.01 < 0.2 < green[56:168, 224:448].mean()


@pytest.mark.parametrize("name", REAL_TEACHERS)
def test_real_teachers_find_the_astronaut(shared_folder: Path, name: str) -> None:
    picture = read_picture(PICTURES / "astronaut.png")
    alpha = open_teacher(name, shared_folder / "models").predict(np.ascontiguousarray(picture[:, :, ::-1]))
    helmet = read_mask(PICTURES / "astronaut_helmet.png") > 127  # opinions differ
    alpha[helmet] = 0
    truth = np.where(helmet, 0, read_mask(PICTURES / "astronaut_mask.png"))
    assert truth_iou(alpha, np.asarray(truth, np.uint8)) > 0.85


def test_real_pictures_and_teachers(shared_folder: Path, tmp_path: Path) -> None:
    train = shared_folder / "data" / "train"
    rows = []
    for kind, name, number in (("people", "uk_mps", 0), ("rooms", "hdri_bg", 0)):
        picture = sorted((train / kind / name / "img").iterdir())[number]
        rows.append(Row(picture, None, "room" if kind == "rooms" else kind, name, "train", "see there"))
    manifest.write(tmp_path / "m.csv", rows)
    assert step(label, tmp_path / "m.csv", "--models", shared_folder / "models", "--out", tmp_path / "out") == 0
    people, nobody = manifest.read(tmp_path / "out" / "manifest.csv")
    assert people.mask is not None and nobody.mask is not None
    assert people.agreement is not None and people.agreement > 0.9
    assert 0.2 < (read_mask(people.mask) >= 128).mean() < 0.9
    assert not read_mask(nobody.mask).any()
