# SPDX-License-Identifier: GPL-2.0-or-later
"""The person's own colours in her edge: before a room whose colours are known, hers are known, too."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline import despill as despilling
from background_filter.filters.offline.backgrounds import Blurred
from background_filter.filters.offline.compose import Picture
from background_filter.filters.offline.despill import despill, despill_planes
from background_filter.filters.offline.picture_files import Read
from background_filter.filters.offline.pictures import Wanted, finish
from background_filter.filters.offline.planes import Colours, planes_of_rgb, rgb_of_planes
from background_filter.tests.offline.clips import portrait_rgb, read_clip, write_clip
from background_filter.tests.offline.conftest import Command

EFFECT = Path(despilling.__file__).resolve().parents[1] / "effects" / "despill.effect"
HD = Colours(1, 1, 1080)
OWN_COLOURS = dataclasses.replace(DEFAULTS, despill=True)


def her_rgb(width: int, height: int) -> NDArray[np.uint8]:
    """Her colours everywhere: those of the portrait, far out of focus."""
    portrait = cv2.GaussianBlur(portrait_rgb()[150:400, 100:350], (0, 0), 20)
    return np.asarray(cv2.resize(portrait, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def her_alpha(width: int, height: int) -> NDArray[np.uint8]:
    """A head with a soft edge."""
    shape = np.zeros((height, width), np.uint8)
    cv2.ellipse(shape, (width // 2, height), (width // 5, height * 4 // 5), 0, 0, 360, 255, -1)
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), max(width / 400, 1)), np.uint8)


def before_a_green_wall(width: int, height: int) -> NDArray[np.uint8]:
    """Her, mixed with the room as ``her_alpha`` says, in the colours as they are stored."""
    share = her_alpha(width, height)[..., None] / 255
    return np.asarray(np.rint(share * her_rgb(width, height) + (1 - share) * (20, 200, 60)), np.uint8)


def errors(picture: Picture, alpha: NDArray[np.uint8]) -> float:
    """How far her edge's colours are from her own, 0 to 1, as far as they are seen."""
    hers = her_rgb(*alpha.shape[::-1]) / 255
    wrong = np.abs(picture / 255 - hers).mean(axis=2)
    weights = alpha / 255.0 * ((alpha > 0) & (alpha < 255))
    return float((wrong * weights).sum() / weights.sum())


@pytest.mark.parametrize("size", [(1280, 720), (719, 1283), (301, 201)])
def test_her_edge_gets_her_own_colours(size: tuple[int, int]) -> None:
    alpha, spilt = her_alpha(*size), before_a_green_wall(*size)
    clean, fine = spilt.copy(), spilt.astype(np.uint16) * 257
    despill(clean, alpha)
    despill(fine, alpha)
    assert errors(clean, alpha) < 0.5 * errors(spilt, alpha)
    is_sure = (alpha == 0) | (alpha == 255)
    assert (clean[is_sure] == spilt[is_sure]).all()
    assert (fine[is_sure] == spilt[is_sure].astype(np.uint16) * 257).all()
    assert np.abs(fine / 257 - clean).max() <= 1


@pytest.mark.parametrize("size", [(1280, 720), (642, 358)])
def test_planes_get_what_the_same_picture_gets(size: tuple[int, int]) -> None:
    alpha, picture_rgb = her_alpha(*size), before_a_green_wall(*size)
    spilt = planes_of_rgb(picture_rgb, HD)
    clean = spilt.copy()
    despill_planes(clean, alpha)
    assert (clean.y[(alpha == 0) | (alpha == 255)] == spilt.y[(alpha == 0) | (alpha == 255)]).all()
    own_rgb = picture_rgb.copy()
    despill(own_rgb, alpha)
    expected, seen = planes_of_rgb(own_rgb, HD), alpha > 32
    assert np.abs(clean.y.astype(int) - expected.y)[seen].mean() < 0.5
    is_seen = cv2.erode(seen.astype(np.uint8), np.ones((3, 3)))[::2, ::2] > 0
    for ours, theirs in zip(clean[1:], expected[1:]):
        assert np.abs(ours.astype(int) - theirs)[is_seen].mean() < 1
    assert errors(rgb_of_planes(clean, HD), alpha) < 0.4 * errors(rgb_of_planes(spilt, HD), alpha)


def test_of_a_transparent_picture_only_what_is_opaque_changes() -> None:
    size = 640, 360
    alpha, spilt = her_alpha(*size), before_a_green_wall(*size)
    own_alpha = np.full(alpha.shape, 255, np.uint8)
    own_alpha[:, 300:340] = 128
    clean = finish(Read(spilt.copy(), own_alpha), alpha, Wanted(OWN_COLOURS, None))
    plain = finish(Read(spilt.copy(), own_alpha), alpha, Wanted(DEFAULTS, None))
    assert (clean[:, 300:340] == plain[:, 300:340]).all()
    assert (clean[:, :, 3] == plain[:, :, 3]).all()
    beside = alpha.copy()
    beside[:, 260:380] = 0  # what is around is darker there
    assert errors(clean[:, :, :3], beside) < 0.4 * errors(spilt, beside)


def test_where_the_room_is_shown_nothing_is_changed() -> None:
    """Inverted, and in the mask; and the room behind her is made of the picture as it was."""
    size = 320, 180
    alpha, spilt = her_alpha(*size), before_a_green_wall(*size)
    for key in ("invert", "preview_mask"):
        settings = [dataclasses.replace(each, **{key: True}) for each in (OWN_COLOURS, DEFAULTS)]  # type: ignore[arg-type]
        clean, plain = (finish(Read(spilt.copy(), None), alpha, Wanted(each, None)) for each in settings)
        assert (clean == plain).all()
    behind = [
        finish(Read(spilt.copy(), None), alpha, Wanted(each, Blurred(0.2)))[alpha == 0]
        for each in (OWN_COLOURS, DEFAULTS)
    ]
    assert (behind[0] == behind[1]).all()


def test_what_is_not_seen_of_her_is_no_colour() -> None:
    """A single pixel of the faintest alpha: there is nothing around to take a colour from."""
    alpha = np.zeros((720, 1280), np.uint8)
    alpha[300, 300] = 1
    picture = before_a_green_wall(1280, 720)
    expected = picture.copy()
    despill(picture, alpha)
    assert (picture == expected).all()


def test_the_shaders_numbers_are_ours() -> None:
    assert set(re.findall(r"0\.00\d+", EFFECT.read_text())) == {str(despilling.LEAST_SHARE)}


def test_a_video_before_another_background(command: Command, tmp_path: Path) -> None:
    """The command: the edge changes, and nothing else."""
    portrait = np.asarray(cv2.resize(portrait_rgb(), (320, 320), interpolation=cv2.INTER_AREA)[:180], np.uint8)
    source = write_clip(tmp_path / "in.mp4", [portrait] * 3)
    shown = []
    white = ["--background", "#ffffff"]
    for name, words in (("plain", white), ("own", [*white, "--despill"]), ("mask", ["--mask"])):
        assert command("video", source, tmp_path / f"{name}.mp4", "--feather-px", 12, *words) == 0
        shown.append(read_clip(tmp_path / f"{name}.mp4").frames[1].astype(int))
    alpha = shown.pop()[:, :, 1]
    difference = np.abs(shown[1] - shown[0]).mean(axis=2)
    edge = (alpha > 60) & (alpha < 200)
    assert difference[edge].mean() > 2
    assert difference[cv2.dilate(edge.astype(np.uint8), np.ones((17, 17))) == 0].mean() < 1
