# SPDX-License-Identifier: GPL-2.0-or-later
"""Manifests: from folders, through CSV, joined; splits that never change; errors that name the line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import attribution, manifest
from background_filter.models.training.manifest import Row, group_key, split_of
from background_filter.models.training.pictures import read_mask, write_picture
from background_filter.tests.models.training.people import make_folder, make_rows, person, step

# Nothing that a CSV file or a text editor would change by itself.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)
NAME = st.text("abcdefgh0123_", min_size=1, max_size=12)


def make(folder: Path, out: Path, *more: object) -> list[Row]:
    assert step(manifest, folder, "--out", out, "--set", "mine", "--licence", "CC0", "--source", "me", *more) == 0
    return manifest.read(out)


@pytest.mark.parametrize(("pictures", "masks"), [("images", "masks"), ("img", "mask")])
def test_folders_become_rows(tmp_path: Path, pictures: str, masks: str) -> None:
    folder = make_folder(tmp_path / "set", 4)
    (folder / "images").rename(folder / pictures)
    (folder / "masks").rename(folder / masks)
    rows = make(folder, tmp_path / "lists" / "m.csv")
    assert [row.picture for row in rows] == [folder / pictures / f"p{i}.png" for i in range(4)]
    assert [row.mask for row in rows] == [folder / masks / f"p{i}.png" for i in range(4)]
    assert {(row.kind, row.set_name, row.licence, row.source, row.labels) for row in rows} == {
        ("people", "mine", "CC0", "me", "people")
    }
    assert "../set/" in (tmp_path / "lists" / "m.csv").read_text()


def test_manifest_may_move_with_its_folder(tmp_path: Path) -> None:
    make(make_folder(tmp_path / "here", 2), tmp_path / "here" / "m.csv")
    (tmp_path / "here").rename(tmp_path / "there")
    assert all(row.picture.is_relative_to(tmp_path / "there") for row in manifest.read(tmp_path / "there" / "m.csv"))


def test_rooms_need_no_masks(tmp_path: Path) -> None:
    write_picture(tmp_path / "rooms" / "r.jpg", person()[0])
    rows = make(tmp_path / "rooms", tmp_path / "m.csv", "--kind", "room")
    assert [(row.kind, row.mask, row.labels) for row in rows] == [("room", None, "")]


def test_pictures_without_masks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "set", 3)
    (folder / "masks" / "p1.png").rename(folder / "masks" / "other.png")
    rows = make(folder, tmp_path / "m.csv")
    assert [bool(row.mask) for row in rows] == [True, False, True]
    warnings = capsys.readouterr().err
    assert "1 pictures have no mask" in warnings and "p1.png" in warnings
    assert "1 masks have no picture: other.png" in warnings


def test_missing_licence_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(make_folder(tmp_path / "set", 2), tmp_path / "m.csv", "--licence", "")
    assert "2 pictures of “mine” have no licence" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "put", "says"),
    [
        ("set/images/p1.png", "set/images/gone.png", "line 3: picture: there is no file"),
        ("set/masks/p1.png", "set/masks/gone.png", "line 3: mask: there is no file"),
        (",people,mine,", ",persons,mine,", "line 2: kind is “persons”, must be people or room"),
        (",train,", ",training,", "line 2: split is “training”, must be train or val or test"),
        (",mine,", ",../mine,", "line 2: set is “../mine”"),
        ("p1.png,set", "p0.png,set", r"line 3: \S+p0.png is in line 2 already"),
        (",people,\n", ",people,wide\n", "line 2: aspect is “wide”, must be a number"),
        (",me,", ",me, and others,", "line 2: expected 9 columns"),
        ("picture,mask", "image,mask", "line 1: the columns must be picture,mask"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, found: str, put: str, says: str) -> None:
    path = tmp_path / "m.csv"
    make(make_folder(tmp_path / "set", 3), path, "--split", "train")
    text = path.read_text()
    assert found in text
    path.write_text(text.replace(found, put))
    with pytest.raises(CommandError, match=says):
        manifest.read(path)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "set", 2)
    write_picture(folder / "masks" / "p1.png", person(width=32)[1])
    with pytest.raises(CommandError, match=r"p1\.png: the mask is 32x48, its picture 64x48"):
        make(folder, tmp_path / "m.csv")
    assert not (tmp_path / "m.csv").exists()


def test_check_reads_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "set", 2)
    make(folder, tmp_path / "m.csv", "--split", "val")
    assert step(manifest, "--check", tmp_path / "m.csv") == 0
    assert re.search(r"mine +people +0 +2 +0 +2", capsys.readouterr().out)
    (folder / "images" / "p1.png").write_bytes(b"no picture")
    with pytest.raises(CommandError, match=r"p1\.png: this is no picture"):
        step(manifest, "--check", tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{}/none", "--out", "m.csv"], "There is no folder"),
        (["{}", "--out", "m.csv"], "No pictures in"),
        (["{}"], "--out"),
        (["--out", "m.csv"], "Name one of"),
        (["{}", "--set", "a/b", "--out", "m.csv"], "--set"),
        (["{}", "--group-by", "(", "--out", "m.csv"], "no regular expression"),
        (["--check", "{}/none.csv"], "can't be read"),
    ],
)
def test_wrong_calls_are_explained(tmp_path: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=re.escape(says)):
        step(manifest, *(argument.format(tmp_path) for argument in arguments))


@pytest.mark.parametrize("wrong", [("--val-share", "2"), ("--val-share", "many"), ("--val-every", "0")])
def test_wrong_numbers_are_refused(tmp_path: Path, wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        step(manifest, tmp_path, "--out", tmp_path / "m.csv", *wrong)
    assert wrong[0] in capsys.readouterr().err


def test_manifests_are_joined(tmp_path: Path) -> None:
    paths = []
    for name in ("a", "b"):
        make(make_folder(tmp_path / name, 2), tmp_path / name / "m.csv", "--set", name)
        paths.append(tmp_path / name / "m.csv")
    assert step(manifest, "--join", *paths, "--out", tmp_path / "all" / "m.csv") == 0
    joined = manifest.read(tmp_path / "all" / "m.csv")
    assert joined == [row for path in paths for row in manifest.read(path)]
    with pytest.raises(CommandError, match="2 pictures are in more than one manifest"):
        step(manifest, "--join", paths[0], *paths, "--out", tmp_path / "twice.csv")


@pytest.fixture(scope="module")
def real_files(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return make_rows(tmp_path_factory.mktemp("rows"), 1)


@given(
    licence=TEXT,
    source=TEXT,
    name=NAME,
    kind=st.sampled_from(manifest.KINDS),
    split=st.sampled_from(manifest.SPLITS),
    labels=st.sampled_from(manifest.LABELS),
    aspect=st.none() | st.floats(0.1, 10),
    agreement=st.none() | st.floats(0, 1),
)
def test_csv_keeps_what_it_is_given(
    real_files: list[Row], aspect: float, agreement: float, name: str, **texts: Any
) -> None:
    row = dataclasses.replace(real_files[0], set_name=f"s{name}", aspect=aspect, agreement=agreement, **texts)
    path = row.picture.parent / "m.csv"
    manifest.write(path, [row])
    (found,) = manifest.read(path)
    assert found.aspect == (None if aspect is None else pytest.approx(aspect, rel=1e-5))
    assert found.agreement == (None if agreement is None else pytest.approx(agreement, abs=1e-4))
    assert dataclasses.replace(found, aspect=aspect, agreement=agreement) == row


def test_columns_are_those_of_the_documentation(real_files: list[Row], tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.csv", real_files)
    head = (tmp_path / "m.csv").read_text().splitlines()[0]
    assert head == "picture,mask,kind,set,split,licence,source,labels,aspect"


def test_splits_are_the_same_for_ever() -> None:
    """These stand in people's manifests: a change would move pictures from training to validation."""
    chosen = [name for name in (f"p{i}.jpg" for i in range(60)) if split_of("mine", name) == "val"]
    assert chosen == ["p6.jpg", "p23.jpg", "p25.jpg", "p26.jpg", "p36.jpg"]
    assert [i for i in range(60) if split_of("mine", f"p{i}.jpg", val_every=20) == "val"] == [29, 40, 41, 48]


@pytest.mark.parametrize(("every", "share", "expected"), [(0, 0.2, 0.2), (10, 0.9, 0.1), (0, 0.0, 0.0), (0, 1.0, 1.0)])
def test_splits_have_their_share(every: int, share: float, expected: float) -> None:
    chosen = [split_of("set", f"{i}.jpg", every, share) == "val" for i in range(4000)]
    assert np.mean(chosen) == pytest.approx(expected, abs=0.02)


@given(st.lists(NAME, min_size=1, max_size=8), st.lists(st.integers(0, 99), min_size=2, max_size=5, unique=True))
def test_files_of_a_group_stay_together(people: list[str], shots: list[int]) -> None:
    pattern = re.compile(r"^(.+)-\d+\.jpg$")
    for who in people:
        keys = {group_key(pattern, f"{who}-{shot}.jpg") for shot in shots}
        assert keys == {who}
    assert group_key(pattern, "stray.jpg") == "stray.jpg"
    assert group_key(re.compile(r"^\d+"), "17_a.jpg") == "17"


def test_group_option_keeps_people_apart(tmp_path: Path) -> None:
    for who in range(12):
        for shot in range(3):
            write_picture(tmp_path / "set" / "images" / f"who{who}-{shot}.png", person(width=8, height=8)[0])
    rows = make(tmp_path / "set", tmp_path / "m.csv", "--group-by", r"^(who\d+)-", "--val-share", "0.4")
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.picture.stem.split("-")[0], set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "val"}


def test_names_of_outputs_never_meet(tmp_path: Path) -> None:
    rows = [Row(tmp_path / path, None, "people", "s", "train") for path in ("a/x.jpg", "b/x.jpg", "a/X.png", "a/y.jpg")]
    names = manifest.unique_names(rows)
    assert len({name.lower() for name in names}) == 4
    assert names[3] == "s/y"
    assert manifest.unique_names(rows) == names


def test_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    manifest.claim_folder(tmp_path, {"long_side": 576, "names": ("a",)})
    manifest.claim_folder(tmp_path, {"long_side": 576, "names": ["a"]})
    with pytest.raises(CommandError, match="long_side 576, now it is 448"):
        manifest.claim_folder(tmp_path, {"long_side": 448, "names": ["a"]})


def test_masks_in_all_their_forms(tmp_path: Path) -> None:
    picture, mask = person()
    forms = {
        "grey.png": mask,
        "alpha.png": np.dstack([picture, mask]),
        "grey_in_colour.png": np.dstack([mask] * 3),
        "opaque.png": np.dstack([mask] * 3 + [np.full_like(mask, 255)]),
        "deep.png": mask.astype(np.uint16) * 257,
    }
    for name, pixels in forms.items():
        cv2.imwrite(str(tmp_path / name), np.asarray(pixels))
        assert np.array_equal(read_mask(tmp_path / name), mask), name
    write_picture(tmp_path / "bits.png", np.asarray(mask > 127, np.uint8))
    assert np.array_equal(read_mask(tmp_path / "bits.png"), np.where(mask > 127, 255, 0))


def test_attribution_lists_what_was_used(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 4)
    rows[1] = dataclasses.replace(rows[1], set_name="other", labels="teachers", licence="", split="val")
    rows[2] = dataclasses.replace(rows[2], set_name="unused")
    rows[3] = dataclasses.replace(rows[3], set_name="measured", split="test")
    manifest.write(tmp_path / "m.csv", rows)
    assert step(attribution, tmp_path / "m.csv", "--out", tmp_path / "A.md", "--leave-out", "unused") == 0
    text = (tmp_path / "A.md").read_text()
    made = "## made (1 pictures)\n\n- Source: made by a test\n- Licence: CC0\n- Masks: made by people\n"
    other = "## other (1 pictures)\n\n- Source: made by a test\n- Licence: not declared\n- Masks: made by networks\n"
    assert text.endswith(f"{made}\n{other}")
    with pytest.raises(CommandError, match="has no set nowhere"):
        step(attribution, tmp_path / "m.csv", "--out", tmp_path / "A.md", "--leave-out", "nowhere")
