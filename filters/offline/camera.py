# SPDX-License-Identifier: GPL-2.0-or-later
"""The camera's picture through the filter, live: each frame with its own mask, or the newest with the newest mask.

One thread finds the person in the newest frame, another makes the picture and shows it: nothing queues. Fail closed:
without a fresh mask the picture is hidden, blurred beyond recognition, or, if the user asked for it, shown as it is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bridge.region import Region
from ..engine.network import InferenceError, Network
from ..obs.compose import BLURRED_HEIGHT, BLURRED_WIDTH, wants_despill
from ..obs.filter import FRESH_AT_MOST_S, FRESH_FRAMES, FRESH_MASKS, FRESH_S
from ..obs.settings import FilterSettings
from .backgrounds import Background
from .capture import CameraFrame, Newest
from .compose import Alpha, Picture, over
from .despill import despill
from .person import PersonFinder, alpha_within

IDLE_S = 0.5  # between two pictures while nobody looks
FIGURES_OVER = 60  # frames and masks
NEW_SHARE = 0.05  # of the newest value in a mean that follows slowly, as in the filter


class Sink(Protocol):
    """Where pictures go, such as ``VirtualCamera``."""

    def send(self, picture_rgb: Picture) -> None:
        """Show a picture, HxWx3 uint8."""


@dataclass(frozen=True)
class Look:
    """What is wanted of the picture. The settings' ``background`` is a key of the backgrounds there are.

    ``is_frozen``: the picture stays as it is; ``is_off``: it is black, and the camera is not needed.
    """

    settings: FilterSettings
    is_mirrored: bool = False
    is_frozen: bool = False
    is_off: bool = False


class Masked(NamedTuple):
    """A frame and its small mask, as ``Segmenter.segment`` gives it, and the region of the frame that this covers."""

    frame: CameraFrame
    mask: NDArray[np.uint8] | NDArray[np.float16]
    region: Region


class Figures(NamedTuple):
    """Frames shown per second, ms per mask, how late the picture is in ms; and why there is no picture of a person."""

    shown_hz: float
    mask_ms: float
    delay_ms: float
    problem: str


class LiveFilter:
    """Context manager that runs the two threads; ``put`` the camera's frames.

    ``look`` may be replaced at any time. What is shown goes to ``sinks`` and is left in ``shown``.
    """

    def __init__(
        self,
        network: Network,
        look: Look,
        backgrounds: Mapping[str, Background],
        size: tuple[int, int],
        rate_hz: float,
        sinks: tuple[Sink, ...] = (),
    ) -> None:
        """``size``: width and height of what is shown; ``rate_hz``: of the camera."""
        self.look = look
        self.is_idle = False  # nobody looks: black is shown now and then
        self.shown: Newest[Picture] = Newest()
        self.error: Exception | None = None  # something unexpected has ended it
        self._problem = ""
        self._finder, self._network = PersonFinder(network, look.settings), network
        self.backgrounds, self._sinks = backgrounds, sinks
        self.black = np.zeros((size[1], size[0], 3), np.uint8)
        self._rate_hz = rate_hz
        self._frames: Newest[CameraFrame] = Newest()
        self._masks: Newest[Masked] = Newest()
        self._mask_age_ms = self._delay_ms = self._mask_ms = 0.0
        self._made_ns: deque[int] = deque(maxlen=FIGURES_OVER)
        self._begin_ns = time.monotonic_ns()  # when a video behind the person begins
        self._picture: tuple[Picture, int] | None = None  # the last that was made, and when its mask's frame came
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=work.__name__.strip("_"), daemon=True)
            for work in (self._find, self._show)
        ]

    def __enter__(self) -> LiveFilter:
        cv2.setNumThreads(1)  # each stage has a thread
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(2.0)  # a driver that hangs ends with the process

    def put(self, frame: CameraFrame) -> None:
        """A frame has come from the camera."""
        if self.look.is_mirrored:
            frame = frame._replace(rgb=np.asarray(cv2.flip(frame.rgb, 1)), is_mirrored=True)
        self._frames.put(frame)

    def figures(self) -> Figures:
        """How it goes."""
        made_ns = list(self._made_ns)
        span_s = (time.monotonic_ns() - made_ns[0]) / 1e9 if made_ns else 0.0
        shown_hz = len(made_ns) / span_s if span_s else 0.0
        frame = self._frames.last()
        is_silent = frame is not None and not self._is_fresh(frame.capture_ns)
        problem = self._problem or ("The camera sends no pictures" if is_silent else "")
        return Figures(shown_hz, self._mask_ms, self._delay_ms, problem)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a thread's work; what is unexpected ends all of it, as nothing may be shown that nobody watches over."""
        try:
            work()
        except Exception as error:
            self.error = error
            self._end.set()

    def _find(self) -> None:
        """The thread that finds the person in the newest frame."""
        number, was_mirrored = 0, False
        while not self._end.is_set():
            number, frame = self._frames.newer_than(number, IDLE_S)
            if frame is None or self.is_idle or self.look.is_off:
                continue
            if frame.is_mirrored != was_mirrored:  # what it remembers is of the other way round
                was_mirrored, self._finder = frame.is_mirrored, PersonFinder(self._network, self.look.settings)
            self._finder.settings = settings = self.look.settings
            try:
                ahead_ms = self._mask_age_ms if settings.timing == "no_delay" else 0.0
                answer = self._finder.answer(frame.rgb, frame.capture_ns, ahead_ms)
            except InferenceError as error:
                self._problem = f"The model failed: {error}"
                self._finder = PersonFinder(self._network, settings)  # what it remembered may be why
                continue
            self._problem = ""
            found = answer.segmented
            if not found.is_repeat:
                self._mask_ms = followed(self._mask_ms, found.prepare_ms + found.infer_ms + found.refine_ms)
            self._masks.put(Masked(frame, found.mask.copy(), answer.region))

    def _show(self) -> None:
        """The thread that makes pictures and shows them."""
        number = 0
        while not self._end.is_set():
            look, wait_s = self.look, 2 / self._rate_hz
            if self.is_idle or look.is_off:
                self._end.wait(IDLE_S)
                self._picture, picture = None, self.black
            elif look.is_frozen and self._picture:
                self._end.wait(wait_s)
                picture = self._picture[0]
            else:
                awaited: Newest[CameraFrame] | Newest[Masked]
                awaited = self._frames if look.settings.timing == "no_delay" else self._masks
                number, item = awaited.newer_than(min(number, awaited.number), wait_s)
                if item is not None:
                    self._make(look, item)
                picture = self._picture[0] if self._picture and self._is_fresh(self._picture[1]) else self._hidden(look)
            for sink in self._sinks:
                sink.send(picture)
            self.shown.put(picture)

    def _make(self, look: Look, item: CameraFrame | Masked) -> None:
        """The picture of a frame with its own mask, or of a frame with the newest mask if that is fresh."""
        masked = item if isinstance(item, Masked) else self._masks.last()
        if masked is None or not self._is_fresh(masked.frame.capture_ns):
            return
        frame = item if isinstance(item, CameraFrame) else masked.frame
        if masked.frame.rgb.shape != frame.rgb.shape or masked.frame.is_mirrored != frame.is_mirrored:
            return
        alpha = alpha_within(masked.region, masked.mask, frame.rgb, look.settings)
        # A copy: the other thread may still look at the frame.
        rgb = frame.rgb.copy()
        self._picture = self._composed(rgb, alpha, look, frame.capture_ns), masked.frame.capture_ns
        now_ns = time.monotonic_ns()
        self._made_ns.append(now_ns)
        self._delay_ms = followed(self._delay_ms, (now_ns - frame.capture_ns) / 1e6)
        self._mask_age_ms = followed(self._mask_age_ms, (now_ns - masked.frame.capture_ns) / 1e6)

    def _composed(self, frame_rgb: Picture, alpha: Alpha, look: Look, capture_ns: int) -> Picture:
        """The frame, which is spoilt, as it is to be shown."""
        if look.settings.preview_mask:
            return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB))
        background = self.backgrounds[look.settings.background]
        behind_rgb = background.behind(frame_rgb, alpha, (capture_ns - self._begin_ns) / 1e9)
        if wants_despill(look.settings):
            despill(frame_rgb, alpha)
        return over(frame_rgb, alpha, behind_rgb)

    def _is_fresh(self, capture_ns: int) -> bool:
        """Whether a mask of this time may still be shown: the rule of the filter in OBS."""
        slow_s = max(FRESH_FRAMES / self._rate_hz, FRESH_MASKS * self._mask_ms / 1e3)
        return time.monotonic_ns() - capture_ns <= 1e9 * max(FRESH_S, min(slow_s, FRESH_AT_MOST_S))

    def _hidden(self, look: Look) -> Picture:
        """What is shown without a mask."""
        self._picture = None  # it is too old, and stays so
        frame = self._frames.last()
        if frame is None or not self._is_fresh(frame.capture_ns):
            return self.black
        if look.settings.without_mask == "source":
            return frame.rgb
        if look.settings.without_mask == "blur":
            size = frame.rgb.shape[1::-1]
            small = cv2.resize(frame.rgb, (BLURRED_WIDTH, BLURRED_HEIGHT), interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
        return self.black


def followed(mean: float, value: float) -> float:
    """A mean that follows slowly; the first value is the mean."""
    return mean + (NEW_SHARE if mean else 1.0) * (value - mean)
