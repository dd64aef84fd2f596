# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks closer at a small person without losing sight of the rest of the frame.

OBS sends the whole frame always, and beside it the region that was asked for. The region is what the network looks at;
the whole frame when something has moved beyond the region, when the person touches its border or is not to be seen in
it, and now and then. So whoever comes in is found in the very frame in which the whole frame's mask would show them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...models.trust import VerifiedModel
from ..bridge.region import WHOLE, Region
from .attention import ENTER, MARGIN, PERSON, Attention, Box, box_of, cover
from .motion import MotionWatch, pixels_of
from .network import Network
from .pipeline import Look, Segmented, Segmenter
from .refine import Refinement

LOOK_UP_S = 0.5  # the whole frame is looked at this often
REMEMBER_S = 0.25  # what has moved counts for at least so long
# Looking closer must find this much of what the whole frame's mask shows there, or it is wrong as often as this.
LEAST_FOUND, STRIKES = 0.6, 2
LEAST_SEEN_PX = 30

Byte = NDArray[np.uint8]


class Closer(NamedTuple):
    """A part of a frame, as large as the whole: HxWx4 uint8 RGBA."""

    region: Region
    frame_rgba: Byte


class Answer(NamedTuple):
    """A mask, the region of the frame that it covers (beyond it is nobody), and the one to be sent from now on."""

    segmented: Segmented
    region: Region
    wanted: Region


class AttentiveSegmenter:
    """Finds the person in one sequence of frames. For one thread."""

    def __init__(self, model: VerifiedModel | Network, device: str = "auto") -> None:
        """As ``Segmenter``."""
        self._whole = Segmenter(model, device)
        self.network = self._whole.network
        self._near = self._whole
        self._region = WHOLE
        self._attention = Attention()
        self._watch = MotionWatch()
        self._strikes = 0
        self._others_are_there = False
        self._referred = self._whole, WHOLE

    def segment(
        self,
        frame_rgba: Byte,
        capture_ns: int,
        wanted: Refinement,
        attend: bool = True,
        closer: Closer | None = None,
    ) -> Answer:
        """The mask of the frame captured at ``capture_ns``; see ``Segmenter.segment``. Raises InferenceError.

        ``closer`` is a part of the same frame. Without ``attend`` the mask is that of the whole, as a ``Segmenter``
        gives it, and no part is wanted.
        """
        if not attend:
            return Answer(self._whole.segment(frame_rgba, capture_ns, wanted), WHOLE, WHOLE)
        if closer is None:
            return self._look_at_all(frame_rgba, capture_ns, wanted)
        if closer.region != self._region:
            # What smoothing and recurrent networks remember lies elsewhere now.
            self._near, self._region = Segmenter(self.network), closer.region
            self._strikes, self._others_are_there = 0, False
        near = kept(self._near.look(closer.frame_rgba, capture_ns))
        box = box_of(near.alpha, closer.region)
        if self._must_look_up(frame_rgba, capture_ns, box):
            look = kept(self._whole.look(frame_rgba, capture_ns))
            if box is not None:
                self._remember(frame_rgba, capture_ns)
            near = with_times(near, look)
            both = self._compared(look, near)
            if both is not None:
                segmented = self._whole.refined(both, frame_rgba, capture_ns, wanted)
                return Answer(segmented, WHOLE, self._attend(capture_ns, box, box_of(both.alpha)))
        segmented = self._near.refined(near, closer.frame_rgba, capture_ns, wanted)
        return Answer(segmented, closer.region, self._follow(frame_rgba, capture_ns, box))

    def refer(self, answer: Answer, frame_rgba: Byte, capture_ns: int, closer: Closer | None) -> None:
        """Have ``carry`` start from the ``answer`` that ``segment`` gave last; see ``Segmenter.refer``."""
        if answer.region.is_whole:
            self._whole.refer(frame_rgba, capture_ns)
            self._referred = self._whole, WHOLE
        elif closer is not None:
            self._near.refer(closer.frame_rgba, capture_ns)
            self._referred = self._near, closer.region

    def carry(self, frame_rgba: Byte, capture_ns: int, wanted: Refinement, closer: Closer | None) -> Answer | None:
        """The mask that was referred to, carried to this frame; see ``Segmenter.carry``. None also if that mask shows a
        region which this frame does not bring."""
        segmenter, region = self._referred
        if region.is_whole:
            carried = segmenter.carry(frame_rgba, capture_ns, wanted)
        elif closer is not None and closer.region == region:
            carried = segmenter.carry(closer.frame_rgba, capture_ns, wanted)
        else:
            carried = None
        return Answer(carried, region, self._attention.region) if carried else None

    def settle(self, frame_rgba: Byte) -> Region:
        """The region to look closer at in a picture that has nothing before it. Raises InferenceError."""
        box = box_of(self._whole.look(frame_rgba, 0).alpha)
        return self._attention.look_at(box) if box else WHOLE

    def _look_at_all(self, frame_rgba: Byte, capture_ns: int, wanted: Refinement) -> Answer:
        """Without a closer look: only the region for the next frames is found out."""
        look = self._whole.look(frame_rgba, capture_ns)
        region = self._follow(frame_rgba, capture_ns, box_of(look.alpha))
        return Answer(self._whole.refined(look, frame_rgba, capture_ns, wanted), WHOLE, region)

    def _follow(self, frame_rgba: Byte, capture_ns: int, box: Box | None) -> Region:
        """The region after the person was seen in ``box``. Nobody seen: who is too small for that is looked for where
        something moves."""
        region = self._attention.note(capture_ns, box)
        if box is None:
            moving = self._watch.change(frame_rgba)
            region = self._attention.search(moving) if moving else region
            self._remember(frame_rgba, capture_ns)
        return region

    def _remember(self, frame_rgba: Byte, capture_ns: int) -> None:
        """Not every frame: slow movement would never be seen."""
        if not 0 <= capture_ns - self._watch.time_ns < REMEMBER_S * 1e9:
            self._watch.remember(frame_rgba, capture_ns)

    def _must_look_up(self, frame_rgba: Byte, capture_ns: int, box: Box | None) -> bool:
        if self._attention.is_in_doubt:
            return True
        is_due = not 0 <= capture_ns - self._watch.time_ns < LOOK_UP_S * 1e9
        if is_due or box is None or self._others_are_there or box.is_cut_by(self._region):
            return True
        return self._watch.change(frame_rgba, beyond=self._region) is not None

    def _compared(self, look: Look, near: Look) -> Look | None:
        """What the whole frame's mask and the closer look show together, if that is more than the closer look shows;
        and what the whole shows alone, as long as the closer look is not to be trusted."""
        if self._attention.is_in_doubt:
            return near._replace(alpha=look.alpha)
        height, width = look.alpha.shape
        inside = pixels_of(self._region, width, height)
        seen_px = np.count_nonzero(look.alpha[inside] >= PERSON)
        found_px = np.count_nonzero(near.alpha >= PERSON) * self._region.side**2
        if seen_px >= LEAST_SEEN_PX and found_px < LEAST_FOUND * seen_px:
            self._strikes += 1
            return near._replace(alpha=look.alpha)
        self._strikes = 0
        others = look.alpha.copy()
        others[inside] = 0
        self._others_are_there = box_of(others) is not None
        return near._replace(alpha=pasted(look.alpha, near.alpha, self._region)) if self._others_are_there else None

    def _attend(self, capture_ns: int, near: Box | None, everybody: Box | None) -> Region:
        """The region after a look at the whole frame that showed more: it stays with the person who is small, unless
        all fit into one, or the closer look is worse than the whole."""
        if self._strikes:
            self._attention.note(capture_ns, everybody)
            if self._strikes >= STRIKES:
                self._attention.give_up()
            return self._attention.region
        fits = everybody is not None and cover(everybody.padded(MARGIN)).side <= ENTER
        return self._attention.note(capture_ns, everybody if fits or near is None else near)


def kept(look: Look) -> Look:
    """A look whose alpha stays when the network looks at something else."""
    return look._replace(alpha=look.alpha.copy())


def with_times(look: Look, other: Look) -> Look:
    """A look that has cost what both of them did."""
    return look._replace(
        prepare_ms=look.prepare_ms + other.prepare_ms,
        infer_ms=look.infer_ms + other.infer_ms,
        is_repeat=look.is_repeat and other.is_repeat,
    )


def pasted(whole: Byte, near: Byte, region: Region) -> Byte:
    """The whole frame's mask with that of a region, as large, in its place."""
    height, width = whole.shape
    wide, high = max(round(region.side * width), 1), max(round(region.side * height), 1)
    small = cv2.resize(near, (wide, high), interpolation=cv2.INTER_AREA)
    scale_x, scale_y = region.side * width / wide, region.side * height / high
    move_x, move_y = (region.left * width + (scale_x - 1) / 2, region.top * height + (scale_y - 1) / 2)
    place = np.array([[scale_x, 0, move_x], [0, scale_y, move_y]], np.float32)
    placed = cv2.warpAffine(small, place, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    result = whole.copy()
    inside = pixels_of(region, width, height)
    result[inside] = placed[inside]
    return result
