# SPDX-License-Identifier: GPL-2.0-or-later
"""Segments on Linux and macOS: sparse files, locked by their creator for as long as it lives."""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .problems import BridgeError

_LINUX_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (made with O_EXCL, opened with O_NOFOLLOW)


def folder() -> Path:
    """Where segments lie: memory on Linux, the user's own temporary folder elsewhere."""
    if sys.platform == "linux" and os.access(_LINUX_SHARED_MEMORY, os.W_OK | os.X_OK):
        return _LINUX_SHARED_MEMORY
    return Path(tempfile.gettempdir())


class Holder:
    """The creator's grip on its file: the lock that says it is alive, and the name."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._named = True

    def unlink(self) -> None:
        """Remove the name, once."""
        if self._named:
            self._named = False
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the name and give up the lock, once."""
        self.unlink()
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


def create(name: str, size: int) -> tuple[mmap.mmap, Holder] | None:
    """A new sparse file of ``size`` zeros, mapped and locked; None if the name was taken or cleaned away."""
    path = folder() / name
    _check_space(path.parent, size)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return None
    except OSError as error:
        raise _segment_error(name, error) from None
    holder = Holder(path, file)
    try:
        if not _lock(file) or os.fstat(file).st_nlink == 0:  # remove_stale came between open and lock
            holder.close()
            return None
        os.ftruncate(file, size)
        return mmap.mmap(file, size), holder
    except OSError as error:
        holder.close()
        raise _segment_error(name, error) from None


def open_checked(name: str, size: int, header_size: int, check_header: Callable[[bytes], None]) -> mmap.mmap:
    """Map an existing segment after checking its kind, owner, header and size, all on the same open file."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not block us
    try:
        file = os.open(folder() / name, flags)
    except OSError as error:
        raise _segment_error(name, error) from None
    try:
        found = os.fstat(file)
        _check_owner(name, found)
        check_header(os.pread(file, header_size, 0))
        if found.st_size != size:
            raise BridgeError("bridge.size", field="file", expected=str(size), found=str(found.st_size))
        return mmap.mmap(file, size)
    except OSError as error:
        raise _segment_error(name, error) from None
    finally:
        os.close(file)


def remove_stale(pattern: re.Pattern[str]) -> int:
    """Remove the files of this user, named like segments, that nobody holds locked; the number removed."""
    removed = 0
    try:
        names = os.listdir(folder())
    except OSError:
        return 0
    for name in names:
        if pattern.fullmatch(name):
            removed += _remove_if_stale(folder() / name)
    return removed


def _remove_if_stale(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # gone, a link, or another user's
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or not _lock(file):
            return False
        path.unlink(missing_ok=True)
        return True
    except OSError:
        return False
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    """Lock without waiting; the lock ends with the last process that has the file open or mapped, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_owner(name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BridgeError("bridge.segment", name=name, reason="not a regular file")
    if found.st_uid != os.geteuid():
        raise BridgeError("bridge.owner", expected=str(os.geteuid()), found=str(found.st_uid))
    if found.st_mode & 0o077:
        everybody = f"everybody (mode {stat.S_IMODE(found.st_mode):04o})"
        raise BridgeError("bridge.owner", expected=str(os.geteuid()), found=everybody)


def _check_space(place: Path, size: int) -> None:
    """A sparse file that can't be filled kills the writer with SIGBUS, in OBS: better none than that."""
    try:
        found = os.statvfs(place)
    except OSError:
        return
    free = found.f_bavail * found.f_frsize
    if found.f_blocks and free < size:
        raise BridgeError("bridge.space", needed_mb=-(-size // 2**20), free_mb=free // 2**20)


def _segment_error(name: str, error: OSError) -> BridgeError:
    return BridgeError("bridge.segment", name=name, reason=error.strerror or type(error).__name__)
