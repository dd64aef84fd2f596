# SPDX-License-Identifier: GPL-2.0-or-later
"""A memory barrier for Python: what was stored before it is visible before what is stored after it."""

import threading


class Fence:
    """Call it between two steps of a publication, or between two looks at one.

    x86 keeps the order of stores and of loads by itself. ARM doesn't: there, unlocking has release order (nothing from
    before moves past it) and the locking that follows has acquire order (nothing from after moves before it), and the
    processor keeps an unlock and the following lock of the same word in order. So two lock-unlock pairs in a row are a
    full barrier. Every reader and writer has a lock of its own, so it is always free and nobody ever waits.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> None:
        lock = self._lock
        with lock:
            pass
        with lock:
            pass
