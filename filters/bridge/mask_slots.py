# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks from the engine to OBS: four slots, each mask with the id of the frame it belongs to."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from . import layout
from .checks import check_count, check_format, check_ms, check_picture, field_error
from .fence import Fence
from .region import WHOLE, Region, check_region
from .segment import Segment

TRIES = 3
_BODY = layout.packer(layout.MASK_BODY)


class Mask(NamedTuple):
    """One mask; ``pixels`` holds ``height * row_bytes`` bytes of its own, of ``layout.MASK_FORMATS``:

    alpha, 8 bits (0 room, 255 person); or four half floats a pixel, with which the colours of the whole frame make
    alpha: red, green and blue (0 to 1) times the first three, plus the fourth.

    ``frame_id`` and ``capture_ns`` are those of the frame it was computed from; ``publish_ns`` is when it was
    published; both times are ``time.monotonic_ns``. ``region`` is the part of the frame that the mask covers: beyond it
    is nobody. ``wanted`` is the part that the engine would like to see closer from now on.
    """

    frame_id: int
    capture_ns: int
    publish_ns: int
    width: int
    height: int
    row_bytes: int
    pixel_format: int
    prepare_ms: float
    infer_ms: float
    refine_ms: float
    pixels: bytes
    region: Region = WHOLE
    wanted: Region = WHOLE


_SLOTS = tuple(
    layout.slot_at(layout.MASKS_OFFSET + number * layout.MASK_SLOT_SIZE, layout.MASK_HEADER)
    for number in range(layout.MASK_SLOTS)
)
_PUBLISHED = layout.word(layout.ENGINE_COUNTERS_OFFSET, layout.MASKS_PUBLISHED)


class MaskWriter:
    """The engine's side; for one thread."""

    def __init__(self, segment: Segment) -> None:
        self._bytes = segment.bytes
        self._words = segment.words
        self._fence = Fence()
        self._published = self._words[_PUBLISHED]
        check_count("masks_published", self._published)

    def publish(
        self,
        pixels: Any,  # numpy knows the type of buffers only from Python 3.12 on
        width: int,
        height: int,
        row_bytes: int,
        frame_id: int,
        capture_ns: int,
        prepare_ms: float,
        infer_ms: float,
        refine_ms: float,
        pixel_format: int = layout.FORMAT_R8_ALPHA,
        region: Region = WHOLE,
        wanted: Region = WHOLE,
    ) -> None:
        """Copy a mask into the next slot and publish it.

        ``pixels`` is contiguous and holds at least all rows, the last one without what fills it up. Raises
        ``BridgeError`` (``bridge.field``) for values the layout doesn't allow, ``ValueError`` once the segment is
        closed.
        """
        bytes_per_px = _bytes_per_px(pixel_format)
        check_picture(width, height, row_bytes, bytes_per_px, layout.MASK_CAPACITY)
        _check_facts(frame_id, capture_ns, 0, prepare_ms, infer_ms, refine_ms)
        _check_regions(region, wanted)
        view = memoryview(pixels)
        if not view.c_contiguous or bytes_per_px % view.itemsize:
            raise field_error("pixels", "contiguous bytes", f"{view.format} {view.strides}")
        size = (height - 1) * row_bytes + width * bytes_per_px
        if view.nbytes < size:
            raise field_error("pixels", f"{size} bytes", view.nbytes)
        number = self._published + 1
        slot = _SLOTS[self._published % layout.MASK_SLOTS]
        words = self._words
        words[slot.begin] = number
        self._fence()
        publish_ns = time.monotonic_ns()
        body = (frame_id, capture_ns, publish_ns, width, height, row_bytes, pixel_format)
        _BODY.pack_into(self._bytes, slot.body, *body, prepare_ms, infer_ms, refine_ms, *region, *wanted)
        self._bytes[slot.pixels : slot.pixels + size] = view.cast("B")[:size]
        self._fence()
        words[slot.end] = number
        self._fence()
        words[_PUBLISHED] = number
        self._published = number


class MaskReader:
    """OBS's side; for one thread."""

    def __init__(self, segment: Segment) -> None:
        self._bytes = segment.bytes
        self._words = segment.words
        self._fence = Fence()
        self._taken = 0

    def take_new(self) -> list[Mask]:
        """Every whole mask that has not been taken yet, oldest first; the newest three at most. Never waits.

        Raises ``BridgeError`` (``bridge.field``) when a whole mask holds values the layout doesn't allow or the count
        goes backwards.
        """
        masks: list[Mask] = []
        for _ in range(TRIES):
            published = self._words[_PUBLISHED]
            if published == self._taken:
                break
            masks += self._take_until(published)
            if masks:
                break
        return masks

    def _take_until(self, published: int) -> list[Mask]:
        """The whole masks after the last taken one; what the writer has since overwritten is skipped."""
        taken = self._taken
        if not taken < published <= layout.MAX_COUNT:
            raise field_error("masks_published", f"{taken} to {layout.MAX_COUNT}", published)
        self._fence()
        # The slot after the newest is the one being written: at most MASK_SLOTS - 1 can be whole.
        first = max(taken + 1, published - layout.MASK_SLOTS + 2)
        self._taken = published
        found = [self._read(number) for number in range(first, published + 1)]
        return [mask for mask in found if mask is not None]

    def _read(self, number: int) -> Mask | None:
        """The mask of publication ``number``; None if its slot holds no whole one."""
        slot = _SLOTS[(number - 1) % layout.MASK_SLOTS]
        words = self._words
        if words[slot.end] != number:
            return None
        self._fence()
        body = _BODY.unpack_from(self._bytes, slot.body)
        frame_id, capture_ns, publish_ns, width, height, row_bytes, *others = body
        pixel_format, prepare_ms, infer_ms, refine_ms = others[:4]
        region, wanted = Region(*others[4:7]), Region(*others[7:])
        # The numbers may be torn or nonsense until the checks below: never look beyond the slot.
        size = min(height * row_bytes, layout.MASK_CAPACITY)
        pixels = bytes(self._bytes[slot.pixels : slot.pixels + size])
        self._fence()
        if words[slot.begin] != number or words[slot.end] != number:
            return None
        check_picture(width, height, row_bytes, _bytes_per_px(pixel_format), layout.MASK_CAPACITY)
        _check_facts(frame_id, capture_ns, publish_ns, prepare_ms, infer_ms, refine_ms)
        _check_regions(region, wanted)
        return Mask(
            frame_id,
            capture_ns,
            publish_ns,
            width,
            height,
            row_bytes,
            pixel_format,
            prepare_ms,
            infer_ms,
            refine_ms,
            pixels,
            region,
            wanted,
        )


def _bytes_per_px(pixel_format: int) -> int:
    check_format(pixel_format, *layout.MASK_FORMATS)
    return layout.MASK_FORMATS[pixel_format]


def _check_facts(
    frame_id: int, capture_ns: int, publish_ns: int, prepare_ms: float, infer_ms: float, refine_ms: float
) -> None:
    check_count("frame_id", frame_id, least=1)
    check_count("capture_ns", capture_ns)
    check_count("publish_ns", publish_ns)
    check_ms("prepare_ms", prepare_ms)
    check_ms("infer_ms", infer_ms)
    check_ms("refine_ms", refine_ms)


def _check_regions(region: Region, wanted: Region) -> None:
    check_region("region", region)
    check_region("wanted", wanted)
