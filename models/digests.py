# SPDX-License-Identifier: GPL-2.0-or-later
"""The two files of digests: the project's ``checksums.json`` and the user's ``trusted.json``.

Either is refused as a whole if anything about it is wrong: a digest that can't be read for certain vouches for nothing.
The user's is replaced in one step, one process at a time, and the one before it stays beside it as a copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..filters.environment.lock import FileLock
from .atomic import UNFINISHED, replace_file
from .refusal import ModelRefused

FORMAT = 1
MAX_STORE_BYTES = 2**20
COPY = ".copy"  # what is added to the name of the store before
LOCK_WAIT_S, LOCK_POLL_S = 10.0, 0.02

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WRITABLE_BY_OTHERS = 0o022


@dataclass(frozen=True)
class TrustRecord:
    """One act of trust: a file's name, SHA-256 (hexadecimal) and size in bytes, when (UTC), and its origin.

    The origin is the address that it was fetched from, or the path where it lay.
    """

    name: str
    sha256: str
    size: int
    origin: str
    date: str


def now() -> str:
    """The time in UTC, to the second, as records keep it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def load_checksums(path: Path) -> dict[str, str]:
    """SHA-256 by file name, from the project's file; ``model.checksums`` if it can't be used or isn't there."""
    try:
        models = _section(_load(path), "models", dict)
        return {_text(name): _sha256(facts) for name, facts in models.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused("model.checksums", file=path.name, detail=_reason(error)) from None


def load_trusted(path: Path) -> list[TrustRecord]:
    """The user's records, oldest first; none if there is no file yet. ``model.trust_store`` if it can't be used."""
    try:
        _check_private(path)
        return [_record(facts) for facts in _section(_load(path), "trusted", list)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused("model.trust_store", file=path.name, detail=_reason(error)) from None


def change_trusted(path: Path, change: Callable[[list[TrustRecord]], list[TrustRecord]]) -> None:
    """Replace the user's records by ``change`` of them, in one step, readable only for the user.

    ``model.trust_store`` if the file can't be read or written: what can't be read is never overwritten.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")) as lock:
            _take(lock)
            _sweep(path)
            records = change(load_trusted(path))
            text = json.dumps({"format": FORMAT, "trusted": [asdict(record) for record in records]}, indent=2) + "\n"
            if path.exists():
                replace_file(path.with_name(path.name + COPY), path.read_bytes())
            replace_file(path, text.encode("ascii"))
    except OSError as error:
        raise ModelRefused("model.trust_store", file=path.name, detail=_reason(error)) from None


def _take(lock: FileLock) -> None:
    """Wait for whoever else writes; OSError when that takes too long."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while not lock.try_take():
        if time.monotonic() > deadline:
            raise OSError("another program is writing it")
        time.sleep(LOCK_POLL_S)


def _sweep(path: Path) -> None:
    """Remove what a writer that was killed left behind; nobody else writes now."""
    for left in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            left.unlink()


def _check_private(path: Path) -> None:
    """``ValueError`` unless the file is regular and nobody else could have written it (POSIX)."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a regular file")
    if os.name == "posix" and (found.st_uid not in (os.geteuid(), 0) or found.st_mode & _WRITABLE_BY_OTHERS):
        raise ValueError("others may write it")


def _load(path: Path) -> Any:
    with open(path, "rb") as file:
        raw = file.read(MAX_STORE_BYTES + 1)
    if len(raw) > MAX_STORE_BYTES:
        raise ValueError("too large")
    return json.loads(raw.decode("utf-8"), object_pairs_hook=_no_repetition)


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _section(values: Any, name: str, kind: type) -> Any:
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise ValueError("no format")
    if values["format"] != FORMAT:
        raise ValueError(f"format: expected {FORMAT}, found {values['format']}")
    if not isinstance(values.get(name), kind):
        raise ValueError(f"no {name}")
    return values[name]


def _record(facts: Any) -> TrustRecord:
    sha256 = _sha256(facts)
    if type(facts.get("size")) is not int:
        raise ValueError("no size")
    origin = facts.get("origin", facts.get("path"))  # the first stores said path
    return TrustRecord(_text(facts.get("name")), sha256, facts["size"], _text(origin), _text(facts.get("date")))


def _sha256(facts: Any) -> str:
    sha256 = facts.get("sha256") if isinstance(facts, dict) else None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"no SHA-256: {sha256!r:.80}")
    return sha256


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {value!r:.50}")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
