# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the person: what the words of the command line mean, and that it looks as in OBS."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.cli import media
from background_filter.filters.cli.errors import CommandError
from background_filter.filters.obs.blur import room_sigma_px
from background_filter.filters.obs.settings import DEFAULTS, SETTINGS
from background_filter.filters.offline import blur
from background_filter.filters.offline.backgrounds import Blurred, Still, background_of
from background_filter.filters.offline.compose import linear, placed
from background_filter.filters.offline.moving import Moving
from background_filter.filters.offline.planes import Colours, planes_of_rgb, rgb_of_planes
from background_filter.tests.offline.clips import PORTRAIT, RATE, Picture, portrait_frames, read_clip, write_clip
from background_filter.tests.offline.conftest import Command

EFFECT = Path(blur.__file__).resolve().parents[1] / "effects" / "blur.effect"
HD = Colours(1, 1, 1080)


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    media.add_video_arguments(parser)
    return parser.parse_args(["in.mp4", "out.mp4", *words])


@pytest.mark.parametrize(
    "words, expected",
    [
        ([], {}),
        (["--background", "blur"], {"background": "blur"}),
        (["--background", "blur", "--blur-strength", "0.9"], {"background": "blur", "blur_strength": 0.9}),
        (["--blur-strength", "0.9"], {"background": "blur", "blur_strength": 0.9}),
        (["--background", "color"], {"background": "color"}),
        (["--background-color", "#204080"], {"background": "color", "background_color": 0xFF804020}),
        (["--background", "#204080"], {"background": "color", "background_color": 0xFF804020}),
        (["--background", "red", "--invert"], {"background": "color", "background_color": 0xFF0000FF, "invert": True}),
        (["--background", str(PORTRAIT)], {"background": "source", "background_source": str(PORTRAIT)}),
        (
            ["--background", "source", "--background-source", str(PORTRAIT), "--background-fit", "fit"],
            {"background": "source", "background_source": str(PORTRAIT), "background_fit": "fit"},
        ),
        (["--background", "transparent", "--blur-strength", "0.9"], {"blur_strength": 0.9}),
    ],
)
def test_words_are_the_filters_settings(words: list[str], expected: dict[str, object]) -> None:
    assert media.settings_of(options(*words)) == dataclasses.replace(DEFAULTS, **expected)  # type: ignore[arg-type]


def test_every_setting_but_the_live_ones_is_an_option_of_its_name() -> None:
    parser = argparse.ArgumentParser()
    media.add_image_arguments(parser)
    told = parser.format_help()
    for setting in SETTINGS:
        is_told = f"--{setting.key.replace('_', '-')}" in told
        assert is_told == (setting.key not in ("timing", "without_mask"))


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--background", "source"], "--background-source: name its file"),
        (["--background-source", "none.png"], "none.png is not there"),
        (["--blur-strength", "1", "--background-color", "red"], "Which --background: blur or color?"),
        (["--mask", "--background-color", "red"], "exclude each other"),
    ],
)
def test_words_that_make_no_sense(words: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=re.escape(reason)):
        media.settings_of(options(*words))


def test_the_shaders_numbers_are_ours() -> None:
    defined = dict(re.findall(r"#define (\w+) ([\d.]+)", EFFECT.read_text()))
    for name in ("PERSON_FROM", "FAR_SHARE", "FAR_DOWN_TO"):
        assert float(defined[name]) == getattr(blur, name)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_where_nobody_is_the_blur_is_a_plain_gaussian(strength: float) -> None:
    """In linear light, with the standard deviation that OBS has."""
    rng = np.random.default_rng(1)
    room = cv2.resize(rng.integers(0, 255, (9, 16, 3), np.uint8), (480, 270), interpolation=cv2.INTER_NEAREST)
    shown = Blurred(strength).behind(np.asarray(room, np.uint8), np.zeros((270, 480), np.uint8))
    sigma_px = room_sigma_px(strength, 480, 270)
    expected = cv2.GaussianBlur(linear(room), (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    difference = np.abs(linear(shown) - expected)
    assert difference.mean() < 0.01
    assert difference.max() < 0.08
    assert np.abs(linear(room) - expected).mean() > 5 * difference.mean()


def test_the_blur_falls_off_toward_the_lower_edge() -> None:
    """Upright stripes: what the blur leaves of them, row by row, in pictures of both depths and in planes."""
    columns = np.where(np.arange(480) // 12 % 2, 220, 30).astype(np.uint8)
    room_rgb = np.ascontiguousarray(np.broadcast_to(columns[None, :, None], (270, 480, 3)))
    nobody, background = np.zeros((270, 480), np.uint8), Blurred(0.6, 1.0)
    in_planes = background.behind_planes(planes_of_rgb(room_rgb, HD), nobody, HD, 0.0)
    for shown_rgb in (
        background.behind(room_rgb, nobody),
        background.behind(room_rgb.astype(np.uint16) * 257, nobody) / 257,
        rgb_of_planes(in_planes, HD),
    ):
        left = np.asarray(shown_rgb[:, 60:-60, 1]).astype(float).std(axis=1)
        top, middle, bottom = left[:90].mean(), left[150:180].mean(), left[-10:].mean()
        assert top < 2 and 2 * top < middle < 0.5 * bottom and bottom > 40
    even = Blurred(0.6).behind(room_rgb, nobody)
    assert np.abs(even[:90].astype(int) - background.behind(room_rgb, nobody)[:90]).max() <= 1
    slight = Blurred(0.6, 1e-6).behind(room_rgb, nobody)
    assert np.abs(even.astype(int) - slight).max() <= 1  # the two ways of averaging are one


@pytest.mark.parametrize("strength", [0.05, 0.5, 1.0])
def test_no_glow_of_the_person_is_in_the_blurred_room(strength: float) -> None:
    picture_rgb = np.full((200, 300, 3), 40, np.uint8)
    alpha = np.zeros((200, 300), np.uint8)
    picture_rgb[50:, 100:200], alpha[50:, 100:200] = 255, 255
    for falloff in (0.0, 1.0):
        assert Blurred(strength, falloff).behind(picture_rgb, alpha)[alpha == 0].max() <= 42
    planes = planes_of_rgb(picture_rgb, HD)
    shown = rgb_of_planes(Blurred(strength).behind_planes(planes, alpha, HD, 0.0), HD)
    assert shown[alpha == 0].max() <= 43


def stripes() -> Picture:
    """Red, green and blue, side by side."""
    picture = np.zeros((100, 300, 3), np.uint8)
    for number in range(3):
        picture[:, number * 100 : number * 100 + 100, number] = 255
    return picture


def test_fill_cuts_fit_leaves_a_margin_and_stretch_does_neither() -> None:
    filled, fitted, stretched = (placed(stripes(), 90, 90, fit) for fit in ("fill", "fit", "stretch"))
    assert (filled == (0, 255, 0)).all()
    assert (fitted[45, ::45] == [(255, 0, 0), (0, 255, 0)]).all()
    assert (fitted[:29] == 0).all() and (fitted[-29:] == 0).all() and fitted[31:-31].max(axis=2).min() > 100
    assert (stretched[0, [0, 45, 89]] == np.eye(3) * 255).all()


def test_what_is_transparent_in_a_background_is_black(tmp_path: Path) -> None:
    rgba = np.full((10, 10, 4), 200, np.uint8)
    rgba[:5, :, 3], rgba[5:, :, 3] = 0, 255
    cv2.imwrite(str(tmp_path / "half.png"), rgba)
    settings = dataclasses.replace(DEFAULTS, background="source", background_source=str(tmp_path / "half.png"))
    behind = background_of(settings, may_move=False)
    assert isinstance(behind, Still)
    shown = behind.behind(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.uint8))
    assert (shown[:5] == 0).all() and (shown[5:] == 200).all()


def test_a_video_behind_keeps_its_own_rate_and_begins_anew(command: Command, tmp_path: Path) -> None:
    """Three colours, a fifth of a second each, behind 1.2 seconds of a person at another rate."""
    colours = [np.full((90, 160, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))]
    behind = write_clip(tmp_path / "behind.mp4", colours, [0, 2600, 5000])
    source = write_clip(tmp_path / "in.mp4", portrait_frames(30))
    duration_s = Moving(behind, "fill")._duration_s
    assert command("video", source, tmp_path / "out.mp4", "--background", behind, "--background-fit", "stretch") == 0
    corners = [
        frame[:20, -20:].reshape(-1, 3).mean(axis=0).argmax() for frame in read_clip(tmp_path / "out.mp4").frames
    ]
    begins_s = [0, 2600 / 12800, 5000 / 12800]
    expected = [int(np.searchsorted(begins_s, number / RATE % duration_s, "right")) - 1 for number in range(30)]
    assert corners == expected
    assert len(set(corners[:15])) == 3 and corners.index(2) < len(corners) - corners[::-1].index(0)


def test_a_video_behind_may_store_colours_otherwise() -> None:
    """A person in full range and BT.601 before a video in the usual range and BT.709."""
    picture_rgb = np.full((90, 160, 3), (200, 60, 30), np.uint8)
    theirs, ours = Colours(1, 1, 1080), Colours(5, 2, 1080)
    moved = planes_of_rgb(rgb_of_planes(planes_of_rgb(picture_rgb, theirs), theirs), ours)
    assert np.abs(rgb_of_planes(moved, ours).astype(int) - picture_rgb).max() <= 4


def test_the_background_is_not_overwritten(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind, source = (write_clip(tmp_path / name, portrait_frames(2)) for name in ("behind.mp4", "in.mp4"))
    before = behind.read_bytes()
    assert command("video", source, behind, "--background", behind, "--overwrite") == 2
    assert "is read and would be written" in capsys.readouterr().err
    assert behind.read_bytes() == before


def test_a_picture_can_not_have_a_video_behind_it(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind = write_clip(tmp_path / "behind.mp4", portrait_frames(2))
    assert command("image", PORTRAIT, tmp_path / "out.png", "--background", behind) == 2
    assert "behind.mp4 is no picture that can be read" in capsys.readouterr().err
