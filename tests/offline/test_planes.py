# SPDX-License-Identifier: GPL-2.0-or-later
"""A video's frames in planes come out as the same pictures in RGB do."""

from __future__ import annotations

import dataclasses

import av
import cv2
import numpy as np
import pytest

from background_filter.filters.engine.network import Network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.compose import alpha_of, over
from background_filter.filters.offline.person import refinement
from background_filter.filters.offline.planes import (
    Colours,
    Planes,
    alpha_of_planes,
    blacked_out,
    grey,
    over_planes,
    planes_of_rgb,
    rgb_of_planes,
    small_rgb,
)
from background_filter.filters.offline.reading import planes_of
from background_filter.tests.offline.clips import Picture, portrait_rgb

HD = Colours(1, 1, 1080)


def portrait(width: int, height: int, colours: Colours = HD) -> tuple[Planes, Picture]:
    """The portrait in planes, and what these are in RGB, four pixels to a colour."""
    planes = planes_of_rgb(np.asarray(cv2.resize(portrait_rgb(), (width, height)), np.uint8), colours)
    wide = [planes.y, *(plane.repeat(2, axis=0).repeat(2, axis=1) for plane in planes[1:])]
    return planes, colours.rgb(np.dstack(wide))


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("value_range", [1, 2])
def test_the_matrices_are_those_of_ffmpeg(matrix: int, value_range: int) -> None:
    colours = Colours(matrix, value_range, 100)
    rgb = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    stored = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=value_range)
    planes = planes_of(stored, 16, 16, colours)
    for theirs, ours in zip(planes, planes_of_rgb(rgb, colours)):
        assert np.abs(theirs.astype(int) - ours).max() <= 1
    assert np.abs(rgb_of_planes(planes, colours).astype(int) - rgb).max() <= 3


def test_a_video_without_tags_is_read_as_players_do() -> None:
    assert Colours(2, 0, 1080).is_like(Colours(1, 1, 0))
    assert Colours(2, 0, 480).is_like(Colours(5, 1, 0))
    assert not Colours(2, 0, 480).is_like(Colours(5, 2, 0))


@pytest.mark.parametrize("size", [(512, 512), (1282, 718), (98, 62)])
@pytest.mark.parametrize(
    "changed",
    [{}, {"sharp_edges": False}, {"feather_px": 20.0}, {"threshold": 0.7, "edge_softness": 0.1, "invert": True}],
    ids=["default", "enlarged", "feathered", "inverted"],
)
def test_the_mask_is_that_of_the_same_picture_in_rgb(
    network: Network, size: tuple[int, int], changed: dict[str, float]
) -> None:
    settings = dataclasses.replace(DEFAULTS, **changed)  # type: ignore[arg-type]
    planes, rgb = portrait(*size)
    small = small_rgb(planes, HD, network.width, network.height)
    expected_small = cv2.resize(rgb, (network.width, network.height), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected_small).mean() < 1.5
    frame_rgba = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA), np.uint8)
    mask = Segmenter(network).segment(frame_rgba, 0, refinement(settings)).mask
    alpha = alpha_of_planes(mask, planes, HD, settings)
    difference = np.abs(alpha.astype(int) - alpha_of(mask, rgb, settings))
    assert 0.1 < (alpha > 127).mean() < 0.9
    assert difference.mean() < 0.1
    assert np.quantile(difference, 0.999) <= 5  # the rest: RGB is rounded, and bounded by 0 and 255


def test_light_is_mixed_as_in_rgb() -> None:
    planes, rgb = portrait(320, 180)
    ramp = np.tile(np.linspace(-60, 320, 320).clip(0, 255).astype(np.uint8), (180, 1))
    behind = np.full((180, 320, 3), (30, 90, 200), np.uint8)
    shown = over_planes(planes.copy(), ramp, planes_of_rgb(behind, HD), HD)
    expected = planes_of_rgb(over(rgb.copy(), ramp, behind), HD)
    assert np.abs(shown.y.astype(int) - expected.y).mean() < 0.7
    assert np.abs(shown.u.astype(int) - expected.u).mean() < 1
    is_person = ramp == 255
    assert (shown.y[is_person] == planes.y[is_person]).all()  # to the bit
    assert (shown.u[(ramp == 0)[::2, ::2]] == planes_of_rgb(behind, HD).u[(ramp == 0)[::2, ::2]]).all()


def test_nothing_of_the_room_is_in_a_transparent_frame() -> None:
    planes, _ = portrait(320, 180)
    alpha = np.zeros((180, 320), np.uint8)
    alpha[50:100, 100:201] = 255
    shown = blacked_out(planes.copy(), alpha, HD)
    assert (rgb_of_planes(shown, HD)[alpha == 0][:, :3].max(axis=1) == 0).mean() > 0.99  # but beside her colours
    assert (shown.y[alpha == 0] == 16).all()
    assert (shown.y[alpha == 255] == planes.y[alpha == 255]).all()


def test_a_mask_as_a_picture_is_grey() -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = rgb_of_planes(grey(alpha, HD), HD)
    assert np.abs(rgb.astype(int) - alpha[:, :, None]).max() <= 1
