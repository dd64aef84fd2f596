# SPDX-License-Identifier: GPL-2.0-or-later
"""Which part of the frame to look at closer: around a person who is small in it, and at rest while she is.

The region has the frame's own proportions, so a network sees people as it always does, only larger. It moves when the
person is about to leave it and grows at once; it shrinks when she has been smaller for a while. Where more than
`LEAVE` of either side is needed the whole frame is looked at, as without this.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bridge.region import WHOLE, Region
from .specks import LEAST_PART, find_parts, touching

STEPS = 64  # regions lie on a grid of so many steps a side
LEAST_STEPS = 22  # a third of each side: three times as many pixels on her, and no more
ENTER, LEAVE = 0.75, 0.85  # of a side: what is larger is not worth it, or not worth it any more
MARGIN = 0.3  # around the person, of her larger side; people are found by what is around them, too
LEAST_MARGIN = 0.1  # when less than this is left the region moves
SHRINK = 0.75  # of the region's side: so much smaller the new one has to be
SMALL = 0.45  # of the region's side: a smaller person is too small again, and the region follows at once
HISTORY_S, RECENT_S, SETTLE_S = 1.5, 0.4, 0.4  # what counts for a smaller region, for a moving one, for the first
LEAST_SIGHTINGS = 3
LOST_S = 1.0  # nobody seen for so long: the whole frame
MAX_GAP_S = 5.0  # a longer pause: whoever was there may be elsewhere
DISTRUST_S = 10.0
CONFIRM_S = 0.4  # who is found only by searching counts after having been there for so long
PERSON, LEAST_PERSON_PX = 128, 12  # the mask's value and number of pixels from which somebody is there

Byte = NDArray[np.uint8]


class Box(NamedTuple):
    """A rectangle, in fractions of the frame's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def padded(self, margin: float) -> Box:
        """With a margin of so much of its larger side, as far as the frame reaches."""
        pad = margin * max(self.right - self.left, self.bottom - self.top)
        left, top = max(self.left - pad, 0.0), max(self.top - pad, 0.0)
        return Box(left, top, min(self.right + pad, 1.0), min(self.bottom + pad, 1.0))

    def lies_in(self, region: Region) -> bool:
        """Whether the region holds all of it."""
        right, bottom = region.left + region.side, region.top + region.side
        return region.left <= self.left and region.top <= self.top and self.right <= right and self.bottom <= bottom

    def is_cut_by(self, region: Region) -> bool:
        """Whether it reaches a border of the region that is not the frame's."""
        right, bottom = region.left + region.side, region.top + region.side
        starts = self.left <= region.left > 0 or self.top <= region.top > 0
        return starts or self.right >= right < 1 or self.bottom >= bottom < 1


class Attention:
    """The region for one stream of masks. For one thread."""

    def __init__(self) -> None:
        self.region = WHOLE
        self.is_in_doubt = False  # whether anybody is there at all
        self._met_ns: int | None = None
        self._sightings: deque[tuple[int, Box]] = deque()
        self._time_ns = self._seen_ns = self._changed_ns = self._whole_until_ns = 0

    def note(self, time_ns: int, box: Box | None) -> Region:
        """The region to look at from now on, after the person was seen in ``box`` (None: nobody) at ``time_ns``."""
        if not 0 <= time_ns - self._time_ns <= MAX_GAP_S * 1e9:
            self._sightings.clear()
            self._change(WHOLE)
        self._time_ns = time_ns
        self._confirm(box)
        while self._sightings and time_ns - self._sightings[0][0] > HISTORY_S * 1e9:
            self._sightings.popleft()
        if box is not None:
            self._sightings.append((time_ns, box))
            self._seen_ns = time_ns
            self._follow(box)
        elif not self.region.is_whole and self._since_s(max(self._seen_ns, self._changed_ns)) > LOST_S:
            self._change(WHOLE)
        return self.region

    def look_at(self, box: Box) -> Region:
        """Somebody is in ``box``: look there now, without waiting."""
        self._shrink_to(cover(box.padded(MARGIN)))
        return self.region

    def search(self, box: Box) -> Region:
        """Nobody is seen, but in ``box`` something moves: look whether that is somebody."""
        was_whole = self.region.is_whole
        self.look_at(box)
        if was_whole and not self.region.is_whole:
            self.is_in_doubt, self._met_ns = True, None
        return self.region

    def give_up(self) -> None:
        """Looking closer finds less than looking at the whole: do without for a while."""
        self._change(WHOLE)
        self._whole_until_ns = self._time_ns + round(DISTRUST_S * 1e9)

    def _confirm(self, box: Box | None) -> None:
        if box is None:
            self._met_ns = None
        elif self._met_ns is None:
            self._met_ns = self._time_ns
        elif self._since_s(self._met_ns) >= CONFIRM_S:
            self.is_in_doubt = False

    def _follow(self, box: Box) -> None:
        if not self.region.is_whole and not box.padded(LEAST_MARGIN).lies_in(self.region):
            self._change(cover(self._where_to()))
        elif max(box.right - box.left, box.bottom - box.top) < SMALL * self.region.side and self._is_settled(SETTLE_S):
            self._shrink_to(cover(self._where_to()))
        elif self._is_settled(HISTORY_S):
            self._shrink_to(cover(union([box.padded(MARGIN) for _, box in self._sightings])))

    def _where_to(self) -> Box:
        """Where the person was just now, and where she will be if she goes on like that."""
        recent = [box for time_ns, box in self._sightings if self._since_s(time_ns) <= RECENT_S]
        first, last = recent[0], recent[-1]
        ahead = Box(*(min(max(2 * now - before, 0.0), 1.0) for before, now in zip(first, last)))
        return union([box.padded(MARGIN) for box in (*recent, ahead)])

    def _is_settled(self, wait_s: float) -> bool:
        """Whether so much time has been seen since the last change."""
        began_ns = max(self._sightings[0][0], self._changed_ns)
        return self._since_s(began_ns) >= 0.9 * wait_s and len(self._sightings) >= LEAST_SIGHTINGS

    def _shrink_to(self, region: Region) -> None:
        """Unless it is hardly smaller, or looking closer has been given up."""
        limit = ENTER if self.region.is_whole else SHRINK * self.region.side
        if region.side <= limit and self._time_ns >= self._whole_until_ns:
            self._change(region)

    def _change(self, region: Region) -> None:
        self.region = region if region.side <= LEAVE else WHOLE
        self.is_in_doubt &= not self.region.is_whole
        self._changed_ns = self._time_ns

    def _since_s(self, time_ns: int) -> float:
        return (self._time_ns - time_ns) / 1e9


def box_of(alpha: Byte, region: Region = WHOLE) -> Box | None:
    """Where somebody is in a mask, HxW uint8, that shows this region of the frame; small specks don't count."""
    if np.count_nonzero(alpha >= PERSON) < LEAST_PERSON_PX:
        return None
    parts = [part for part in find_parts(touching(alpha)) if not part.is_hole]
    least_px = max(LEAST_PART * max(part.area_px for part in parts), LEAST_PERSON_PX)
    rectangles = [cv2.boundingRect(part.contour) for part in parts if part.area_px >= least_px]
    height, width = alpha.shape
    boxes = [
        Box(left / width, top / height, (left + wide) / width, (top + high) / height)
        for left, top, wide, high in rectangles
    ]
    if not boxes:
        return None
    return Box(*(start + region.side * at for start, at in zip(2 * region[:2], union(boxes))))


def union(boxes: list[Box]) -> Box:
    """The smallest box that holds all of them; there must be one."""
    lefts, tops, rights, bottoms = zip(*boxes)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def cover(box: Box) -> Region:
    """The smallest region on the grid that holds a box, the box in its middle where the frame lets it."""
    first = [math.floor(start * STEPS) for start in box[:2]]
    last = [math.ceil(end * STEPS) for end in box[2:]]
    side = min(max(LEAST_STEPS, *(end - start for start, end in zip(first, last))), STEPS)
    left, top = (min(max((start + end - side) // 2, 0), STEPS - side) for start, end in zip(first, last))
    return Region(left / STEPS, top / STEPS, side / STEPS)
