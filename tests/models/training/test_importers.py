# SPDX-License-Identifier: GPL-2.0-or-later
"""AISegment trees, Supervisely projects and collections become masks and manifests; what is broken is counted."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import import_aisegment, import_collection, import_supervisely, manifest
from background_filter.models.training.import_supervisely import draw
from background_filter.models.training.manifest import Row
from background_filter.models.training.pictures import Picture, read_mask, write_picture
from background_filter.tests.models.training.people import person, room, step


def add_aisegment(tree: Path, group: str, name: str, seed: int) -> Path:
    """One picture and its cut-out; gives the picture's path."""
    picture, mask = person(seed)
    path = tree / "clip_img" / group / "clip_00000000" / f"{name}.jpg"
    write_picture(path, picture)
    cut_out = tree / "matting" / group / "matting_00000000" / f"{name}.png"
    write_picture(cut_out, np.dstack([np.where(mask[:, :, None] > 0, picture, 0), mask]))
    return path


@pytest.fixture
def aisegment(tmp_path: Path) -> Path:
    """Eight groups of two pictures."""
    for group in range(8):
        for number in range(2):
            add_aisegment(tmp_path / "archive", f"18032{group}", f"18032{group}-0{number}", 2 * group + number)
    return tmp_path / "archive"


def test_aisegment_mattes_become_grey_masks(aisegment: Path, tmp_path: Path) -> None:
    assert step(import_aisegment, aisegment, "--out", tmp_path / "out", "--licence", "asked for") == 0
    rows = manifest.read(tmp_path / "out" / "manifest.csv")
    assert len(rows) == 16
    for seed, row in enumerate(rows):
        assert row.mask is not None
        assert np.array_equal(np.asarray(cv2.imread(str(row.mask), cv2.IMREAD_UNCHANGED)), person(seed)[1])
    assert {(row.set_name, row.kind, row.labels, row.licence) for row in rows} == {
        ("aisegment", "people", "people", "asked for")
    }


def test_aisegment_groups_are_not_split(aisegment: Path, tmp_path: Path) -> None:
    step(import_aisegment, aisegment, "--out", tmp_path / "out", "--val-share", "0.5")
    splits: dict[str, set[str]] = {}
    for row in manifest.read(tmp_path / "out" / "manifest.csv"):
        splits.setdefault(row.picture.parents[1].name, set()).add(row.split)
    assert sorted(map(len, splits.values())) == [1] * 8
    assert set.union(*splits.values()) == {"train", "val"}


def test_aisegment_broken_files_are_counted(
    aisegment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = aisegment / "clip_img" / "180320" / "clip_00000000"
    (clip / "._180320-00.jpg").write_bytes(b"\0\5\x16\7Mac OS X")
    (aisegment / "matting" / "180320" / "._matting_00000000").write_bytes(b"\0\5\x16\7Mac OS X")
    (aisegment / "clip_img" / "180321" / "._clip_00000000").write_bytes(b"\0\5\x16\7Mac OS X")
    whole = (clip / "180320-00.jpg").read_bytes()
    (clip / "180320-00.jpg").write_bytes(whole[: len(whole) // 2])
    (aisegment / "matting" / "180321" / "matting_00000000" / "180321-01.png").unlink()
    write_picture(aisegment / "matting" / "180322" / "matting_00000000" / "180322-00.png", person(width=32)[1])
    (aisegment / "matting" / "180323" / "matting_00000000" / "180323-00.png").write_bytes(b"")
    assert step(import_aisegment, aisegment.parent, "--out", tmp_path / "out") == 0
    names = {row.picture.stem for row in manifest.read(tmp_path / "out" / "manifest.csv")}
    assert names == {f"18032{g}-0{n}" for g in range(8) for n in range(2)} - {
        "180320-00",
        "180321-01",
        "180322-00",
        "180323-00",
    }
    warnings = capsys.readouterr().err
    assert "2 pictures left out: broken file" in warnings
    assert "1 pictures left out: no cut-out" in warnings
    assert "1 pictures left out: cut-out of another size" in warnings


def test_aisegment_goes_on_where_it_stopped(aisegment: Path, tmp_path: Path) -> None:
    step(import_aisegment, aisegment, "--out", tmp_path / "out")
    masks = sorted((tmp_path / "out" / "masks").glob("*/*.png"))
    before = (tmp_path / "out" / "manifest.csv").read_text()
    masks[3].unlink()
    marked = person(99)[1]
    write_picture(masks[4], marked)
    step(import_aisegment, aisegment, "--out", tmp_path / "out", "--workers", "2")
    assert masks[3].exists()
    assert np.array_equal(read_mask(masks[4]), marked), "what was there was made again"
    assert (tmp_path / "out" / "manifest.csv").read_text() == before


def test_aisegment_elsewhere_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no folders clip_img/ and matting/"):
        step(import_aisegment, tmp_path, "--out", tmp_path / "out")


def bitmap(mask: Picture, left: int, top: int, title: str = "person_bmp") -> dict[str, Any]:
    """An object as Supervisely stores it: a PNG of the mask, compressed once more, in base64."""
    data = cv2.imencode(".png", mask)[1].tobytes()
    text = base64.b64encode(zlib.compress(data)).decode()
    return {"classTitle": title, "geometryType": "bitmap", "bitmap": {"data": text, "origin": [left, top]}}


def polygon(exterior: list[list[float]], *interior: list[list[float]], title: str = "person_poly") -> dict[str, Any]:
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": title, "geometryType": "polygon", "points": points}


def square(left: int, top: int, right: int, bottom: int) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


PEOPLE = {"person_bmp", "person_poly"}


def drawn(*objects: dict[str, Any]) -> Picture:
    return draw({"objects": list(objects)}, PEOPLE, 40, 30)


def test_polygons_have_holes() -> None:
    mask = drawn(polygon(square(5, 5, 24, 24), square(10, 10, 14, 14)))
    expected = np.zeros((30, 40), np.uint8)
    expected[5:25, 5:25] = 255
    expected[10:15, 10:15] = 0
    assert np.array_equal(mask, expected)


def test_a_hole_does_not_cut_into_others() -> None:
    mask = drawn(polygon(square(8, 8, 16, 16)), polygon(square(5, 5, 24, 24), square(10, 10, 14, 14)))
    assert mask[12, 12] == 255


@pytest.mark.parametrize("alpha", [False, True], ids=["grey", "rgba"])
@pytest.mark.parametrize(("left", "top"), [(3, 4), (-2, -3), (36, 27), (0, 0), (60, 0), (-20, 0)])
def test_bitmaps_lie_at_their_origin(left: int, top: int, alpha: bool) -> None:
    rng = np.random.default_rng(1)
    shape = np.asarray(rng.integers(0, 2, (6, 9)) * 255, np.uint8)
    pixels = np.dstack([np.full_like(shape, 255)] * 3 + [shape]) if alpha else shape
    expected = np.zeros((30, 40), np.uint8)
    for y, x in np.argwhere(shape):
        if 0 <= y + top < 30 and 0 <= x + left < 40:
            expected[y + top, x + left] = 255
    assert np.array_equal(drawn(bitmap(pixels, left, top)), expected)


def test_other_classes_are_not_drawn() -> None:
    assert not drawn(polygon(square(5, 5, 24, 24), title="neutral")).any()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two datasets with files of the same names: one object each, one tagged, one empty, one broken."""
    folder = tmp_path / "project"
    annotations: dict[str, Any] = {
        "a.png": {"objects": [polygon(square(10, 10, 30, 40))]},
        "b.png": {"objects": [bitmap(np.full((9, 9), 255, np.uint8), 3, 3)]},
        "tagged.png": {"objects": [polygon(square(1, 1, 9, 9))], "tags": [{"name": "not-marked-people"}]},
        "empty.png": {"objects": [polygon(square(1, 1, 9, 9), title="neutral")]},
        "odd.png": {"objects": [{"classTitle": "person_bmp", "geometryType": "bitmap", "bitmap": {"data": "?"}}]},
    }
    for dataset in ("ds1", "ds2"):
        for seed, (name, annotation) in enumerate(annotations.items()):
            write_picture(folder / dataset / "img" / name, person(seed)[0])
            path = folder / dataset / "ann" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"tags": [], "size": {"width": 64, "height": 48}, **annotation}))
    titles = ("person_poly", "person_bmp", "neutral")
    (folder / "meta.json").write_text(json.dumps({"classes": [{"title": title} for title in titles]}))
    return folder


def imported(project: Path, out: Path, *more: object) -> list[Row]:
    assert step(import_supervisely, project, "--out", out, "--licence", "theirs", *more) == 0
    return manifest.read(out / "manifest.csv")


def test_supervisely_project(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = imported(project, tmp_path / "out")
    found = [row.picture.relative_to(project).as_posix() for row in rows]
    assert found == [f"{dataset}/img/{name}.png" for dataset in ("ds1", "ds2") for name in "ab"]
    assert [np.count_nonzero(read_mask(row.mask)) for row in rows if row.mask] == [21 * 31, 81] * 2
    assert len({row.mask for row in rows}) == 4
    warnings = capsys.readouterr().err
    for reason in ("tagged not-marked-people", "nobody outlined", "broken annotation"):
        assert f"2 pictures left out: {reason}" in warnings


def test_supervisely_classes_can_be_chosen(project: Path, tmp_path: Path) -> None:
    rows = imported(project, tmp_path / "out", "--classes", "neutral")
    assert [row.picture.stem for row in rows] == ["empty", "empty"]
    with pytest.raises(CommandError, match=r"no class dog\. It has person_poly, person_bmp, neutral"):
        imported(project, tmp_path / "dogs", "--classes", "dog")
    with pytest.raises(CommandError, match="was made with classes"):
        imported(project, tmp_path / "out")


def test_supervisely_unfinished_pictures_on_request(project: Path, tmp_path: Path) -> None:
    names = {row.picture.stem for row in imported(project, tmp_path / "out", "--keep-unfinished")}
    assert names == {"a", "b", "tagged"}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A collection in small, with a `dev/` that must not be read."""
    folder = tmp_path / "collection"
    sets = {"masked/ccp": 40, "people/openimages_person": 30, "people/ols": 3, "people/new": 30, "rooms/offices": 3}
    for name, count in sets.items():
        for i in range(count):
            picture, mask = person(i, 16, 16)
            write_picture(folder / "train" / name / "img" / f"{i:03}.png", picture)
            if name.startswith("masked"):
                write_picture(folder / "train" / name / "mask" / f"{i:03}.png", mask)
    offices = folder / "train" / "rooms" / "offices"
    (offices / "SOURCE.txt").write_text("Set: offices\nFrom: a house: rendered by me\nPrepared: on a machine\n")
    (offices / "LICENSE.txt").write_text("Tier: A\nLicence: CC0\nEvidence: the page\n")
    write_picture(folder / "dev" / "street" / "img" / "secret.png", room())
    write_picture(folder / "train" / "dev" / "street" / "img" / "secret.png", room())
    return folder


def collected(collection: Path, out: Path, *more: object) -> dict[str, list[Row]]:
    assert step(import_collection, collection, "--out", out, *more) == 0
    rows = manifest.read(out)
    return {name: [row for row in rows if row.set_name == name] for name in {row.set_name for row in rows}}


def test_collection(collection: Path, tmp_path: Path) -> None:
    sets = collected(collection, tmp_path / "all.csv")
    assert {name: len(rows) for name, rows in sets.items()} == {
        "ccp": 40,
        "openimages_person": 30,
        "ols": 3,
        "new": 30,
        "offices": 3,
    }
    assert all(row.mask and row.mask.stem == row.picture.stem and row.labels == "people" for row in sets["ccp"])
    assert not any(row.mask or row.labels for name in ("ols", "new", "offices") for row in sets[name])
    assert {row.kind for row in sets["offices"]} == {"room"}
    assert {(row.source, row.licence) for row in sets["offices"]} == {("a house: rendered", "CC0")}
    assert {row.licence[:10] for row in sets["ccp"]} == {"Apache-2.0"}
    assert {row.aspect for row in sets["openimages_person"]} == {1.33333}
    assert {row.aspect for row in sets["new"]} == {None}


def test_collection_keeps_some_for_validation(collection: Path, tmp_path: Path) -> None:
    sets = collected(collection, tmp_path / "all.csv")
    shares = {name: float(np.mean([row.split == "val" for row in rows])) for name, rows in sets.items()}
    assert (shares["ols"], shares["new"], shares["offices"]) == (1, 0, 0)
    assert 0 < shares["ccp"] < 0.2
    assert 0 < shares["openimages_person"] < 0.3
    other = collected(collection, tmp_path / "other.csv", "--val-sets", "new")
    assert {row.split for row in other["new"]} == {"val"}
    assert {row.split for row in other["ols"]} == {"train"}
    with pytest.raises(CommandError, match="has no set nowhere"):
        collected(collection, tmp_path / "other.csv", "--val-sets", "nowhere,new")


def test_collection_masks_must_be_there(collection: Path, tmp_path: Path) -> None:
    (collection / "train" / "masked" / "ccp" / "mask" / "007.png").unlink()
    with pytest.raises(CommandError, match=r"007\.png has no mask"):
        collected(collection, tmp_path / "all.csv")
    with pytest.raises(CommandError, match="No sets in"):
        collected(tmp_path / "nowhere", tmp_path / "all.csv")


def test_real_collection(shared_folder: Path, tmp_path: Path) -> None:
    sets = collected(shared_folder / "data", tmp_path / "all.csv")
    rows = [row for of_set in sets.values() for row in of_set]
    assert not any((shared_folder / "data" / "dev") in row.picture.parents for row in rows)
    assert all(row.licence and row.source for row in rows)
    assert not any(word in row.source + row.licence for row in rows for word in (" me", " my ", "index.jsonl"))
    assert {row.split for name in import_collection.VALIDATION_SETS for row in sets[name]} == {"val"}
