# SPDX-License-Identifier: GPL-2.0-or-later
"""Without OBS the picture is what the shader draws."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.network import Network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.obs.compose import FEATHER_TAPS
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.compose import alpha_of, over, with_alpha
from background_filter.filters.offline.person import PersonFinder
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
    """The 25 taps of the Feather technique, one after the other, at twice the mask's size."""
    mask = np.zeros((36, 64), np.uint8)
    mask[8:30, 20:44] = 255
    picture_rgb = np.zeros((360, 640, 3), np.uint8)
    settings = dataclasses.replace(AS_THE_NETWORK_SAYS, feather_px=30.0)
    small = cv2.resize(mask, (128, 72), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    for axis, size, step in ((1, 128, 30.0 / 640 * 128 / FEATHER_TAPS), (0, 72, 30.0 / 360 * 72 / FEATHER_TAPS)):
        total, weights = np.zeros_like(small), 0.0
        for tap in range(-FEATHER_TAPS, FEATHER_TAPS + 1):
            weight = np.exp(-0.5 * tap * tap / (FEATHER_TAPS / 2.5) ** 2)
            at = np.clip(np.arange(size) + tap * step, 0, size - 1)
            low = np.floor(at).astype(int)
            high, part = np.minimum(low + 1, size - 1), (at - low)
            part = part[None, :] if axis == 1 else part[:, None]
            total += weight * (np.take(small, low, axis) * (1 - part) + np.take(small, high, axis) * part)
            weights += weight
        small = (total / weights).astype(np.float32)
    expected = cv2.resize(small, (640, 360), interpolation=cv2.INTER_LINEAR)
    difference = np.abs(alpha_of(mask, picture_rgb, settings) - expected)
    assert difference.max() < 6
    assert difference.mean() < 1


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
