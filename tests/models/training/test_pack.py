# SPDX-License-Identifier: GPL-2.0-or-later
"""Packing: what is in the array is what was in the files, and the index says where and what."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import manifest, pack
from background_filter.models.training.manifest import Row
from background_filter.models.training.pack import Pack
from background_filter.models.training.pictures import Picture, read_picture, write_picture
from background_filter.tests.models.training.people import make_rows, person, room, step


def packed(rows: list[Row], tmp_path: Path, *more: object) -> Pack:
    manifest.write(tmp_path / "m.csv", rows)
    assert step(pack, tmp_path / "m.csv", "--out", tmp_path / "pack", *more) == 0
    return Pack(tmp_path / "pack")


def bgra(seed: int) -> Picture:
    return np.dstack(person(seed))


def add_room(folder: Path, mask: bool = False) -> Row:
    write_picture(folder / "room.png", room())
    write_picture(folder / "nobody.png", np.zeros((48, 64), np.uint8))
    return Row(folder / "room.png", folder / "nobody.png" if mask else None, "room", "rooms", "train")


@pytest.mark.parametrize("workers", [1, 3])
def test_pixels_are_those_of_the_files(tmp_path: Path, workers: int) -> None:
    found = packed(make_rows(tmp_path, 9), tmp_path, "--workers", workers)
    assert [entry.file for entry in found.entries] == [f"p{i}.png" for i in range(9)]
    for seed, entry in enumerate(found.entries):
        assert np.array_equal(found.picture(entry), bgra(seed))
    assert found.pixels.dtype == np.uint8
    assert found.pixels.shape == (9 * 48 * 64 * 4,)
    assert isinstance(found.pixels, np.memmap)


def test_index_describes_people(tmp_path: Path) -> None:
    (entry, _) = packed(make_rows(tmp_path, 2), tmp_path).entries
    rows, columns = np.nonzero(bgra(0)[:, :, 3] >= 128)
    assert entry.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert entry.cut_at_bottom
    assert (entry.kind, entry.set_name, entry.clean, entry.agreement) == ("masked", "made", True, 1.0)


def test_person_away_from_the_edge(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 1)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255
    assert rows[0].mask is not None
    write_picture(rows[0].mask, mask)
    (entry,) = packed(rows, tmp_path).entries
    assert entry.box == (20, 10, 40, 30)
    assert not entry.cut_at_bottom


@pytest.mark.parametrize(("agreement", "clean"), [(0.93, True), (0.91, False)])
def test_teachers_labels_are_clean_where_they_agree(tmp_path: Path, agreement: float, clean: bool) -> None:
    rows = [dataclasses.replace(row, labels="teachers", agreement=agreement) for row in make_rows(tmp_path, 1)]
    (entry,) = packed(rows, tmp_path).entries
    assert (entry.kind, entry.agreement, entry.clean) == ("people", agreement, clean)


def test_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = make_rows(tmp_path, 3)
    rows = [dataclasses.replace(row, split=split) for row, split in zip(rows, manifest.SPLITS, strict=True)]
    found = packed(rows, tmp_path)
    assert [(entry.file, entry.validation) for entry in found.entries] == [("p0.png", False), ("p1.png", True)]
    assert "1 left out" in capsys.readouterr().out


@pytest.mark.parametrize("mask", [False, True])
def test_rooms_are_empty(tmp_path: Path, mask: bool) -> None:
    found = packed([*make_rows(tmp_path, 1), add_room(tmp_path, mask)], tmp_path)
    entry = found.entries[1]
    assert (entry.kind, entry.clean, entry.box) == ("rooms", False, (0, 0, 0, 0))
    assert np.array_equal(found.picture(entry)[:, :, :3], room())
    assert not found.picture(entry)[:, :, 3].any()


def test_masks_of_nobody_are_left_out(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 3)
    assert rows[1].mask is not None
    write_picture(rows[1].mask, np.full((48, 64), 100, np.uint8))
    found = packed(rows, tmp_path)
    assert [entry.file for entry in found.entries] == ["p0.png", "p2.png"]
    assert np.array_equal(found.picture(found.entries[1]), bgra(2))


def test_large_and_squeezed_pictures_are_fitted(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 2)
    rows[1] = dataclasses.replace(rows[1], aspect=2.0)
    found = packed(rows, tmp_path, "--long-side", "32")
    assert [(entry.width, entry.height) for entry in found.entries] == [(32, 24), (32, 16)]
    halves = bgra(0).reshape(24, 2, 32, 2, 4).mean(axis=(1, 3))
    assert np.abs(found.picture(found.entries[0]) - halves).max() <= 0.5


def test_pictures_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"2 pictures have no mask.*p0\.png. Use `train label` first"):
        packed(make_rows(tmp_path, 2, masks=False), tmp_path)


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no picture of people to train on"):
        packed([dataclasses.replace(row, split="val") for row in make_rows(tmp_path, 1)], tmp_path)


def test_failure_leaves_the_old_pack(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, 3)
    old = packed(rows, tmp_path)
    rows[2].picture.write_bytes(b"no picture")
    with pytest.raises(CommandError, match=r"p2\.png: this is no picture"):
        packed(rows, tmp_path)
    assert Pack(tmp_path / "pack").entries == old.entries
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == ["index.json", "pixels.npy"]


def test_older_index_without_agreement(tmp_path: Path) -> None:
    rows = [dataclasses.replace(row, labels="teachers", agreement=0.95) for row in make_rows(tmp_path, 1)]
    found = packed(rows, tmp_path)
    record = dataclasses.asdict(found.entries[0])
    del record["agreement"]
    (tmp_path / "pack" / "index.json").write_text(json.dumps([record]))
    assert Pack(tmp_path / "pack").entries == [dataclasses.replace(found.entries[0], agreement=1.0)]


def test_folder_without_a_pack_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds no pack: make one with `train pack`"):
        Pack(tmp_path)


def test_real_pictures(shared_folder: Path, tmp_path: Path) -> None:
    folder = shared_folder / "data" / "train" / "masked" / "ccp"
    pictures = sorted((folder / "img").iterdir())[:2]
    rows = [
        Row(picture, folder / "mask" / f"{picture.stem}.png", "people", "ccp", "train", labels="people")
        for picture in pictures
    ]
    found = packed(rows, tmp_path)
    for picture, entry in zip(pictures, found.entries, strict=True):
        height, width = read_picture(picture).shape[:2]
        assert (entry.height, entry.width) == (576, round(576 * width / height))
        assert 0.03 < (found.picture(entry)[:, :, 3] >= 128).mean() < 0.8
