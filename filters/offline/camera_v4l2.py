# SPDX-License-Identifier: GPL-2.0-or-later
"""What Linux tells of video devices: their names and formats, and who has one open. Standard library only.

The numbers and layouts are those of the kernel's ``linux/videodev2.h``; ``tests/offline`` compares them with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

if sys.platform == "linux":  # and not where it is only read
    import fcntl

DEVICES = Path("/dev")

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
SUBSCRIBE_EVENT, DQEVENT = 0x4020565A, 0x80885659
CAPABILITY = struct.Struct("=16s32s32sIII12x")  # driver, card, bus, version, capabilities, those of this node
FORMAT = struct.Struct("=III32s4s16x")  # index, type, flags, description, pixels
SIZE = struct.Struct("=I4sI6I8x")  # index, pixels, kind; width and height, or from, to and step of both
INTERVAL = struct.Struct("=I4sIII6I8x")  # index, pixels, width, height, kind; a fraction of a second, or three
SUBSCRIPTION = struct.Struct("=III20x")  # type, id, flags
EVENT = struct.Struct("=I4xI124x")  # type; the first number of what it says

TYPE_CAPTURE = 1
CAN_CAPTURE, CAN_OUTPUT, TELLS_OF_NODE = 0x1, 0x2, 0x80000000
DISCRETE = 1
# v4l2loopback since 0.13: how many stream from the device.
CLIENT_USAGE = 0x08000000 + 0x08E00000 + 1
SEND_INITIAL = 1
LOOPBACK_DRIVER = "v4l2 loopback"
# Of a device that takes any size within bounds; and any rate.
USUAL_SIZES = ((640, 480), (1280, 720), (1920, 1080))
USUAL_RATES_HZ = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 60.0)


class Node(NamedTuple):
    """A video device: path, name, and whether it gives pictures, takes them, and is v4l2loopback's."""

    path: str
    card: str
    can_capture: bool
    can_output: bool
    is_loopback: bool


class Mode(NamedTuple):
    """One size in one pixel format (four characters, as ``MJPG``), and the frame rates, falling."""

    pixels: str
    width: int
    height: int
    rates_hz: tuple[float, ...]


def nodes() -> list[Node]:
    """All video devices that can be asked, by number."""
    numbers = [path.name.removeprefix("video") for path in DEVICES.glob("video*")]
    paths = [str(DEVICES / f"video{number}") for number in sorted(int(each) for each in numbers if each.isdigit())]
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            found.append(node(path))
    return found


def node(path: str) -> Node:
    """What a device is; OSError if it can't be asked."""
    with opened(path) as file:
        answer = bytearray(CAPABILITY.size)
        fcntl.ioctl(file, QUERYCAP, answer)
    driver, card, _, _, of_all, of_node = CAPABILITY.unpack(answer)
    can = of_node if of_all & TELLS_OF_NODE else of_all
    return Node(path, words(card), bool(can & CAN_CAPTURE), bool(can & CAN_OUTPUT), words(driver) == LOOPBACK_DRIVER)


def modes(path: str) -> list[Mode]:
    """All that a camera can be asked for; OSError if it can't be asked."""
    with opened(path) as file:
        return [
            Mode(pixels.decode("latin-1").rstrip(), width, height, rates(file, pixels, width, height))
            for pixels in pixel_formats(file)
            for width, height in sizes(file, pixels)
        ]


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A device that is asked only, and not used."""
    file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def pixel_formats(file: int) -> list[bytes]:
    """The pixel formats of a camera, four characters each."""
    answers = enumerated(file, ENUM_FMT, lambda index: FORMAT.pack(index, TYPE_CAPTURE, 0, b"", b""))
    return [FORMAT.unpack(answer)[4] for answer in answers]


def sizes(file: int, pixels: bytes) -> list[tuple[int, int]]:
    """Widths and heights in a pixel format."""
    found: list[tuple[int, int]] = []
    for answer in enumerated(file, ENUM_FRAMESIZES, lambda index: SIZE.pack(index, pixels, 0, *[0] * 6)):
        _, _, kind, *numbers = SIZE.unpack(answer)
        if kind == DISCRETE:
            found.append((numbers[0], numbers[1]))
            continue
        least_width, most_width, _, least_height, most_height, _ = numbers
        usual = [
            (width, height)
            for width, height in USUAL_SIZES
            if least_width <= width <= most_width and least_height <= height <= most_height
        ]
        return sorted({(least_width, least_height), *usual, (most_width, most_height)})
    return found


def rates(file: int, pixels: bytes, width: int, height: int) -> tuple[float, ...]:
    """The frame rates in a size, falling; none where the device does not say."""

    def ask(index: int) -> bytes:
        return INTERVAL.pack(index, pixels, width, height, 0, *[0] * 6)

    found: set[float] = set()
    for answer in enumerated(file, ENUM_FRAMEINTERVALS, ask):
        *_, kind, seconds, of, longest, of_longest, _, _ = INTERVAL.unpack(answer)
        fastest_hz = of / max(seconds, 1)
        found.add(fastest_hz)
        if kind != DISCRETE:
            slowest_hz = of_longest / max(longest, 1)
            found |= {rate_hz for rate_hz in USUAL_RATES_HZ if slowest_hz <= rate_hz <= fastest_hz}
            break
    return tuple(sorted(found, reverse=True))


def enumerated(file: int, request: int, ask: Callable[[int], bytes]) -> Iterator[bytes]:
    """The answers to one question with a growing index, until the device has no more."""
    for index in range(1000):  # whatever a driver says, this ends
        answer = bytearray(ask(index))
        try:
            fcntl.ioctl(file, request, answer)
        except OSError:
            return
        yield bytes(answer)


def words(raw: bytes) -> str:
    """The text of a field that ends at the first zero."""
    return raw.split(b"\0")[0].decode(errors="replace")


class Holder(NamedTuple):
    """A process that has a device open."""

    pid: int
    name: str


def holders(path: str) -> list[Holder]:
    """Who else has a device open, of the processes that this user may look into."""
    wanted = os.path.realpath(path)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid() and has_open(folder, wanted):
            with contextlib.suppress(OSError):
                found.append(Holder(int(folder.name), (folder / "comm").read_text().strip()))
    return found


def has_open(process: Path, path: str) -> bool:
    """Whether a process (its folder below /proc) has this very file open."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(process / "fd"):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path) == path:
                    return True
    return False


class Readers:
    """Tells whether anybody takes the pictures of a virtual camera; context manager.

    v4l2loopback says how many stream from it; where it does not, whoever has the device open counts.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file, self._is_read = -1, True
        with contextlib.suppress(OSError):
            self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._file, SUBSCRIBE_EVENT, SUBSCRIPTION.pack(CLIENT_USAGE, 0, SEND_INITIAL))
            return
        self.close()

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_told(self) -> bool:
        """Whether the device itself tells."""
        return self._file >= 0

    def are_there(self) -> bool:
        """Whether anybody reads now; True if that can't be found out."""
        if not self.is_told:
            return bool(holders(self._path))
        poll = select.poll()
        poll.register(self._file, select.POLLPRI)
        while any(events & select.POLLPRI for _, events in poll.poll(0)):
            event = bytearray(EVENT.size)
            try:
                fcntl.ioctl(self._file, DQEVENT, event)
            except OSError:
                break
            kind, count = EVENT.unpack(event)
            if kind == CLIENT_USAGE:
                self._is_read = count > 0
        return self._is_read

    def close(self) -> None:
        """Let go of the device."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
