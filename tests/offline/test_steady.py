# SPDX-License-Identifier: GPL-2.0-or-later
"""Alpha over time without OBS: calm where nothing moves, at once where something does, by the shader's numbers."""

from __future__ import annotations

import re
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from background_filter.filters.obs import steady as shaders
from background_filter.filters.obs.effect import EFFECTS_FOLDER
from background_filter.filters.offline.steady import SteadyAlpha

FRAME_NS = 33_000_000
Bytes = NDArray[np.uint8]


def scene(number: int, left_px: int = 100) -> tuple[Bytes, Bytes, Bytes]:
    """A bright square before a dark wall with noise: picture 360 x 640 x 3, its alpha with noise, and a small mask."""
    random = np.random.default_rng(number)
    shape = np.zeros((360, 640), np.float32)
    shape[40:, left_px : left_px + 80] = 1
    shape = np.asarray(cv2.GaussianBlur(shape, (0, 0), 2), np.float32)
    picture = 40 + 160 * shape[..., None] + random.normal(0, 3, (360, 640, 3))
    alpha = np.where((shape > 0.02) & (shape < 0.98), shape + random.normal(0, 0.05, shape.shape), shape)
    mask = cv2.resize(shape, (160, 90), interpolation=cv2.INTER_AREA)
    in_bytes = (np.clip(np.rint(each), 0, 255).astype(np.uint8) for each in (picture, 255 * alpha, 255 * mask))
    picture_rgb, alpha_r8, mask_r8 = in_bytes
    return picture_rgb, alpha_r8, mask_r8


def flicker(frames: list[Bytes]) -> float:
    return float(np.mean([np.abs(one.astype(int) - other).mean() for one, other in pairwise(frames)]))


def test_a_still_edge_is_calm() -> None:
    steady, before, after = SteadyAlpha(0.5), [], []
    for number in range(20):
        picture_rgb, alpha, mask = scene(number)
        before.append(alpha)
        after.append(steady.mix(alpha, mask, picture_rgb, number * FRAME_NS))
    assert flicker(before) > 0.1
    assert flicker(after[5:]) < 0.25 * flicker(before[5:])


def test_what_moves_is_there_at_once_and_leaves_nothing() -> None:
    steady = SteadyAlpha(1.0)
    for number in range(20):
        picture_rgb, alpha, mask = scene(number, 100 if number < 10 else 100 + 12 * (number - 9))
        drawn = steady.mix(alpha, mask, picture_rgb, number * FRAME_NS)
        if number >= 10:
            assert np.array_equal(drawn[60:], alpha[60:])  # but for her upper edge, which stays where it is


def test_off_and_after_a_gap_alpha_is_drawn_as_it_is() -> None:
    off, steady = SteadyAlpha(0.0), SteadyAlpha(1.0)
    for number in range(4):
        picture_rgb, alpha, mask = scene(number)
        assert np.array_equal(off.mix(alpha, mask, picture_rgb, number * FRAME_NS), alpha)
        assert np.array_equal(steady.mix(alpha, mask, picture_rgb, number * 2 * shaders.MAX_GAP_NS), alpha)
    assert not np.array_equal(
        steady.mix(scene(9)[1], mask, picture_rgb, 6 * shaders.MAX_GAP_NS + FRAME_NS), scene(9)[1]
    )


def test_the_shader_has_the_same_numbers() -> None:
    text = (EFFECTS_FOLDER / "steady.effect").read_text(encoding="utf-8")
    defined = {name: float(value) for name, value in re.findall(r"^#define (\w+) ([\d.]+)$", text, re.MULTILINE)}
    names = ("COLOUR_STILL", "COLOUR_MOVES", "MASK_STILL", "MASK_MOVES", "REACH_CELLS")
    assert defined == {name: getattr(shaders, name) for name in names}
