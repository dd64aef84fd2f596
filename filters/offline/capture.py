# SPDX-License-Identifier: GPL-2.0-or-later
"""A camera's pictures, the newest of which is all that counts; a camera that goes away is waited for."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from . import camera_v4l2
from .cameras import Camera, CameraError, Wish, choose, ffmpeg_options, find_camera, in_words, listing, modes_of
from .compose import Picture
from .reading import said

RETRY_S = 1.0  # between two looks for a camera that is gone

T = TypeVar("T")


class Newest(Generic[T]):
    """A place for one thing: what is put takes the place of what was there. For any threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._number = 0

    def put(self, item: T) -> None:
        """Leave the newest one."""
        with self._changed:
            self._item, self._number = item, self._number + 1
            self._changed.notify_all()

    @property
    def number(self) -> int:
        """How many were put."""
        return self._number

    def last(self) -> T | None:
        """The newest one."""
        return self._item

    def newer_than(self, number: int, timeout_s: float) -> tuple[int, T | None]:
        """The newest one and its number (from 1 on), once that is above ``number``; None if the time passes first."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._number > number, timeout_s):
                return number, None
            return self._number, self._item


class CameraFrame(NamedTuple):
    """A picture, HxWx3 uint8 RGB, when it came, in ns of the monotonic clock, and whether it was mirrored since."""

    rgb: Picture
    capture_ns: int
    is_mirrored: bool = False


class Capture:
    """A camera that is open; context manager. Raises CameraError.

    ``wish`` is met or refused with what the camera has; ``format`` tells what it gives.
    """

    def __init__(self, camera: Camera, wish: Wish) -> None:
        self.camera = camera
        modes = modes_of(camera) if camera.kind == "v4l2" else []
        chosen = choose(camera, modes, wish)
        try:
            options = ffmpeg_options(camera, chosen)
            self._container = av.open(camera.url, format=camera.kind or None, options=options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise CameraError(why_not(camera, chosen, error)) from error
        video = self._container.streams.best("video")
        if not isinstance(video, VideoStream):
            self._container.close()
            raise CameraError(f"“{camera.name}” gives no picture.")
        context = video.codec_context
        if context.name not in ("rawvideo", "mjpeg"):
            context.thread_type = "SLICE"  # threads for whole frames would hold some back
        self._video = video
        self.width, self.height = context.width, context.height
        self.rate_hz = float(video.average_rate or video.guessed_rate or chosen.rate_hz or 30)
        self.format = f"{context.pix_fmt or context.name} {self.width}x{self.height} at {self.rate_hz:g} per second"

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the camera."""
        self._container.close()

    def frames(self) -> Iterator[CameraFrame]:
        """Its frames as they come; CameraError when it goes away. A file is played at its own speed."""
        begin_s, is_file = time.monotonic(), not self.camera.kind
        packets = self._container.demux(self._video)
        while True:
            try:
                pictures = [(frame.time, rgb_of(frame)) for frame in next(packets).decode()]
            except av.error.InvalidDataError:
                continue  # a damaged picture, as cables make them
            except StopIteration:
                raise CameraError(f"“{self.camera.name}” has ended.") from None
            except (av.error.FFmpegError, OSError, ValueError) as error:
                raise CameraError(f"“{self.camera.name}” is gone: {said(error)}.") from error
            for time_s, rgb in pictures:
                if is_file and time_s is not None:
                    time.sleep(max(begin_s + time_s - time.monotonic(), 0))
                yield CameraFrame(rgb, time.monotonic_ns())


def rgb_of(frame: VideoFrame) -> Picture:
    """The picture of a frame as RGB, in memory that is not the device's."""
    made = frame.reformat(format="rgb24", dst_color_range=ColorRange.JPEG)
    rgb = np.asarray(made.to_ndarray(), np.uint8)
    return rgb.copy() if made is frame else rgb


def why_not(camera: Camera, wish: Wish, error: Exception) -> str:
    """Why a camera can't be opened, and what to do."""
    number = getattr(error, "errno", 0)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"There is no camera at {camera.url}. Is it plugged in?"
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"“{camera.name}” ({camera.url}) may not be used by you. On Linux: sudo usermod -a -G video $USER, and log "
            "in again. On macOS and Windows: allow cameras for the terminal, in the system's settings for privacy."
        )
    if number == errno.EBUSY:
        users = camera_v4l2.holders(camera.url) if camera.kind == "v4l2" else []
        by = f" by {', '.join(f'{user.name} (process {user.pid})' for user in users)}" if users else ""
        return f"“{camera.name}” ({camera.url}) is busy: it is used{by or ' by another program'}. End that first."
    modes = modes_of(camera) if camera.kind not in ("", "v4l2") else []
    has = f" It has:\n{listing(modes)}" if modes else ""
    asked = f" with {in_words(wish)}" if in_words(wish) else ""
    hint = " Another program may be using it." if camera.kind == "dshow" else ""
    return f"“{camera.name}” ({camera.url}) can't be opened{asked}: {said(error)}.{hint}{has}"


class CameraThread:
    """Gives each frame to ``put``; waits for a camera that is gone, under its name if need be; context manager.

    ``report`` hears in words what happens. While ``want(False)`` holds, the camera is let go of.
    """

    def __init__(
        self, capture: Capture, wish: Wish, put: Callable[[CameraFrame], None], report: Callable[[str], None]
    ) -> None:
        self._capture: Capture | None = capture
        self._camera, self._wish = capture.camera, wish
        self._put, self._report = put, report
        self._wanted, self._end = threading.Event(), threading.Event()
        self._wanted.set()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.is_open = True

    def __enter__(self) -> CameraThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._wanted.set()
        self._thread.join(2.0)  # a driver that hangs lets go when the process ends

    def want(self, wanted: bool) -> None:
        """Whether the camera is needed."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def _run(self) -> None:
        was_gone = False
        while not self._end.is_set():
            if not self._wanted.is_set():
                self._let_go()
                self._wanted.wait()
                continue
            try:
                capture = self._capture or self._opened()
                self._capture, self.is_open = capture, True
                if was_gone:
                    self._report(f"“{capture.camera.name}” is back: {capture.format}")
                was_gone = False
                self._read(capture)
            except CameraError as problem:
                self._let_go()
                if not was_gone:
                    self._report(f"{problem} Waiting for it.")
                was_gone = True
                self._end.wait(RETRY_S)
        self._let_go()

    def _read(self, capture: Capture) -> None:
        """Frames until the camera is not wanted any more."""
        with contextlib.closing(capture.frames()) as frames:  # type: ignore[type-var]
            for frame in frames:
                self._put(frame)
                if self._end.is_set() or not self._wanted.is_set():
                    return

    def _opened(self) -> Capture:
        """The camera opened anew: where it was, or under its name where it is now."""
        try:
            return Capture(self._camera, self._wish)
        except CameraError:
            if not self._camera.kind:
                raise
            again = find_camera(self._camera.name)
            if again == self._camera:
                raise
            capture = Capture(again, self._wish)
            self._camera = again
            return capture

    def _let_go(self) -> None:
        if self._capture:
            self._capture.close()
        self._capture, self.is_open = None, False
