# SPDX-License-Identifier: GPL-2.0-or-later
"""Without OBS the picture is what the shader draws."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from background_filter.filters.bridge.region import Region
from background_filter.filters.engine.network import Network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.obs.edge import FEATHER_SIGMAS
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.compose import alpha_of, over, shaped, with_alpha
from background_filter.filters.offline.person import PersonFinder, alpha_within
from background_filter.tests.obs.support import PLAIN
from background_filter.tests.obs.test_output import engine_alpha, guided_alpha
from background_filter.tests.offline.clips import Picture, portrait_rgb

AS_THE_NETWORK_SAYS = dataclasses.replace(DEFAULTS, **PLAIN)  # type: ignore[arg-type]


def bgr(picture_rgb: Picture) -> Picture:
    return np.ascontiguousarray(picture_rgb[:, :, ::-1])


@pytest.mark.parametrize("size", [(512, 512), (1283, 719), (97, 61)])
def test_the_masks_are_those_that_obs_shows(network: Network, size: tuple[int, int]) -> None:
    """Against the two models in NumPy that the tests in real OBS compare OBS with."""
    picture_rgb = np.asarray(cv2.resize(portrait_rgb(), size, interpolation=cv2.INTER_AREA), np.uint8)
    for is_sharp, model in ((False, engine_alpha), (True, guided_alpha)):
        settings = dataclasses.replace(AS_THE_NETWORK_SAYS, sharp_edges=is_sharp)
        alpha = PersonFinder(network, settings).alpha(picture_rgb, 0)
        difference = np.abs(alpha.astype(int) - model(Segmenter(network), bgr(picture_rgb)))
        assert difference.max() <= 1
        assert 0.1 < (alpha > 127).mean() < 0.9


def test_the_ramp_is_drawn_as_the_settings_say(network: Network) -> None:
    picture_rgb = portrait_rgb()
    plain = PersonFinder(network, AS_THE_NETWORK_SAYS).alpha(picture_rgb, 0)
    settings = dataclasses.replace(AS_THE_NETWORK_SAYS, threshold=0.7, edge_softness=0.2)
    ramped = PersonFinder(network, settings).alpha(picture_rgb, 0)
    expected = np.clip((plain / 255.0 - 0.6) / 0.2, 0, 1) * 255
    assert np.abs(ramped - expected).max() <= 4  # the plain mask was rounded before


def test_feather_is_the_shaders_gaussian() -> None:
    """Tap by tap, at the picture's own size."""
    mask = np.zeros((36, 64), np.uint8)
    mask[8:30, 20:44] = 255
    picture_rgb = np.zeros((360, 640, 3), np.uint8)
    feather_px = 30
    taps = np.arange(-feather_px, feather_px + 1)
    weights = np.exp(-0.5 * (taps / (feather_px / FEATHER_SIGMAS)) ** 2)
    expected = cv2.resize(mask, (640, 360), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    for axis in (0, 1):
        pad = [(feather_px,) * 2 if each == axis else (0, 0) for each in (0, 1)]
        wide = np.pad(expected, pad, mode="edge")
        moved = [np.take(wide, np.arange(expected.shape[axis]) + feather_px + tap, axis) for tap in taps]
        expected = np.tensordot(weights / weights.sum(), np.stack(moved), 1)
    settings = dataclasses.replace(AS_THE_NETWORK_SAYS, feather_px=float(feather_px))
    assert np.abs(alpha_of(mask, picture_rgb, settings) - expected).max() <= 1.5


def test_a_mask_of_a_part_of_the_picture_grows_and_feathers_beyond_that_part() -> None:
    """As in OBS, where both work on the whole frame."""
    mask = np.full((36, 64), 255, np.uint8)
    picture_rgb = np.zeros((360, 640, 3), np.uint8)
    drawn = np.zeros((360, 640), np.uint8)
    drawn[90:270, 160:480] = 255
    settings = dataclasses.replace(AS_THE_NETWORK_SAYS, grow_px=6.0, feather_px=8.0)
    for wanted in (settings, dataclasses.replace(settings, invert=True)):
        alpha = alpha_within(Region(0.25, 0.25, 0.5), mask, picture_rgb, wanted)
        assert np.array_equal(alpha, shaped(drawn, wanted))
    assert (shaped(drawn, settings)[:90] > 0).any()


def test_sixteen_bits_make_the_same_mask(network: Network) -> None:
    picture_rgb = portrait_rgb()
    in_8, in_16 = (
        PersonFinder(network, DEFAULTS).alpha(each, 0) for each in (picture_rgb, picture_rgb.astype(np.uint16) * 257)
    )
    assert np.abs(in_8.astype(int) - in_16).max() <= 1


def test_nothing_of_the_room_is_in_a_transparent_picture() -> None:
    picture_rgb = np.full((4, 4, 3), 200, np.uint8)
    alpha = np.array([[0, 0, 255, 128]] * 4, np.uint8)
    rgba = with_alpha(picture_rgb, alpha)
    assert (rgba[:, :2] == 0).all()
    assert (rgba[:, 2:, :3] == 200).all()
    assert (rgba[:, :, 3] == alpha).all()


def test_edges_are_blended_in_linear_light_as_obs_does() -> None:
    white, black = np.full((1, 3, 3), 255, np.uint8), np.zeros((1, 3, 3), np.uint8)
    shown = over(white.copy(), np.array([[0, 128, 255]], np.uint8), black)
    assert shown[0, :, 0].tolist() == [0, 188, 255]
    assert (black == 0).all()
    fine = over(white.astype(np.uint16) * 257, np.array([[0, 128, 255]], np.uint8), black.astype(np.uint16))
    assert fine[0, :, 0].tolist() == pytest.approx([0, 188 * 257, 65535], abs=257)
