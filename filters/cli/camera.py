# SPDX-License-Identifier: GPL-2.0-or-later
"""``camera``: a webcam through the filter, as a virtual camera that any program can use."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..bridge.messages import AUTOMATIC
from ..obs.settings import SETTINGS, FilterSettings
from . import media
from .errors import CommandError
from .progress import StatusLine
from .video import stopped_by
from .workshop import LIBRARIES_OFFLINE, has_libraries

if TYPE_CHECKING:
    from ..offline.backgrounds import Background
    from ..offline.camera import LiveFilter
    from ..offline.cameras import Camera, Wish
    from ..offline.capture import CameraThread
    from ..offline.virtual_camera import VirtualCamera

WITHOUT_TK = (
    "There is no window here ({reason}). Say --no-preview to go without one. On Debian and Ubuntu, windows need: "
    "sudo apt install python3-tk."
)
# What ends a program that has no terminal, or whose terminal is closed.
ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
LIBRARIES = (*LIBRARIES_OFFLINE, "pyvirtualcam")
ABOUT = (
    "Shows a webcam through the filter, as a virtual camera that Zoom, Teams, a browser and others can choose, and in "
    "a window with sliders. Ctrl-C, or q in the window, ends it. Known from DeepBackSub: -c, -v, -b, -f, -d."
)
# The virtual camera's formats, as in offline/virtual_camera.py, which needs more than the standard library.
PIXEL_FORMATS = ("i420", "yuyv", "uyvy", "nv12")
NONE = "none"
KINDS = next(setting.choices for setting in SETTINGS if setting.key == "background")
LOOK_S = 0.5  # between two looks whether anybody reads
GRACE_S = 3.0  # that long nobody must read before the camera is let go of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``camera``."""
    camera = parser.add_argument_group("the camera")
    camera.add_argument(
        "-c",
        "--camera",
        default="",
        metavar="WHICH",
        help="number, path or name (the first one); a video file plays as one",
    )
    camera.add_argument(
        "-f", "--format", default="", metavar="MJPG", help="its pixel format: MJPG, YUYV, … (what suits)"
    )
    camera.add_argument("--size", type=size, metavar="WxH", help="its size (1280x720, or what is closest)")
    camera.add_argument(
        "--fps", type=float, default=0.0, metavar="N", help="its frames per second (30, or what is closest)"
    )
    camera.add_argument("--list", action="store_true", help="list the cameras with their formats, and end")
    camera.add_argument("--mirror", action="store_true", help="mirrored, in the window and for the others")
    shown = parser.add_argument_group("the virtual camera")
    shown.add_argument(
        "-v",
        "--virtual-camera",
        default="",
        metavar="DEVICE",
        help="path, number or name; none: only the window (the first)",
    )
    shown.add_argument(
        "--pixel-format",
        choices=PIXEL_FORMATS,
        default=PIXEL_FORMATS[0],
        help="what the others get; yuyv for programs that take nothing else (%(default)s)",
    )
    shown.add_argument(
        "--on-demand",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let go of the camera while nobody looks, where that can be found out (Linux) (on)",
    )
    shown.add_argument("--no-preview", action="store_true", help="no window, a line of figures instead")
    parser.add_argument("-d", "--debug", action="count", default=0, help="tell more; twice: what FFmpeg says, too")
    media.add_common_arguments(parser, is_live=True)


def size(word: str) -> tuple[int, int]:
    """Width and height of ``1280x720``."""
    found = re.fullmatch(r"(\d+)x(\d+)", word.lower())
    if not found:
        raise argparse.ArgumentTypeError(f"“{word}” is no size such as 1280x720")
    return int(found[1]), int(found[2])


def run(options: argparse.Namespace) -> int:
    """Show the camera, here or in the environment for it, until it is ended."""
    if has_libraries(LIBRARIES):
        return run_here(options)
    return media.go_on_offline(options.arguments)


def run_here(options: argparse.Namespace) -> int:
    """As ``run``, in a Python that has the libraries."""
    import av.logging

    from ..offline.cameras import Wish, find_camera
    from ..offline.files import MediaError

    if options.debug > 1:
        av.logging.set_level(av.logging.VERBOSE)
        av.logging.restore_default_callback()
    try:
        if options.list:
            return list_all()
        return show(options, find_camera(options.camera), Wish(options.format, options.size, options.fps))
    except MediaError as error:
        raise CommandError(str(error)) from error


def list_all() -> int:
    """Print all cameras; 1 if there is none."""
    from ..offline.cameras import list_cameras, listing, modes_of

    cameras = list_cameras()
    for camera in cameras:
        modes = modes_of(camera)
        print(f"{camera.name}  (-c {camera.url.removeprefix('video=')!r})")
        print(listing(modes) if modes else "    its formats are not told")
    if not cameras:
        print("There is no camera.")
    return 0 if cameras else 1


def show(options: argparse.Namespace, camera: Camera, wish: Wish) -> int:
    """Open everything, and show the camera until it is ended. Raises MediaError, CommandError."""
    from ..offline.camera import LiveFilter, Look
    from ..offline.capture import CameraThread, Capture

    if options.no_preview and options.virtual_camera == NONE:
        raise CommandError("With --no-preview and without a virtual camera there is nothing to show the picture on.", 2)
    settings = media.settings_of(options)
    backgrounds = backgrounds_of(settings)
    line = StatusLine(options.debug)
    with contextlib.ExitStack() as stack:
        for background in backgrounds.values():
            stack.callback(background.close)
        stop = stack.enter_context(stopped_by(signal.SIGINT, *ENDING_SIGNALS))
        opening = stack.enter_context(contextlib.ExitStack())
        capture = opening.enter_context(Capture(camera, wish))
        line.tell(f"Camera: “{camera.name}” ({camera.url}), {capture.format}", 1)
        model = media.verified_model(model_for(settings.model, options.device, capture.rate_hz, line))
        network = media.load(model, options.device)
        line.tell(f"Model: {model.name}, {network.width}x{network.height}, on {network.device}", 1)
        size = capture.width, capture.height
        virtual = open_virtual(options, camera, size, capture.rate_hz)
        line.tell(f"Virtual camera: {virtual.device}" if virtual else "No virtual camera", 1)
        sinks = (stack.enter_context(virtual),) if virtual else ()
        look = Look(settings, options.mirror)
        live = stack.enter_context(LiveFilter(network, look, backgrounds, size, capture.rate_hz, sinks))
        thread = stack.enter_context(CameraThread(capture, wish, live.put, line.tell))
        opening.pop_all()  # it is the thread's now: closing what another thread reads ends in a crash
        demand = Demand(live, thread, stack.enter_context(readers_of(options, virtual, line)))
        if options.no_preview:
            run_plain(live, demand, line, stop)
        else:
            run_window(live, demand, line, stop)
        line.end()
        if live.error:
            raise CommandError(f"It ended unexpectedly: {live.error!r}") from live.error
    return 0


def model_for(name: str, device: str, rate_hz: float, line: StatusLine) -> str:
    """The model to load: the one that was named, or with ``auto`` the best that holds the camera's rate here."""
    if name != AUTOMATIC:
        return name
    from ...models.suggest import suggest
    from ..engine.automatic import measured_candidates

    found = measured_candidates(device, False, lambda model: line.tell(f"Measuring {model}"))
    chosen = suggest(found, rate_hz)
    line.tell(f"Of {len(found)} models {chosen or 'none'} is held at {rate_hz:g} frames per second", 1)
    return chosen or ""


def backgrounds_of(settings: FilterSettings) -> dict[str, Background]:
    """What may stand behind the person, by the setting's choices; a file only if one is named. CommandError."""
    import numpy as np

    from ..offline.backgrounds import Still

    kinds = [kind for kind in KINDS if kind != "source" or settings.background_source]
    wanted = {
        kind: media.background_of(dataclasses.replace(settings, background=kind), may_move=True) for kind in kinds
    }
    nothing = Still(np.zeros((1, 1, 3), np.uint8), "stretch")  # a virtual camera can't be transparent
    return {kind: background or nothing for kind, background in wanted.items()}


def open_virtual(
    options: argparse.Namespace, camera: Camera, size: tuple[int, int], rate_hz: float
) -> VirtualCamera | None:
    """The virtual camera, unless none is wanted. Raises MediaError, CommandError."""
    from ..offline.virtual_camera import VirtualCamera, device_path

    device = options.virtual_camera
    if device == NONE:
        return None
    if device and device_path(device) == camera.url:
        raise CommandError(f"{camera.url} can't be both: -c is the real camera, -v the virtual one.", 2)
    return VirtualCamera(device, *size, rate_hz, options.pixel_format)


@contextlib.contextmanager
def readers_of(
    options: argparse.Namespace, virtual: VirtualCamera | None, line: StatusLine
) -> Iterator[Callable[[], bool]]:
    """A function that tells whether anybody reads the virtual camera; always yes where that can't be found out."""
    from ..offline.camera_v4l2 import Readers
    from ..offline.virtual_camera import can_tell_readers

    if not (virtual and options.on_demand and can_tell_readers(virtual.device)):
        line.tell("The camera stays on all the time", 1)
        yield lambda: virtual is not None
        return
    with Readers(virtual.device) as readers:
        how = "the virtual camera tells" if readers.is_told else "of who has the virtual camera open"
        line.tell(f"The camera is on while somebody looks: {how}", 1)
        yield readers.are_there


class Demand:
    """Turns the camera off while nobody looks, or while the picture is off."""

    def __init__(self, live: LiveFilter, thread: CameraThread, is_read: Callable[[], bool]) -> None:
        self._live, self._thread, self._is_read = live, thread, is_read
        self._due_s, self._read_s = 0.0, time.monotonic()

    def update(self, is_seen: bool) -> None:
        """``is_seen``: the window shows the picture. Call it often."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_S
        if is_seen or self._is_read():
            self._read_s = now_s
        self._live.is_idle = now_s - self._read_s > GRACE_S
        self._thread.want(not (self._live.is_idle or self._live.look.is_off))

    def status(self) -> str:
        """How it goes, in a line."""
        figures, look = self._live.figures(), self._live.look
        if look.is_off:
            return "Off: nothing is shown, the camera is not used"
        if self._live.is_idle:
            return "Nobody looks: the camera is not used"
        if not self._thread.is_open:
            return "Waiting for the camera"
        if figures.problem:
            return figures.problem
        state = "Frozen. " if look.is_frozen else ""
        return (
            f"{state}{figures.shown_hz:.1f} frames per second, {figures.mask_ms:.1f} ms per mask, "
            f"{figures.delay_ms:.0f} ms late"
        )


def run_plain(live: LiveFilter, demand: Demand, line: StatusLine, stop: threading.Event) -> None:
    """A line of figures until it is ended."""
    print("Ctrl-C ends it.", file=sys.stderr)
    while not (stop.wait(LOOK_S) or live.error):
        demand.update(is_seen=False)
        line.show(demand.status())


def run_window(live: LiveFilter, demand: Demand, line: StatusLine, stop: threading.Event) -> None:
    """The window until it is closed. Raises MediaError."""
    from ..offline.files import MediaError

    try:
        from ..offline.preview_window import PreviewWindow
    except ImportError as error:
        raise MediaError(WITHOUT_TK.format(reason=error)) from error

    def status() -> str:
        demand.update(window.is_visible)
        if stop.is_set():
            window.close()
        line.show(demand.status())
        return demand.status()

    window = PreviewWindow(live, status)
    window.run()
