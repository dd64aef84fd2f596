# SPDX-License-Identifier: GPL-2.0-or-later
"""One filter's stream: its end of the bridge, its network, its memory, its status."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from ..bridge.frame_slots import Frame, FrameReader
from ..bridge.layout import (
    FLAG_ATTENTION,
    FLAG_NO_SPECKS,
    FLAG_SHARP_EDGES,
    FORMAT_R8_ALPHA,
    FORMAT_RGBA16F_FACTORS,
)
from ..bridge.mask_slots import MaskWriter
from ..bridge.messages import AUTOMATIC
from ..bridge.problems import Problem
from ..bridge.region import has_room_for_two
from ..bridge.segment import Segment
from ..bridge.status import State, StatusWriter
from .closer import Answer, AttentiveSegmenter, Closer
from .library import Wish
from .network import InferenceError, Network
from .pipeline import Segmented
from .prepare import view_frame
from .providers import DEVICES
from .refine import Refinement
from .timings import Timings

STATUS_INTERVAL_S = 0.25
# Of the frames that the network takes, the share before which it missed some; and the weight of each in that mean.
BEHIND, MISSED_WEIGHT = 0.1, 0.05
# A hidden source sends no frame that would end a switch; its old network must not stay in memory for it.
SWITCH_WITHIN_S = 5.0


class Stream:
    """For the loop's thread, but for ``fill``. ``asked`` is what OBS asked for last, ``wish`` the same with a model's
    name where OBS left the choice to us; ``network`` is what runs, perhaps another."""

    def __init__(self, stream_id: int, segment: Segment, wish: Wish) -> None:
        self.id = stream_id
        self.asked = self.wish = wish
        self.waits = False  # for what it asked for last
        self._segment = segment
        self._frames, self._frames_to_fill = FrameReader(segment), FrameReader(segment)
        self._masks = MaskWriter(segment)
        self._publishing, self._filling = threading.Lock(), threading.Lock()
        self._published_id = 0
        self._missing = 0.0
        self._status = StatusWriter(segment)
        self._segmenter: AttentiveSegmenter | None = None
        self._outgoing: AttentiveSegmenter | None = None  # until OBS sends frames of the new network's size
        self._outgoing_until_s = 0.0
        self._last_frame_id = 0
        self._timings = Timings()
        self._status_due_s = 0.0
        self._failure: Problem | None = None

    @property
    def network(self) -> Network | None:
        """The network that runs, if any."""
        return self._segmenter.network if self._segmenter else None

    @property
    def is_behind(self) -> bool:
        """Whether the network misses so many frames that earlier masks are to be carried to them."""
        return self._missing > BEHIND

    @property
    def title(self) -> str:
        """What the status calls the model."""
        is_ours = self.asked.model == AUTOMATIC and self.wish.model != AUTOMATIC
        return f"{AUTOMATIC}:{self.wish.title}" if is_ours else self.wish.title

    def turn(self) -> None:
        """One turn of the loop: a mask if there is a new frame, a sign of life. Raises as ``serve`` does."""
        self.serve()
        self.beat()

    def serve(self) -> None:
        """Take the newest frame, find the person, publish the mask.

        Raises BridgeError for a segment that misbehaves, InferenceError for a network that fails.
        """
        frame = self._frames.take_newest(self._last_frame_id) if self._segmenter else None
        if frame is None:
            return
        self._missing += MISSED_WEIGHT * ((frame.frame_id > self._last_frame_id + 1) - self._missing)
        self._last_frame_id = frame.frame_id
        segmenter = self._segmenter_for(frame)
        if segmenter is None:
            return
        self._status.take_in_hand(frame.frame_id)
        try:
            answer = segment(segmenter, frame)
        except InferenceError:
            if segmenter is not self._outgoing:
                raise
            self._outgoing = None
            self._status.take_in_hand(0)
            return
        if self.is_behind:
            segmenter.refer(answer, picture_of(frame), frame.capture_ns, closer_of(frame))
        self._publish(frame, answer)
        self._status.take_in_hand(0)
        self._note(frame, answer.segmented)

    def fill(self) -> None:
        """Publish a mask of the newest frame without inference, if the loop has not: an earlier mask, carried there.

        For a thread of its own, while the loop is at an inference. Raises as ``serve`` does.
        """
        with self._filling:
            segmenter = self._segmenter if self.is_behind else None
            frame = self._frames_to_fill.take_newest(self._published_id) if segmenter else None
            if segmenter is None or frame is None:
                return
            answer = segmenter.carry(picture_of(frame), frame.capture_ns, wanted_of(frame), closer_of(frame))
            if answer is not None:
                self._publish(frame, answer)

    def _publish(self, frame: Frame, answer: Answer) -> None:
        """Publish a mask, unless OBS has one of this frame or of a later one."""
        result = answer.segmented
        mask = result.mask
        with self._publishing:
            if frame.frame_id <= self._published_id:
                return
            self._published_id = frame.frame_id
            self._masks.publish(
                mask.data,
                mask.shape[1],
                mask.shape[0],
                mask.strides[0],
                frame.frame_id,
                frame.capture_ns,
                result.prepare_ms,
                result.infer_ms,
                result.refine_ms,
                FORMAT_R8_ALPHA if mask.dtype == np.uint8 else FORMAT_RGBA16F_FACTORS,
                answer.region,
                answer.wanted,
            )

    def _segmenter_for(self, frame: Frame) -> AttentiveSegmenter | None:
        """Who takes a frame of this size. After a switch OBS sends frames of the old size until it has seen the status
        that tells the new one: the old network goes on with them, so that masks never stop."""
        size = frame.width, frame.height
        if self._segmenter and size == (self._segmenter.network.width, self._segmenter.network.height):
            self._outgoing = None
            return self._segmenter
        if self._outgoing and size == (self._outgoing.network.width, self._outgoing.network.height):
            return self._outgoing
        return None

    def _note(self, frame: Frame, result: Segmented) -> None:
        if result.is_repeat:
            self._timings.repeat(time.monotonic())
            return
        round_trip_ms = max(time.monotonic_ns() - frame.capture_ns, 0) / 1e6
        self._timings.add(time.monotonic(), result.prepare_ms, result.infer_ms, result.refine_ms, round_trip_ms)

    def beat(self) -> None:
        """Show that the loop turns; bring the figures up to date four times a second."""
        self._status.beat()
        now_s = time.monotonic()
        if now_s >= self._outgoing_until_s:
            self._outgoing = None
        if self._segmenter and now_s >= self._status_due_s:
            self._status_due_s = now_s + STATUS_INTERVAL_S
            self._status.write(**self._timings.fields(now_s))

    def ask_for(self, wish: Wish) -> None:
        """OBS wants another model or device: what failed before is forgotten."""
        self.asked = self.wish = wish
        self._failure = None

    def loading(self, size: tuple[int, int] | None) -> None:
        """A network is on its way. One that runs runs on; without one, ``size`` lets OBS capture ahead."""
        self.waits = True
        if self._segmenter is None:
            width, height = size or (0, 0)
            self._status.write(
                state=State.LOADING,
                model=self.title,
                device="",
                input_width=width,
                input_height=height,
                problem=None,
            )
        else:
            self._status.write(problem=None)

    def use(self, network: Network, problem: Problem | None) -> None:
        """Go on with this network; ``problem`` tells what about it is not as wished."""
        self.waits = False
        if network is not self.network:
            self._outgoing, self._segmenter = self._segmenter, AttentiveSegmenter(network)
            self._outgoing_until_s = time.monotonic() + SWITCH_WITHIN_S
            self._timings = Timings()
        self._status.write(
            state=State.READY,
            model=self.title,
            device=DEVICES[network.device].title,
            input_width=network.width,
            input_height=network.height,
            problem=problem or self._failure,
        )

    def refuse(self, problem: Problem) -> None:
        """The wish can't be met: the network that ran runs on."""
        self.waits = False
        if self._segmenter is None:
            self._status.write(state=State.REFUSED, problem=problem)
        else:
            self._status.write(problem=problem)

    def fail(self, problem: Problem) -> None:
        """The network that ran has failed: no more masks from it. Why stays visible when another one runs."""
        self._failure = problem
        self._segmenter = self._outgoing = None
        self._status.take_in_hand(0)
        self._status.write(state=State.FAILED, problem=problem, **Timings().fields(0.0))

    def close(self) -> None:
        """Let go of the segment. May be called twice."""
        self._segmenter = self._outgoing = None
        with self._filling:
            self._segment.close()


def segment(segmenter: AttentiveSegmenter, frame: Frame) -> Answer:
    """The mask of a frame as the frame asks for it; raises InferenceError."""
    attend = bool(frame.flags & FLAG_ATTENTION) and has_room_for_two(frame.width, frame.height)
    return segmenter.segment(picture_of(frame), frame.capture_ns, wanted_of(frame), attend, closer_of(frame))


def picture_of(frame: Frame) -> NDArray[np.uint8]:
    """A frame's pixels, HxWx4 uint8 RGBA."""
    return view_frame(frame.pixels, frame.width, frame.height, frame.row_bytes)


def wanted_of(frame: Frame) -> Refinement:
    """What a frame asks of its mask. OBS averages alpha itself, at the frame's size (``steady.effect``)."""
    sharp_edges, no_specks = bool(frame.flags & FLAG_SHARP_EDGES), bool(frame.flags & FLAG_NO_SPECKS)
    return Refinement(sharp_edges=sharp_edges, no_specks=no_specks, ahead_ms=frame.ahead_ms)


def closer_of(frame: Frame) -> Closer | None:
    """The part of the frame that came with it, if one did."""
    if frame.region.is_whole:
        return None
    below = memoryview(frame.pixels)[frame.height * frame.row_bytes :]
    return Closer(frame.region, view_frame(below, frame.width, frame.height, frame.row_bytes))
