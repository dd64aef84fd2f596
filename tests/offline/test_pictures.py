# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``image`` on real files of all kinds."""

from __future__ import annotations

import dataclasses
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from background_filter.filters.cli import docs_without_obs
from background_filter.filters.cli.bench_attention import standing
from background_filter.filters.cli.bench_picture_clip import drawn_room, portrait
from background_filter.filters.cli.bench_picture_metrics import intersection_over_union
from background_filter.filters.engine.network import Network
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.person import PersonFinder
from background_filter.filters.offline.pictures import THUMBNAIL_PX
from background_filter.tests.offline.clips import PORTRAIT, Picture, portrait_rgb
from background_filter.tests.offline.conftest import Command

ORIENTATION = 0x0112


def read(path: Path) -> Picture:
    """As stored: grey, or RGB, or RGBA."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return np.asarray(picture)


def expected_alpha(network: Network) -> Picture:
    return PersonFinder(network, DEFAULTS).alpha(portrait_rgb(), 0)


def test_a_picture_becomes_a_person_on_nothing(command: Command, network: Network, tmp_path: Path) -> None:
    assert command("image", PORTRAIT, tmp_path / "out.png") == 0
    rgba, alpha = read(tmp_path / "out.png"), expected_alpha(network)
    assert (rgba[:, :, 3] == alpha).all()
    assert (rgba[alpha > 0][:, :3] == portrait_rgb()[alpha > 0]).all()
    assert (rgba[alpha == 0] == 0).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_settings_are_options(command: Command, network: Network, tmp_path: Path) -> None:
    assert command("image", PORTRAIT, tmp_path / "mask.png", "--mask") == 0
    assert (read(tmp_path / "mask.png") == expected_alpha(network)).all()
    assert command("image", PORTRAIT, tmp_path / "grown.png", "--mask", "--grow-px", 20, "--no-sharp-edges") == 0
    assert (read(tmp_path / "grown.png") > 127).mean() > (expected_alpha(network) > 127).mean() * 1.03


@pytest.mark.parametrize("background, name", [("#00b140", "a.png"), ("blur", "b.jpg"), (str(PORTRAIT), "c.webp")])
def test_backgrounds(command: Command, network: Network, tmp_path: Path, background: str, name: str) -> None:
    assert command("image", PORTRAIT, tmp_path / name, "--background", background) == 0
    shown, alpha = read(tmp_path / name).astype(int), expected_alpha(network)
    assert shown.shape == (*alpha.shape, 3)
    person = cv2.erode(alpha, np.ones((9, 9))) == 255
    assert np.abs(shown[person] - portrait_rgb()[person]).mean() < 3
    if background.startswith("#"):
        assert (shown[alpha == 0] == (0x00, 0xB1, 0x40)).all()
    if background == "blur":
        room, grey = cv2.dilate(alpha, np.ones((9, 9))) == 0, cv2.cvtColor(portrait_rgb(), cv2.COLOR_RGB2GRAY)
        sharp, soft = (cv2.Laplacian(each, cv2.CV_32F)[room].std() for each in (grey, shown.mean(2).astype(np.uint8)))
        assert soft < 0.2 * sharp


def test_exif_turns_the_picture_and_the_mask_with_it(command: Command, network: Network, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise
    lying = Image.fromarray(np.rot90(portrait_rgb()))
    lying.save(tmp_path / "lying.jpg", exif=exif, quality=97)
    assert command("image", tmp_path / "lying.jpg", tmp_path / "out.png") == 0
    rgba, alpha = read(tmp_path / "out.png"), expected_alpha(network)
    assert rgba.shape == (512, 512, 4)
    assert ((rgba[:, :, 3] > 127) == (alpha > 127)).mean() > 0.97
    assert np.abs(rgba[alpha == 255][:, :3].astype(int) - portrait_rgb()[alpha == 255]).mean() < 5


def test_sixteen_bits_stay_sixteen(command: Command, network: Network, tmp_path: Path) -> None:
    fine = portrait_rgb().astype(np.uint16) * 256 + 77
    cv2.imwrite(str(tmp_path / "fine.png"), fine[:, :, ::-1])
    assert command("image", tmp_path / "fine.png", tmp_path / "out.png") == 0
    rgba, alpha = read(tmp_path / "out.png"), expected_alpha(network)
    assert rgba.dtype == np.uint16
    assert (rgba[:, :, 3] == 65535).sum() == pytest.approx((alpha == 255).sum(), rel=0.03)
    opaque = rgba[:, :, 3] == 65535
    assert (rgba[opaque][:, :3] == fine[opaque]).all()


def test_grey_cmyk_and_odd_sizes(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    portrait = Image.fromarray(portrait_rgb())
    portrait.convert("L").save(folder / "grey.png")
    portrait.convert("CMYK").save(folder / "cmyk.jpg")
    portrait.convert("P").save(folder / "palette.png")
    portrait.resize((1, 1)).save(folder / "dot.png")
    portrait.resize((3, 701)).save(folder / "post.bmp")
    portrait.resize((3001, 2003)).save(folder / "large.jpg")
    assert command("image", folder, tmp_path / "out") == 0
    shapes = {path.stem: read(path).shape for path in (tmp_path / "out").iterdir()}
    assert shapes == {
        "grey": (512, 512, 4), "cmyk": (512, 512, 4), "palette": (512, 512, 4), "dot": (1, 1, 4),
        "post": (701, 3, 4), "large": (2003, 3001, 4),
    }  # fmt: skip
    for name in ("grey", "cmyk", "palette", "large"):
        alpha = read(tmp_path / "out" / f"{name}.png")[:, :, 3]
        assert 0.2 < (alpha > 127).mean() < 0.7, name


def test_what_was_transparent_stays_so(command: Command, tmp_path: Path) -> None:
    rgba = np.dstack([portrait_rgb(), np.full((512, 512), 255, np.uint8)])
    rgba[256:, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "half.png")
    assert command("image", tmp_path / "half.png", tmp_path / "out.png") == 0
    alpha = read(tmp_path / "out.png")[:, :, 3]
    assert alpha[256:].max() == 0
    assert alpha[:256].max() == 255


def test_a_folder_with_some_bad_ones(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(PORTRAIT, folder / "same.png")
    Image.fromarray(portrait_rgb()).save(folder / "same.jpg")
    shutil.copy(PORTRAIT, folder / "deep" / "inside.PNG")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("hello")
    (folder / "cut.png").write_bytes(PORTRAIT.read_bytes()[:5000])
    (folder / "notes.txt").write_text("left alone")
    sheet = tmp_path / "sheet.jpg"
    assert command("image", folder, tmp_path / "out", "--contact-sheet", sheet) == 1
    said = capsys.readouterr().err
    for name in ("empty.jpg", "text.jpg"):
        assert str(folder / name) in said
    assert "empty (0 bytes)" in said
    assert "Traceback" not in said
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert {*written} - {"cut.png"} == {"deep/inside.png", "same.jpg.png", "same.png.png"}
    height, width = read(sheet).shape[:2]
    assert width >= 3 * THUMBNAIL_PX and height >= THUMBNAIL_PX


def test_a_picture_that_is_too_large_is_refused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its header says that it has 50000 x 50000 pixels; nobody reserves memory for them."""
    raw = bytearray(PORTRAIT.read_bytes())
    raw[16:24] = (50000).to_bytes(4, "big") * 2
    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(raw)
    assert command("image", tmp_path / "huge.png", tmp_path / "out.png") == 1
    said = capsys.readouterr().err
    assert "huge.png" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["huge.png"]


def test_real_photographs(command: Command, shared_folder: Path, tmp_path: Path) -> None:
    photographs = sorted((shared_folder / "data" / "dev" / "everyday").rglob("*.jpg"))[:6]
    assert photographs
    assert command("image", *photographs, tmp_path / "out") == 0
    for path in photographs:
        picture = read(path)
        assert read(tmp_path / "out" / f"{path.stem}.png").shape == (*picture.shape[:2], 4)


@pytest.mark.parametrize(
    "words, reason",
    [
        (("nowhere.png", "out.png"), "is not there"),
        ((PORTRAIT, "out.jpg"), "can't be transparent"),
        ((PORTRAIT, "out.mp3", "--mask"), "must end in one of"),
        ((PORTRAIT, "there.png"), "is there already"),
        ((PORTRAIT, PORTRAIT, "--overwrite"), "is read and would be written"),
        ((PORTRAIT, "out.png", "--background", "mauve"), "is none of transparent, blur, color, source, no colour"),
        ((PORTRAIT, "out.png", "--model", "no_such"), "no_such"),
        ((PORTRAIT, "there.png/out.png"), "can't be written"),
        (("empty", "out"), "No pictures in"),
    ],
)
def test_what_can_not_be_done_is_said(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str | Path, ...],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.png").write_text("mine")
    Path("empty").mkdir()
    assert command("image", *words) in (1, 2)
    assert reason in capsys.readouterr().err
    assert Path("there.png").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "there.png"]


def test_a_number_outside_its_range_is_refused(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("image", PORTRAIT, "--threshold", "1.5")
    assert "1.5 is not within 0 to 1" in capsys.readouterr().err


def test_a_small_person_is_looked_at_closer_if_wanted(network: Network) -> None:
    frame_bgr, truth = standing(*portrait(), drawn_room((1280, 720))).frame(1 / 3, 0.6, 1)
    frame_rgb = np.asarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB), np.uint8)
    fits = []
    for attention in (False, True):
        finder = PersonFinder(network, dataclasses.replace(DEFAULTS, attention=attention))
        alpha = finder.alpha_of_still(frame_rgb)
        fits.append(intersection_over_union(np.divide(alpha, 255, dtype=np.float32), truth))
    assert fits[0] < fits[1] > 0.95
    inverted = dataclasses.replace(DEFAULTS, attention=True, invert=True)
    assert np.array_equal(255 - PersonFinder(network, inverted).alpha_of_still(frame_rgb), alpha)


def test_a_large_person_gets_the_same_alpha_whether_looked_at_closer_or_not(network: Network) -> None:
    settings = dataclasses.replace(DEFAULTS, remove_specks=False)  # which decides by a pixel whether a thing is small
    wanted = dataclasses.replace(settings, attention=True)
    closer = PersonFinder(network, wanted).alpha_of_still(portrait_rgb())
    plain = PersonFinder(network, settings).alpha(portrait_rgb(), 0)
    difference = np.abs(closer.astype(int) - plain)  # not 0: looking closer takes the mask at twice the size
    assert np.quantile(difference, 0.99) <= 4 and difference.mean() < 0.2


def test_the_picture_on_the_page_is_made_by_a_command(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs_without_obs, "PICTURE", tmp_path / "page.png")
    assert command("docs", "--without-obs-picture") == 0
    strip = read(tmp_path / "page.png")
    assert strip.shape == (180, 4 * 320 + 3 * docs_without_obs.GAP_PX, 3)
    portrait, on_nothing, mask, before_blur = (strip[:, left : left + 320].astype(int) for left in range(0, 1298, 326))
    assert np.abs(portrait - cv2.resize(portrait_rgb()[:288], (320, 180), interpolation=cv2.INTER_AREA)).max() <= 1
    is_person, is_room = (mask == 255).all(axis=2), (mask == 0).all(axis=2)
    assert is_person.mean() > 0.1 and is_room.mean() > 0.3
    assert np.isin(on_nothing[is_room], (190, 230)).mean() > 0.99
    assert np.abs(before_blur - portrait)[is_person].mean() < 2 < np.abs(before_blur - portrait)[is_room].mean()
