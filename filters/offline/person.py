# SPDX-License-Identifier: GPL-2.0-or-later
"""The person's alpha in whole pictures: the engine's way from frame to mask, then the shader's to the full size."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bridge.region import WHOLE, Region
from ..engine.closer import Answer, AttentiveSegmenter, Closer
from ..engine.network import Network
from ..engine.refine import Refinement, Refiner
from ..obs.settings import FilterSettings
from .both_ways import BothWays
from .compose import Alpha, Picture, alpha_of, draw_alpha, in_depth, planes_of, shaped
from .planes import Colours, Planes, part_of, pixels, small_rgb

if TYPE_CHECKING:  # FFmpeg's libraries: pictures do without them
    from .reading import Frame

Byte = NDArray[np.uint8]
Mask = NDArray[Any]  # as of ``Segmenter.segment``: alpha h x w uint8, or factors float16 h x w x 4

LOOKS = 4  # closer looks at one picture, each at the region that the one before asked for
STRETCH = 120  # frames: after each of them a video's work can be taken up again
WARM_UP = 16  # frames, for a network or a filter that remembers


class PersonFinder:
    """Finds the person in one sequence of pictures, such as a camera's; looks closer at small people if the settings
    say so. For one thread.

    >>> PersonFinder(load_network(read_model(entry)).network, DEFAULTS).alpha(picture_rgb, 0)
    """

    def __init__(self, network: Network, settings: FilterSettings) -> None:
        self._segmenter = AttentiveSegmenter(network)
        self._wanted_region = WHOLE
        self.settings = settings

    def alpha(self, picture_rgb: Picture, time_ns: int) -> Alpha:
        """The alpha, HxW uint8, of a picture HxWx3, taken at ``time_ns`` of the sequence. Raises InferenceError."""
        return self._drawn(self.answer(picture_rgb, time_ns), picture_rgb)

    def alpha_of_still(self, picture_rgb: Picture) -> Alpha:
        """The same of a picture that nothing follows: looked at as closely as a sequence would be in the end."""
        if self.settings.attention:
            self._wanted_region = self._segmenter.settle(small_rgba(picture_rgb, self._segmenter.network))
        for _ in range(LOOKS):
            region = self._wanted_region
            answer = self.answer(picture_rgb, 0)
            if answer.wanted == region:
                break
        return self._drawn(answer, picture_rgb)

    def answer(self, picture_rgb: Picture, time_ns: int, ahead_ms: float = 0.0) -> Answer:
        """The small mask that ``alpha`` is made of, moved ``ahead_ms`` into the future. Raises InferenceError."""
        region, network = self._wanted_region, self._segmenter.network
        closer = None
        if not region.is_whole:
            closer = Closer(region, small_rgba(picture_rgb[pixels(region, picture_rgb.shape[:2])], network))
        wanted = refinement(self.settings)._replace(ahead_ms=ahead_ms)
        frame_rgba = small_rgba(picture_rgb, network)
        answer = self._segmenter.segment(frame_rgba, time_ns, wanted, self.settings.attention, closer)
        self._wanted_region = answer.wanted
        return answer

    def _drawn(self, answer: Answer, picture_rgb: Picture) -> Alpha:
        return alpha_within(answer.region, answer.segmented.mask, picture_rgb, self.settings)


class Found(NamedTuple):
    """A video's frame with its mask, and the region of the frame that the mask covers: beyond it is nobody."""

    frame: Frame
    mask: Mask
    region: Region


class ClipPersonFinder:
    """Finds the person in a video, frame by frame, knowing what follows. For one thread.

    What it remembers of earlier frames begins anew at each `STRETCH`, after a few frames to warm up, and smoothing
    reaches over a few frames only: so the mask of a frame does not depend on where a run began. Looking closer at small
    people remembers all the way: then a run has to begin with the first frame.
    """

    def __init__(
        self, network: Network, settings: FilterSettings, colours: Colours, first: int = 0, first_given: int = 0
    ) -> None:
        """Frames before the ``first`` only warm up; masks of those before ``first_given`` only smooth others."""
        self._network, self._settings, self._colours = network, settings, colours
        self._first, self._first_given = first, first_given
        self._segmenter = AttentiveSegmenter(network)
        self._wanted_region = WHOLE
        self._before: collections.deque[tuple[Byte, int]] = collections.deque(maxlen=WARM_UP)
        self._smoother: BothWays[tuple[Frame, Byte, Region]] = BothWays(settings.smoothing)
        self._refiner = Refiner()

    def push(self, frame: Frame, time_ns: int) -> Iterator[Found]:
        """Take the next frame; gives those that are finished, with the masks that ``alpha_of_planes`` takes.

        Raises InferenceError.
        """
        frame_rgba = self._small(frame.planes)
        if frame.number >= self._first:
            closer = None
            if not self._wanted_region.is_whole:
                closer = Closer(self._wanted_region, self._small(part_of(frame.planes, self._wanted_region)))
            answer = self._answer(frame.number, frame_rgba, time_ns, closer)
            seen_rgba = closer.frame_rgba if closer and not answer.region.is_whole else frame_rgba
            raw, item = np.array(answer.segmented.mask, np.uint8), (frame, seen_rgba, answer.region)
            yield from self._given(self._smoother.push(item, raw, seen_rgba, time_ns, answer.region))
        self._before.append((frame_rgba, time_ns))

    def flush(self) -> Iterator[Found]:
        """The last frames, at the end of the video."""
        yield from self._given(self._smoother.flush())

    def _small(self, planes: Planes) -> Byte:
        """A picture as a frame of the network's input size, h x w x 4."""
        small = small_rgb(planes, self._colours, self._network.width, self._network.height)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA), np.uint8)

    def _answer(self, number: int, frame_rgba: Byte, time_ns: int, closer: Closer | None) -> Answer:
        """The network's mask without specks, h x w uint8, and the region to be looked at in the next frame."""
        wanted, attend = Refinement(no_specks=self._settings.remove_specks), self._settings.attention
        if number % STRETCH == 0 and not attend:
            self._segmenter = AttentiveSegmenter(self._network)
            for before_rgba, before_ns in self._before:
                self._segmenter.segment(before_rgba, before_ns, wanted, attend)
        answer = self._segmenter.segment(frame_rgba, time_ns, wanted, attend, closer)
        self._wanted_region = answer.wanted
        return answer

    def _given(self, smoothed: Iterator[tuple[tuple[Frame, Byte, Region], Byte]]) -> Iterator[Found]:
        """The smoothed masks, h x w uint8, refined, in memory of their own."""
        for (frame, seen_rgba, region), alpha in smoothed:
            if frame.number < self._first_given:
                continue
            wanted = refinement(self._settings)._replace(smoothing=0.0, no_specks=False)
            yield Found(frame, self._refiner.refine(alpha, seen_rgba, 0, wanted).copy(), region)


def alpha_within(region: Region, mask: Mask, picture_rgb: Picture, settings: FilterSettings) -> Alpha:
    """``alpha_of`` for a mask that covers a region of the picture; beyond it is nobody."""
    if region.is_whole:
        return alpha_of(mask, picture_rgb, settings)
    covered = pixels(region, picture_rgb.shape[:2])
    alpha = np.zeros(picture_rgb.shape[:2], np.uint8)
    alpha[covered] = draw_alpha(planes_of(mask), np.ascontiguousarray(picture_rgb[covered]), settings.ramp())
    return shaped(alpha, settings)


def small_rgba(picture_rgb: Picture, network: Network) -> NDArray[np.uint8]:
    """The area mean of a picture HxWx3 as a frame, h x w x 4, of the network's input size."""
    small_rgb = cv2.resize(picture_rgb, (network.width, network.height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(in_depth(small_rgb, np.dtype(np.uint8)), cv2.COLOR_RGB2RGBA), np.uint8)


def refinement(settings: FilterSettings) -> Refinement:
    """What the settings want of a mask."""
    return Refinement(settings.smoothing, settings.sharp_edges, settings.remove_specks)
