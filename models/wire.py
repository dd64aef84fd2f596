# SPDX-License-Identifier: GPL-2.0-or-later
"""Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), read with care and the standard library.

Nothing is copied or allocated for what a file merely claims: a field is two offsets into the bytes that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


class WireError(Exception):
    """The bytes are no protobuf, or more of it than one will read."""


class Field(NamedTuple):
    """One field: a number's value is ``value``; for bytes ``start`` and ``end`` say where they lie."""

    number: int
    wire_type: int
    value: int
    start: int
    end: int


class Reader:
    """Reads messages within ``data``; ``max_fields`` is the limit for all of them together."""

    def __init__(self, data: bytes, max_fields: int) -> None:
        self._data = data
        self._max_fields = self._fields_left = max_fields

    def fields(self, at: int, end: int) -> Iterator[Field]:
        """The fields of the message in ``data[at:end]``; WireError for what reaches beyond its end."""
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise WireError(f"it has more than {self._max_fields} fields")
            tag, at = self._varint(at, end)
            number, wire_type = tag >> 3, tag & 7
            if not 0 < number < 2**29:
                raise WireError(f"byte {at}: field number {number}")
            value, start = 0, at
            if wire_type == VARINT:
                value, at = self._varint(at, end)
            elif wire_type == BYTES:
                size, start = self._varint(at, end)
                at = start + size
            elif wire_type in _FIXED_SIZES:
                at += _FIXED_SIZES[wire_type]
            else:
                raise WireError(f"byte {at}: wire type {wire_type}")
            if at > end:
                raise WireError(f"byte {start}: a field reaches beyond its end, as if cut off")
            yield Field(number, wire_type, value, start, at)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """The number that begins at ``at``, and where it ends; at most ten bytes, as protobuf has it."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise WireError(f"byte {at}: a number is cut off")
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
        raise WireError(f"byte {at}: an endless number")


def readable(raw: bytes, longest: int = 60) -> str:
    """Bytes from a file as a short text that is safe to show."""
    text = raw[:longest].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
