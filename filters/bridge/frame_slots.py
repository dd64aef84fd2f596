# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames from OBS to the engine: three slots, the newest wins, nobody waits."""

import ctypes
from dataclasses import dataclass

from . import layout
from .checks import check_count, check_format, check_picture, check_range, field_error
from .fence import Fence
from .region import WHOLE, Region, check_region
from .segment import Segment

TRIES = 3
_PYBUF_READ = 0x100

# A view of foreign memory, made while holding the GIL: ctypes.memmove lets the GIL go, and getting it back from a busy
# thread of another script can cost the graphics thread 5 ms.
_view_memory = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)
_BODY = layout.packer(layout.FRAME_BODY)


@dataclass(frozen=True)
class Frame:
    """One captured picture: RGBA, 8 bits each, ``pixels`` holds ``height * row_bytes`` bytes and is the caller's own;
    with a ``region`` other than the whole twice as many: the whole frame, and below it that part of it, as large.

    ``flags`` are those of the layout; ``ahead_ms`` is by how much the mask is to be moved ahead in time;
    ``capture_ns`` is monotonic time.
    """

    frame_id: int
    capture_ns: int
    width: int
    height: int
    row_bytes: int
    flags: int
    ahead_ms: float
    pixels: bytearray
    region: Region = WHOLE


_SLOTS = tuple(
    layout.slot_at(layout.FRAMES_OFFSET + number * layout.FRAME_SLOT_SIZE, layout.FRAME_HEADER)
    for number in range(layout.FRAME_SLOTS)
)
_PUBLISHED = layout.word(layout.OBS_COUNTERS_OFFSET, layout.FRAMES_PUBLISHED)


class FrameWriter:
    """OBS's side; for one thread."""

    def __init__(self, segment: Segment) -> None:
        self._bytes = segment.bytes
        self._words = segment.words
        self._fence = Fence()
        self._published = self._words[_PUBLISHED]
        check_count("frames_published", self._published)

    def publish(
        self,
        pixels_address: int,
        row_bytes: int,
        width: int,
        height: int,
        frame_id: int,
        capture_ns: int,
        flags: int = 0,
        ahead_ms: float = 0.0,
        region: Region = WHOLE,
    ) -> None:
        """Copy a mapped RGBA surface into the next slot and publish it. Never waits.

        Reads ``(height - 1) * row_bytes + width * 4`` bytes from ``pixels_address``, or with a ``region`` other than
        the whole ``(2 * height - 1) * row_bytes + width * 4``. Raises ``BridgeError``
        (``bridge.field``) for values the layout doesn't allow, ``ValueError`` once the segment is closed.
        """
        check_region("region", region)
        _check_pictures(width, height, row_bytes, region)
        _check_controls(frame_id, capture_ns, flags, ahead_ms)
        if not pixels_address:
            raise field_error("pixels_address", "an address", pixels_address)
        number = self._published + 1
        slot = _SLOTS[self._published % layout.FRAME_SLOTS]
        size = (region.pictures * height - 1) * row_bytes + width * layout.FRAME_BYTES_PER_PX
        words = self._words
        fence = self._fence
        words[slot.begin] = number
        fence()
        _BODY.pack_into(
            self._bytes,
            slot.body,
            frame_id,
            capture_ns,
            width,
            height,
            row_bytes,
            layout.FORMAT_RGBA8,
            flags,
            ahead_ms,
            *region,
        )
        self._bytes[slot.pixels : slot.pixels + size] = _view_memory(pixels_address, size, _PYBUF_READ)
        fence()
        words[slot.end] = number
        fence()
        words[_PUBLISHED] = number
        self._published = number


class FrameReader:
    """The engine's side; for one thread."""

    def __init__(self, segment: Segment) -> None:
        self._bytes = segment.bytes
        self._words = segment.words
        self._fence = Fence()

    def take_newest(self, after_id: int) -> Frame | None:
        """The newest whole frame if its id is above ``after_id``, else None (also while one is being written).

        Raises ``BridgeError`` (``bridge.field``) when a whole frame holds values the layout doesn't allow.
        """
        for _ in range(TRIES):
            number = self._words[_PUBLISHED]
            if number == 0:
                return None
            self._fence()
            frame = self._read(number, after_id)
            if frame is not None:
                return frame if frame.frame_id > after_id else None
        return None

    def _read(self, number: int, after_id: int) -> Frame | None:
        """The frame of publication ``number``; None if the slot holds no whole one. Old frames come without pixels."""
        slot = _SLOTS[(number - 1) % layout.FRAME_SLOTS]
        words = self._words
        if words[slot.end] != number:
            return None
        self._fence()
        body = _BODY.unpack_from(self._bytes, slot.body)
        frame_id, capture_ns, width, height, row_bytes, pixel_format, *controls = body[:-3]
        region = Region(*body[-3:])
        # The numbers may be torn or nonsense until the checks below: never look beyond the slot.
        size = min(region.pictures * height * row_bytes, layout.FRAME_CAPACITY) if frame_id > after_id else 0
        pixels = bytearray(self._bytes[slot.pixels : slot.pixels + size])
        self._fence()
        if words[slot.begin] != number or words[slot.end] != number:
            return None
        check_region("region", region)
        _check_pictures(width, height, row_bytes, region)
        check_format(pixel_format, layout.FORMAT_RGBA8)
        flags, ahead_ms = controls
        _check_controls(frame_id, capture_ns, flags, ahead_ms)
        return Frame(frame_id, capture_ns, width, height, row_bytes, flags, ahead_ms, pixels, region)


def _check_pictures(width: int, height: int, row_bytes: int, region: Region) -> None:
    check_picture(width, height, row_bytes, layout.FRAME_BYTES_PER_PX, layout.FRAME_CAPACITY // region.pictures)


def _check_controls(frame_id: int, capture_ns: int, flags: int, ahead_ms: float) -> None:
    check_count("frame_id", frame_id, least=1)
    check_count("capture_ns", capture_ns)
    check_range("ahead_ms", ahead_ms, 0.0, layout.MAX_AHEAD_MS)
    check_range("flags", flags, 0, layout.FLAGS)
