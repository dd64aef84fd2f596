# SPDX-License-Identifier: GPL-2.0-or-later
"""The guided filter against its definition, and what it promises: edges where the picture has them."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.edges import GUIDED, RADIUS_PX, VARIANCE, EdgeGuide, steepness
from background_filter.filters.engine.prepare import halved


def apply(factors: NDArray[np.float32], picture_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the shader does: factors enlarged bilinearly, a · RGB + b."""
    size = picture_rgb.shape[1::-1]
    large = cv2.resize(factors, size, interpolation=cv2.INTER_LINEAR)
    colours = picture_rgb.astype(np.float32) / 255
    return np.asarray((large[:, :, :3] * colours).sum(2) + large[:, :, 3])


def factors_of(
    alpha: NDArray[np.uint8], frame_rgba: NDArray[np.uint8], guide: EdgeGuide | None = None
) -> NDArray[np.float32]:
    """The factors of a mask and a frame of the engine's size."""
    return (guide or EdgeGuide()).factors(halved(alpha), halved(frame_rgba))


def frame_of(picture_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([picture_rgb, np.full(picture_rgb.shape[:2], 255, np.uint8)])


def test_the_factors_are_those_of_a_least_squares_fit_in_each_window() -> None:
    rng = np.random.default_rng(1)
    # Blocks of 2x2 pixels: halving loses nothing.
    small_rgb, small_alpha = rng.integers(0, 256, (14, 18, 3), np.uint8), rng.integers(0, 256, (14, 18), np.uint8)
    frame_rgba = frame_of(small_rgb.repeat(2, 0).repeat(2, 1))
    found = factors_of(small_alpha.repeat(2, 0).repeat(2, 1), frame_rgba).astype(np.float64)

    def pad(plane: NDArray[np.uint8], by: int) -> NDArray[np.float64]:
        sides = [(by, by), (by, by), *[(0, 0)] * (plane.ndim - 2)]
        return np.pad(plane / 255, sides, mode="reflect")

    # The factors of all windows around one pixel, averaged; so far inside that none leaves the picture.
    row, column, reach = 7, 9, range(-RADIUS_PX, RADIUS_PX + 1)
    fits = []
    for down in reach:
        for right in reach:
            window = np.s_[
                row + down : row + down + 2 * RADIUS_PX + 1, column + right : column + right + 2 * RADIUS_PX + 1
            ]
            colours = pad(small_rgb, RADIUS_PX)[window].reshape(-1, 3)
            mask = pad(small_alpha, RADIUS_PX)[window].ravel()
            covariance = np.cov(colours.T, bias=True) + VARIANCE * np.eye(3)
            towards = ((colours - colours.mean(0)) * (mask - mask.mean())[:, None]).mean(0)
            slope = np.linalg.solve(covariance, towards)
            fits.append([*slope, mask.mean() - slope @ colours.mean(0)])
    guided = steepness(small_alpha)[0][row, column] / GUIDED
    assert guided > 0.9
    expected = guided * np.mean(fits, axis=0) + (1 - guided) * np.array([0, 0, 0, small_alpha[row, column] / 255])
    assert found[row, column] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_mask_without_an_edge_stays_as_it_is(value: int) -> None:
    rng = np.random.default_rng(2)
    picture_rgb = rng.integers(0, 256, (144, 256, 3), np.uint8)
    factors = factors_of(np.full((144, 256), value, np.uint8), frame_of(picture_rgb))
    assert factors.shape == (72, 128, 4)
    assert apply(factors, picture_rgb) == pytest.approx(value / 255, abs=0.01)


def test_a_blurred_and_shifted_mask_snaps_to_the_picture_s_edge() -> None:
    picture_rgb = np.full((1080, 1920, 3), (40, 60, 80), np.uint8)
    truth = np.zeros((1080, 1920), np.uint8)
    cv2.ellipse(truth, (960, 700), (330, 520), 0, 0, 360, 255, -1)
    picture_rgb[truth > 0] = (190, 140, 120)
    small_rgb = np.asarray(cv2.resize(picture_rgb, (256, 144), interpolation=cv2.INTER_AREA), np.uint8)
    mask = cv2.resize(truth, (256, 144), interpolation=cv2.INTER_AREA)
    mask = np.asarray(np.roll(cv2.GaussianBlur(mask, (0, 0), 1.5), 1, axis=1), np.uint8)
    plain = cv2.resize(mask, (1920, 1080), interpolation=cv2.INTER_LINEAR) / 255
    sharp = apply(factors_of(np.asarray(mask, np.uint8), frame_of(small_rgb)), picture_rgb)

    def wrong(alpha: NDArray[np.floating]) -> int:
        return int(((alpha > 0.5) != (truth > 127)).sum())

    assert wrong(sharp) < 0.1 * wrong(plain)


def test_inside_the_person_the_mask_is_kept_whatever_the_colours() -> None:
    picture_rgb = np.random.default_rng(4).integers(0, 256, (144, 256, 3), np.uint8)
    mask = np.zeros((144, 256), np.uint8)
    cv2.circle(mask, (128, 80), 50, 255, -1)
    alpha = apply(factors_of(mask, frame_of(picture_rgb)), picture_rgb)
    inside = cv2.erode(mask, np.ones((17, 17))) > 0
    outside = cv2.dilate(mask, np.ones((17, 17))) == 0
    assert np.abs(alpha[inside] - 1).max() < 0.005
    assert np.abs(alpha[outside]).max() < 0.005


def test_the_size_may_change_and_may_be_odd_or_tiny() -> None:
    guide = EdgeGuide()
    for height, width in ((144, 256), (33, 47), (1, 1), (320, 320)):
        picture_rgb = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
        factors = factors_of(np.full((height, width), 255, np.uint8), frame_of(picture_rgb), guide)
        assert factors.shape == (max(height // 2, 1), max(width // 2, 1), 4)
        assert np.isfinite(factors).all()
