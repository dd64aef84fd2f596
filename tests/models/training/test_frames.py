# SPDX-License-Identifier: GPL-2.0-or-later
"""What training frames promise: the mask moves with the picture, empty rooms are empty, seeds fix everything."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import frames, lighting, manifest, pack, sheet
from background_filter.models.training.config import FramesSection
from background_filter.models.training.frames import KINDS, FrameMaker
from background_filter.models.training.pack import Pack
from background_filter.models.training.pictures import read_picture, write_picture
from background_filter.tests.models.training.people import person, room, step

SIZE = (64, 36)
RED, GREEN = 2, 1


def make_pack(folder: Path, rooms: int = 4, val_every: int = 4) -> Path:
    """A pack whose people pictures show their own alpha in the red channel; rooms have no red at all."""
    for i in range(12):
        _, mask = person(i, 96 if i % 2 else 60, 72)
        picture = np.dstack([np.full_like(mask, 90), np.full_like(mask, 10 * i), mask])
        write_picture(folder / "people" / "images" / f"p{i}.bmp", picture)
        write_picture(folder / "people" / "masks" / f"p{i}.bmp", mask)
    lists = ["people"]
    for i in range(rooms):
        picture = room(i)
        picture[:, :, RED] = 0
        write_picture(folder / "rooms" / "images" / f"r{i}.bmp", picture)
        lists = ["people", "rooms"]
    for name in lists:
        options = ["--kind", "room", "--split", "train"] if name == "rooms" else ["--val-every", val_every]
        assert step(manifest, folder / name, "--licence", "CC0", "--out", folder / f"{name}.csv", *options) == 0
    assert step(manifest, "--join", *(folder / f"{name}.csv" for name in lists), "--out", folder / "all.csv") == 0
    assert step(pack, folder / "all.csv", "--out", folder / "pack") == 0
    return folder / "pack"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return Pack(make_pack(tmp_path_factory.mktemp("frames")))


@pytest.fixture
def undecorated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is pasted into pictures of people: it may be red."""
    monkeypatch.setattr(frames, "BEHIND_SHARE", 0.0)
    monkeypatch.setattr(frames, "PRINT_SHARE", 0.0)


@pytest.mark.usefixtures("undecorated")
@pytest.mark.parametrize("kind", ["crop", "grid"])
def test_the_mask_follows_the_picture_through_flips_scales_and_rotations(packed: Pack, kind: str) -> None:
    maker = FrameMaker(packed, FramesSection(), SIZE, 5)
    for _ in range(60):
        frame, alpha = maker.undisturbed(kind)
        assert np.abs(frame[:, :, RED] / 255 - alpha).max() < 1e-6
        assert frame[:, :, RED].max() > 0


@pytest.mark.usefixtures("undecorated")
def test_pasted_people_and_whole_pictures_bring_their_mask(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = FrameMaker(packed, FramesSection(), SIZE, 6)
    # Backdrops, tints and distractors may be red: here only people are.
    monkeypatch.setattr(maker, "room", lambda: np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    for _ in range(40):
        frame, alpha = maker.undisturbed("inset")
        assert np.abs(frame[:, :, RED] / 255 - alpha).max() < 1e-6
        frame, alpha = maker.undisturbed("composite")
        solid = cv2.erode((alpha > 0.99).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        outside = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
        assert (frame[:, :, RED][solid] > 200).all()
        assert (frame[:, :, RED][outside] == 0).all()


def test_people_far_away_are_small_and_anywhere(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FAR_HEIGHTS", (0.2, 0.3))
    maker = FrameMaker(packed, FramesSection(), SIZE, 8)
    nobody = np.zeros((SIZE[1], SIZE[0]), np.float32)
    seen = nobody
    for _ in range(60):
        _, alpha = maker.add_far_person(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), nobody, stretch=1.0)
        rows = np.flatnonzero((alpha > 0.5).any(axis=1))
        assert rows.size <= 0.5 * SIZE[1], "a body that lies or leans is no taller than it is long, or wide"
        seen = np.maximum(seen, alpha)
    assert (seen > 0.5).any(axis=0).mean() > 0.9, "from the left edge to the right"


def test_empty_rooms_are_empty_whatever_is_painted_into_them(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("background_filter.models.training.frames.DISTRACTOR_SHARE", 1.0)
    maker = FrameMaker(packed, FramesSection(), SIZE, 7)
    assert all((alpha == 0).all() for _, alpha in (maker.make("empty") for _ in range(30)))
    plain = maker.room_window(maker.rooms[0])
    assert (maker.distractors.add(plain.copy()) != plain).any()


def test_things_hang_behind_people_and_prints_stay_on_them(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = FrameMaker(packed, FramesSection(), SIZE, 13)
    picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    alpha = np.zeros((SIZE[1], SIZE[0]), np.float32)
    alpha[:, 20:40] = 1
    for behind, on_clothes in ((1.0, 0.0), (0.0, 1.0)):
        monkeypatch.setattr(frames, "BEHIND_SHARE", behind)
        monkeypatch.setattr(frames, "PRINT_SHARE", on_clothes)
        changed = np.any([(maker.decorate(picture, alpha) != picture).any(2) for _ in range(40)], axis=0)
        assert changed[alpha == 0].any() == bool(behind)
        assert changed[alpha == 1].any() == bool(on_clothes)
        assert not changed[: SIZE[1] // 3, 20:40].any(), "prints hide no face"


def test_other_hues_leave_skin_and_what_is_not_covered_alone() -> None:
    blue, skin = np.array([200, 90, 40], np.uint8), np.array([120, 160, 210], np.uint8)
    picture = np.full((40, 60, 3), blue, np.uint8)
    picture[:, 30:] = skin
    cover = np.zeros((40, 60), np.float32)
    cover[20:] = 1
    turned = lighting.recolour(picture, cover, np.random.default_rng(1))
    assert (turned[:20] == picture[:20]).all()
    assert (turned[:, 33:] == skin).all()
    assert np.abs(turned[20:, :27].astype(int) - blue).max() > 40


def test_empty_parts_of_pictures_of_people_show_nobody(packed: Pack) -> None:
    maker = FrameMaker(packed, FramesSection(), SIZE, 11)
    found = [each for each in (maker.empty_window() for _ in range(300)) if each is not None]
    assert len(found) > 3
    # A person is 255 red; a few stray pixels at a corner may pass.
    assert max(each[:, :, RED].mean() for each in found) < 6


def test_sets_with_unmarked_bystanders_are_no_surroundings(packed: Pack) -> None:
    names = sorted({entry.set_name for entry in packed.entries})
    maker = FrameMaker(packed, FramesSection(bystanders_unmarked=names), SIZE, 12)
    assert maker.people
    assert not maker.surroundings
    assert maker.empty_window() is None
    assert (maker.make("empty")[1] == 0).all()


def test_alpha_stays_in_range_and_light_never_touches_it(packed: Pack) -> None:
    maker = FrameMaker(packed, FramesSection(), SIZE, 8)
    for kind in KINDS:
        for _ in range(15):
            frame, alpha = maker.undisturbed(kind)
            kept = alpha.copy()
            disturbed = lighting.disturb(frame, alpha, maker.rng)
            assert disturbed.shape == (SIZE[1], SIZE[0], 3)
            assert alpha.shape == (SIZE[1], SIZE[0])
            assert disturbed.dtype == np.uint8
            assert alpha.dtype == np.float32
            assert (alpha == kept).all()
            assert 0 <= alpha.min() <= alpha.max() <= 1


def test_plain_frames_show_the_picture_as_it_is(packed: Pack) -> None:
    seeds = range(12)
    plain = [FrameMaker(packed, FramesSection(), SIZE, seed).make("plain") for seed in seeds]
    kept = [FrameMaker(packed, FramesSection(), SIZE, seed).plain() for seed in seeds]
    crops = [FrameMaker(packed, FramesSection(), SIZE, seed).make("crop") for seed in seeds]
    assert all((frame == same).all() for (frame, _), (same, _) in zip(plain, kept, strict=True))
    assert all((alpha == same).all() for (_, alpha), (_, same) in zip(plain, crops, strict=True))
    assert sum(bool((frame != other).any()) for (frame, _), (other, _) in zip(plain, crops, strict=True)) > 6


def test_kinds_come_in_the_configured_shares(packed: Pack) -> None:
    shares = FramesSection(empty=0.1, composite=0.4, inset=0.2, grid=0.0, plain=0.1)
    maker = FrameMaker(packed, shares, SIZE, 9)
    counts = Counter(maker.draw_kind() for _ in range(5000))
    for kind, share in {"empty": 0.1, "composite": 0.4, "inset": 0.2, "grid": 0.0, "plain": 0.1, "crop": 0.2}.items():
        assert counts[kind] / 5000 == pytest.approx(share, abs=0.03), kind


def test_sets_are_drawn_by_their_weights(packed: Pack) -> None:
    maker = FrameMaker(packed, FramesSection(set_weights={"people": 0.25}), SIZE, 1)
    entries = [*maker.people, *maker.rooms]
    drawn = Counter(maker.pick(entries).set_name for _ in range(4000))
    expected = 0.25 * len(maker.people) / (0.25 * len(maker.people) + len(maker.rooms))
    assert drawn["people"] / 4000 == pytest.approx(expected, abs=0.03)
    with pytest.raises(CommandError, match="no pictures of people"):
        FrameMaker(packed, FramesSection(set_weights={"people": 0}), SIZE, 1)


def test_held_out_pictures_are_never_trained_on(packed: Pack) -> None:
    maker = FrameMaker(packed, FramesSection(), SIZE, 1)
    held_out = {entry.file for entry in packed.entries if entry.validation}
    assert held_out
    assert not held_out & {entry.file for entry in (*maker.people, *maker.rooms, *maker.cut_outs)}


def test_without_rooms_backdrops_serve(tmp_path: Path) -> None:
    maker = FrameMaker(Pack(make_pack(tmp_path, rooms=0)), FramesSection(), SIZE, 2)
    assert not maker.rooms
    for kind in KINDS:
        maker.make(kind)


def test_camouflage_brings_the_background_near_the_people_and_leaves_them_alone() -> None:
    colour, wall = np.array([40, 90, 200]), np.array([220, 160, 30])
    alpha = np.zeros((72, 128), np.float32)
    alpha[20:, 40:90] = 1
    texture = np.random.default_rng(2).integers(-20, 21, (72, 128, 1))
    frame = (np.where(alpha[:, :, None] > 0, colour, wall) + texture).astype(np.uint8)
    behind, before = alpha == 0, np.abs(wall - colour).sum()
    for seed in range(8):
        tinted = lighting.camouflage(frame, alpha, np.random.default_rng(seed))
        assert (tinted[~behind] == frame[~behind]).all()
        left = np.abs(tinted[behind].mean(0) - colour).sum()
        assert left < 0.65 * before
        assert tinted[behind].std(0).min() > 8  # the wall keeps its texture
    for nobody_or_all in (np.zeros_like(alpha), np.ones_like(alpha)):
        assert lighting.camouflage(frame, nobody_or_all, np.random.default_rng(1)) is frame


def test_bare_skin_takes_the_place_of_clothes_and_of_nothing_else() -> None:
    skin, shirt, wall = np.array([120, 160, 210]), np.array([200, 90, 40]), np.array([90, 110, 60])
    alpha = np.zeros((72, 128), np.float32)
    alpha[10:, 40:90] = 1
    frame = np.where(alpha[:, :, None] > 0, shirt, wall)
    frame[10:30, 40:90] = skin
    frame = frame.astype(np.uint8)
    for seed in range(8):
        painted = lighting.bare(frame, alpha, np.random.default_rng(seed))
        assert (painted[alpha == 0] == frame[alpha == 0]).all()
        assert (painted[10:27, 43:87] == skin).all()
        blue, green, red = painted[45:, 40:90].reshape(-1, 3).mean(0)
        assert blue < green <= red, "as skin has it, and the shirt has not"
    without_skin = np.full_like(frame, shirt)
    assert lighting.bare(without_skin, alpha, np.random.default_rng(1)) is without_skin


def test_a_starved_video_codec_makes_blocks_and_thins_colour() -> None:
    rng = np.random.default_rng(4)
    stripes = np.zeros((72, 128, 3), np.uint8)
    stripes[:, ::2, RED], stripes[:, 1::2, GREEN] = 200, 120
    worse = lighting.video(stripes, rng)
    assert worse.shape == stripes.shape
    colour = cv2.cvtColor(worse, cv2.COLOR_BGR2YCrCb)[:, :, 1].astype(int)
    assert np.abs(np.diff(colour, axis=1)).mean() < 8  # one pixel's red and the next one's green are gone


def test_the_command_draws_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_pack(tmp_path)
    assert step(sheet, folder, "--sheet", tmp_path / "sheet.jpg", "--count", 7, "--kind", "composite") == 0
    assert "7 frames in" in capsys.readouterr().out
    assert read_picture(tmp_path / "sheet.jpg").shape == (3 * 144, 3 * 2 * 256, 3)
    with pytest.raises(CommandError, match=r"name it \.jpg or \.png"):
        step(sheet, folder, "--sheet", tmp_path / "sheet.nonsense")
