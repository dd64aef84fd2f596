# SPDX-License-Identifier: GPL-2.0-or-later
"""Resizing: upright, in the true aspect, soft masks soft, copies where nothing changes, going on after a stop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import manifest, resize
from background_filter.models.training.manifest import Row
from background_filter.models.training.pictures import read_mask, read_picture, write_picture
from background_filter.tests.models.training.people import person, step


def add(folder: Path, name: str, width: int, height: int, mask: bool = True) -> Row:
    pixels, alpha = person(1, width, height)
    write_picture(folder / "images" / name, pixels)
    mask_path = folder / "masks" / f"{Path(name).stem}.png"
    if mask:
        write_picture(mask_path, alpha)
    picture = folder / "images" / name
    return Row(picture, mask_path if mask else None, "people", "made", "val", "CC0", "a test", "people")


def resized(rows: list[Row], tmp_path: Path, *more: object) -> list[Row]:
    manifest.write(tmp_path / "m.csv", rows)
    assert step(resize, tmp_path / "m.csv", "--out", tmp_path / "small", "--long-side", "64", *more) == 0
    return manifest.read(tmp_path / "small" / "manifest.csv")


def test_large_pictures_shrink_with_their_soft_masks(tmp_path: Path) -> None:
    row = add(tmp_path, "wide.png", 256, 128)
    (small,) = resized([row], tmp_path)
    assert small.mask is not None and row.mask is not None
    picture, mask = read_picture(small.picture), read_mask(small.mask)
    assert picture.shape == (32, 64, 3)
    # 4x4 pixels become one: the area filter is their mean.
    means = read_mask(row.mask).reshape(32, 4, 64, 4).mean(axis=(1, 3))
    assert np.abs(mask - means).max() <= 0.5
    assert len(np.unique(mask)) > 10
    assert np.abs(picture - read_picture(row.picture).reshape(32, 4, 64, 4, 3).mean(axis=(1, 3))).max() <= 0.5
    assert dataclasses.replace(small, picture=row.picture, mask=row.mask) == row


def test_small_pictures_are_copied(tmp_path: Path) -> None:
    rows = [add(tmp_path, "a.jpg", 64, 40), add(tmp_path, "b.png", 30, 20, mask=False)]
    small = resized(rows, tmp_path)
    assert [row.picture.read_bytes() for row in small] == [row.picture.read_bytes() for row in rows]
    assert small[1].mask is None


def test_squeezed_pictures_get_their_aspect(tmp_path: Path) -> None:
    row = dataclasses.replace(add(tmp_path, "square.png", 60, 60), aspect=4 / 3)
    (small,) = resized([row], tmp_path)
    assert small.mask is not None
    assert read_picture(small.picture).shape == (48, 64, 3)
    assert read_mask(small.mask).shape == (48, 64)
    assert small.aspect is None


def test_turned_pictures_stand_upright(tmp_path: Path) -> None:
    row = add(tmp_path, "turned.jpg", 40, 60)
    upright = Image.open(row.picture)
    exif = Image.Exif()
    exif[0x0112] = 6  # seen turned by 90 degrees to the right
    upright.transpose(Image.Transpose.ROTATE_90).save(row.picture, exif=exif, quality=95)
    assert Image.open(row.picture).size == (60, 40)
    (small,) = resized([row], tmp_path)
    assert Image.open(small.picture).size == (40, 60)
    assert Image.open(small.picture).getexif().get(0x0112, 1) == 1
    assert np.abs(read_picture(small.picture).astype(int) - person(1, 40, 60)[0]).mean() < 4


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rows = [add(tmp_path, f"{i}.png", 100 + i, 80) for i in range(4)]
    small = resized(rows, tmp_path)
    whole = {row.picture: row.picture.read_bytes() for row in small}
    small[1].picture.unlink()
    marked = person(9, 64, 51)[0]
    write_picture(small[2].picture, marked)
    assert resized(rows, tmp_path, "--workers", "2") == small
    assert small[1].picture.read_bytes() == whole[small[1].picture]
    assert np.array_equal(read_picture(small[2].picture), marked), "what was there was made again"


def test_other_size_needs_another_folder(tmp_path: Path) -> None:
    resized([add(tmp_path, "a.png", 100, 80)], tmp_path)
    with pytest.raises(CommandError, match="long_side 64, now it is 48"):
        resized([add(tmp_path, "a.png", 100, 80)], tmp_path, "--long-side", "48")


def test_what_is_broken_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [add(tmp_path, f"{i}.jpg", 100, 80) for i in range(4)]
    whole = rows[1].picture.read_bytes()
    rows[1].picture.write_bytes(whole[: len(whole) // 2])
    write_picture(tmp_path / "masks" / "2.png", person(0, 50, 50)[1])
    assert [row.picture.stem for row in resized(rows, tmp_path)] == ["0", "3"]
    warnings = capsys.readouterr().err
    assert "1.jpg: the file is cut off" in warnings
    assert "2.png: the mask is 50x50, the picture is 100x80" in warnings


def test_same_names_in_two_folders(tmp_path: Path) -> None:
    rows = [add(tmp_path / "a", "x.png", 100, 80), add(tmp_path / "b", "x.png", 80, 100)]
    small = resized(rows, tmp_path)
    assert [read_picture(row.picture).shape[:2] for row in small] == [(51, 64), (64, 51)]
