# SPDX-License-Identifier: GPL-2.0-or-later
"""The person's alpha in whole pictures: the engine's way from frame to mask, then the shader's to the full size."""

from __future__ import annotations

import cv2
import numpy as np

from ..engine.network import Network
from ..engine.pipeline import Segmenter
from ..engine.refine import Refinement
from ..obs.settings import FilterSettings
from .backgrounds import in_depth
from .compose import Alpha, Picture, alpha_of
from .steady import SteadyAlpha


class PersonFinder:
    """Finds the person in one sequence of pictures, such as the frames of a video. For one thread.

    >>> PersonFinder(load_network(read_model(entry)).network, DEFAULTS).alpha(picture_rgb, 0)
    """

    def __init__(self, network: Network, settings: FilterSettings) -> None:
        self._segmenter = Segmenter(network)
        self._settings = settings
        self._steady = SteadyAlpha(settings.smoothing)

    def alpha(self, picture_rgb: Picture, time_ns: int) -> Alpha:
        """The alpha, HxW uint8, of a picture HxWx3, taken at ``time_ns`` of the sequence. Raises InferenceError."""
        network, settings = self._segmenter.network, self._settings
        small_rgb = cv2.resize(picture_rgb, (network.width, network.height), interpolation=cv2.INTER_AREA)
        frame_rgba = np.asarray(cv2.cvtColor(in_depth(small_rgb, np.dtype(np.uint8)), cv2.COLOR_RGB2RGBA), np.uint8)
        wanted = Refinement(settings.smoothing, settings.sharp_edges, settings.remove_specks)
        mask = self._segmenter.segment(frame_rgba, time_ns, wanted).mask
        return alpha_of(mask, picture_rgb, settings, self._steady, time_ns)
