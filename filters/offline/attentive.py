# SPDX-License-Identifier: GPL-2.0-or-later
"""The person's alpha in whole pictures, as ``person.py`` finds it, with a closer look at people who are small."""

from __future__ import annotations

import numpy as np

from ..bridge.region import WHOLE, Region
from ..engine.closer import Answer, AttentiveSegmenter, Closer
from ..engine.network import Network
from ..obs.settings import FilterSettings
from .compose import Alpha, Picture, alpha_of
from .person import refinement, small_rgba

LOOKS = 4  # closer looks at one picture, each at the region that the one before asked for


class AttentivePersonFinder:
    """As ``PersonFinder``, and looks closer at small people if the settings say so. For one thread."""

    def __init__(self, network: Network, settings: FilterSettings) -> None:
        self._segmenter = AttentiveSegmenter(network)
        self._settings = settings
        self._wanted_region = WHOLE

    def alpha(self, picture_rgb: Picture, time_ns: int) -> Alpha:
        """The alpha, HxW uint8, of a picture HxWx3, taken at ``time_ns`` of the sequence. Raises InferenceError."""
        answer = self._look(picture_rgb, time_ns)
        self._wanted_region = answer.wanted
        return self._drawn(answer, picture_rgb)

    def alpha_of_still(self, picture_rgb: Picture) -> Alpha:
        """The same of a picture that nothing follows: looked at as closely as a sequence would be in the end."""
        if self._settings.attention:
            self._wanted_region = self._segmenter.settle(small_rgba(picture_rgb, self._segmenter.network))
        for _ in range(LOOKS):
            region = self._wanted_region
            answer = self._look(picture_rgb, 0)
            self._wanted_region = answer.wanted
            if answer.wanted == region:
                break
        return self._drawn(answer, picture_rgb)

    def _look(self, picture_rgb: Picture, time_ns: int) -> Answer:
        settings, region, network = self._settings, self._wanted_region, self._segmenter.network
        closer = None
        if not region.is_whole:
            closer = Closer(region, small_rgba(picture_rgb[pixels(region, picture_rgb)], network))
        frame_rgba = small_rgba(picture_rgb, network)
        return self._segmenter.segment(frame_rgba, time_ns, refinement(settings), settings.attention, closer)

    def _drawn(self, answer: Answer, picture_rgb: Picture) -> Alpha:
        if answer.region.is_whole:
            return alpha_of(answer.segmented.mask, picture_rgb, self._settings)
        covered = pixels(answer.region, picture_rgb)
        alpha = np.full(picture_rgb.shape[:2], 255 * self._settings.invert, np.uint8)
        part_rgb = np.ascontiguousarray(picture_rgb[covered])
        alpha[covered] = alpha_of(answer.segmented.mask, part_rgb, self._settings)
        return alpha


def pixels(region: Region, picture: Picture) -> tuple[slice, slice]:
    """The rows and columns of a picture that a region spans, to the nearest pixel."""
    height, width = picture.shape[:2]
    rows = slice(round(region.top * height), round((region.top + region.side) * height))
    return rows, slice(round(region.left * width), round((region.left + region.side) * width))
