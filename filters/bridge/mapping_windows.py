# SPDX-License-Identifier: GPL-2.0-or-later
r"""Segments on Windows: named mappings in the session's own namespace (``Local\``), backed by the page file.

They vanish with their last handle, so there is nothing to unlink and nothing stale. The default security descriptor
lets only this user (and the system) open them.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable

from .problems import BridgeError

_FRESH = bytes(8)  # where the magic goes


class Holder:
    """The creator's grip: on Windows the mapping itself is all there is."""

    def unlink(self) -> None:
        """Nothing to do: a mapping's name goes with its last handle."""

    def close(self) -> None:
        """Nothing to do."""


def create(name: str, size: int) -> tuple[mmap.mmap, Holder] | None:
    """A new mapping of ``size`` zeros; None if the name was taken (mmap then gives the one that exists)."""
    mapped = _map(name, size)
    if mapped[: len(_FRESH)] != _FRESH:
        mapped.close()
        return None
    return mapped, Holder()


def open_checked(name: str, size: int, header_size: int, check_header: Callable[[bytes], None]) -> mmap.mmap:
    """Map an existing segment after checking its header. A name nobody made gives zeros: wrong magic."""
    first = _map(name, header_size)
    try:
        check_header(first[:header_size])
        return _map(name, size)  # fails when the mapping that exists is smaller
    finally:
        first.close()


def remove_stale(pattern: re.Pattern[str]) -> int:
    """Nothing is ever left behind: 0."""
    return 0


def _map(name: str, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size, tagname="Local\\" + name)  # type: ignore[call-arg, unused-ignore]
    except OSError as error:
        raise BridgeError("bridge.segment", name=name, reason=error.strerror or type(error).__name__) from None
