# SPDX-License-Identifier: GPL-2.0-or-later
"""One stream's shared memory: made by OBS, opened by the engine, refused by either if anything about it differs."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import secrets
import sys

from . import layout
from .problems import BridgeError

if sys.platform == "win32":
    from . import mapping_windows as mapping
else:
    from . import mapping_posix as mapping

_NAME = re.compile(r"obs-background-filter-[0-9]{1,10}-[0-9a-f]{16}")
_HEADER = layout.packer(layout.HEADER)
_HEADER_VALUES = (
    layout.MAGIC,
    layout.VERSION,
    layout.TOTAL_SIZE,
    layout.FRAME_SLOTS,
    layout.MASK_SLOTS,
    layout.FRAME_CAPACITY,
    layout.MASK_CAPACITY,
)
_CREATE_TRIES = 8


class Segment:
    """A mapped segment; get one with ``create`` or ``open``.

    ``name`` is what the other side opens. ``bytes`` and ``words`` are the same memory as bytes and as u64 (little
    endian): for the readers and writers of this package. They end with ``close``.
    """

    def __init__(self, name: str, mapped: mmap.mmap, holder: mapping.Holder | None) -> None:
        self.name = name
        self._mapped = mapped
        self._holder = holder
        self.bytes = memoryview(mapped)
        self.words = self.bytes.cast("Q")

    @classmethod
    def create(cls) -> Segment:
        """A new, empty segment that only this user may open. ``bridge.space``, ``bridge.segment`` if it can't be."""
        for _ in range(_CREATE_TRIES):
            name = f"obs-background-filter-{os.getpid()}-{secrets.token_hex(8)}"
            made = mapping.create(name, layout.TOTAL_SIZE)
            if made is not None:
                segment = cls(name, *made)
                _HEADER.pack_into(segment.bytes, layout.HEADER_OFFSET, *_HEADER_VALUES)
                return segment
        raise BridgeError("bridge.segment", name=name, reason="the name was taken each time")

    @classmethod
    def open(cls, name: str) -> Segment:
        """The segment that the other side created under ``name``.

        Raises ``BridgeError``: ``bridge.segment`` (no such segment, a link, not a file), ``bridge.owner`` (another
        user's, or open to others), ``bridge.magic``, ``bridge.version``, ``bridge.size``.
        """
        check_name(name)
        return cls(name, mapping.open_checked(name, layout.TOTAL_SIZE, _HEADER.size, check_header), None)

    def unlink(self) -> None:
        """Take the name away; the memory stays for those who have it mapped. Only the creator's call does anything."""
        if self._holder is not None:
            self._holder.unlink()

    def close(self) -> None:
        """Let go of the memory; a creator also takes the name away. May be called twice."""
        self.words.release()
        self.bytes.release()
        with contextlib.suppress(BufferError):  # a view is still held, perhaps in a traceback: unmapped when that goes
            self._mapped.close()
        if self._holder is not None:
            self._holder.close()


def check_name(name: str) -> None:
    """``bridge.segment`` unless ``name`` is one that ``create`` makes: no paths, no other files."""
    if not _NAME.fullmatch(name):
        raise BridgeError("bridge.segment", name=name[:100], reason="not a segment's name")


def check_header(header: bytes) -> None:
    """``bridge.magic``, ``bridge.version`` or ``bridge.size`` unless the header is this version's, to the byte."""
    if len(header) < _HEADER.size:
        raise size_error("header", _HEADER.size, len(header))
    magic, version, *sizes = _HEADER.unpack_from(header)
    if magic != layout.MAGIC:
        raise BridgeError("bridge.magic", expected=layout.MAGIC.hex(), found=magic.hex())
    if version != layout.VERSION:
        raise BridgeError("bridge.version", expected=layout.VERSION, found=version)
    for field, expected, found in zip(layout.HEADER[2:], _HEADER_VALUES[2:], sizes):
        if found != expected:
            raise size_error(field.name, expected, found)


def size_error(field: str, expected: object, found: object) -> BridgeError:
    """A ``bridge.size`` that says which size differed, in bytes or slots."""
    return BridgeError("bridge.size", field=field, expected=str(expected), found=str(found))


def remove_stale_segments() -> int:
    """Remove this user's segments whose creator is gone (killed before it could); the number removed."""
    return mapping.remove_stale(_NAME)
