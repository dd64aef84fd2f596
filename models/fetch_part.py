# SPDX-License-Identifier: GPL-2.0-or-later
"""What has come so far of a file that is being fetched."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import IO

CHUNK_BYTES = 2**16


class Part:
    """Lies beside ``target`` as ``.<name>.part`` and is hashed as it grows; ``size`` is in bytes.

    ``version`` is which version of the file it is part of, as the server names it; without, it can't be resumed.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.folder = target.parent
        self._path = target.with_name(f".{target.name}.part")
        self._version_path = target.with_name(f".{target.name}.part.of")
        self._file: IO[bytes] | None = None
        self.size = 0
        self.version = ""

    def open(self) -> None:
        """Take up what an earlier call left, or begin."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.fdopen(os.open(self._path, flags, 0o600), "r+b")
        with contextlib.suppress(OSError, UnicodeDecodeError):
            version = self._version_path.read_text(encoding="ascii")
            self.version = version if version.isprintable() else ""
        self._hash_what_is_there()
        if not self.version:
            self.restart("")

    def restart(self, version: str) -> None:
        """Throw away what has come: the file that comes now is of this version ('': it can't be resumed)."""
        self._opened.seek(0)
        self._opened.truncate()
        self._hash_what_is_there()
        self.version = version if version.isascii() and version.isprintable() else ""
        self._version_path.write_text(self.version, encoding="ascii")

    def write(self, chunk: bytes) -> None:
        """Add what came."""
        self._opened.write(chunk)
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self.size += len(chunk)

    def digests(self) -> tuple[str, str]:
        """SHA-256 and MD5 of what has come."""
        return self._sha256.hexdigest(), self._md5.hexdigest()

    def start(self) -> bytes:
        """The first bytes."""
        self._opened.flush()
        self._opened.seek(0)
        return self._opened.read(64)

    def finish(self) -> str:
        """Move it into its place; gives the SHA-256."""
        self._opened.flush()
        os.fsync(self._opened.fileno())
        self.close()
        os.replace(self._path, self._target)
        self._version_path.unlink(missing_ok=True)
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let go of the file; harmless when that is done."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: told already
                self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete what has come."""
        self.close()
        for path in (self._path, self._version_path):
            with contextlib.suppress(OSError):
                path.unlink()

    @property
    def _opened(self) -> IO[bytes]:
        assert self._file is not None
        return self._file

    def _hash_what_is_there(self) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self._opened.seek(0)
        while chunk := self._opened.read(CHUNK_BYTES):
            self._sha256.update(chunk)
            self._md5.update(chunk)
            self.size += len(chunk)
