# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a model's bytes are the ones meant. A file is read once; what was hashed is what runs.

The project vouches for the files in ``checksums.json``. For any other file the user says so once (``trust_file``), and
the digest is kept in ``trusted.json`` in their configuration folder. There is no way around this.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ..filters.environment.folders import config_folder
from . import onnx_guard
from .catalog import ModelEntry
from .digests import TrustRecord, load_checksums, load_trusted, now, save_trusted
from .refusal import ModelRefused

__all__ = ["ModelRefused", "TrustRecord", "VerifiedModel", "digest_file", "read_model", "trust_file"]

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 2**30
_MB = 2**20


@dataclass(frozen=True)
class VerifiedModel:
    """Bytes that may run. ``vouched_by`` is "project" or "user"; ``entry`` is None for a user's own file."""

    data: bytes = field(repr=False)
    sha256: str
    vouched_by: str
    name: str
    entry: ModelEntry | None = None


def read_model(model: ModelEntry | Path, root: Path = ROOT) -> VerifiedModel:
    """Read, verify and look through a model: a catalogue entry's file or a file of the user's own.

    An entry's file must have the digest that stands under its name; a user's own file may have any trusted digest.
    Raises ``ModelRefused``; see there for codes.
    """
    entry = model if isinstance(model, ModelEntry) else None
    path = _entry_path(model, root) if isinstance(model, ModelEntry) else model
    data = _read(path)
    sha256 = hashlib.sha256(data).hexdigest()
    vouched_by = _vouch(path.name, sha256, root, by_name_only=entry is not None)
    onnx_guard.check(data, path.name)
    return VerifiedModel(data, sha256, vouched_by, path.name, entry)


def digest_file(path: Path) -> str:
    """The SHA-256 of a file as ``read_model`` would read it, in hexadecimal; ``ModelRefused`` if it can't be read."""
    return hashlib.sha256(_read(path)).hexdigest()


def trust_file(path: Path) -> TrustRecord:
    """Remember that the user trusts this file as it is now. Only ever called because the user asked for it.

    Raises ``ModelRefused`` if the file can't be read, or the store can't be read or written.
    """
    data = _read(path)
    record = TrustRecord(path.name, hashlib.sha256(data).hexdigest(), len(data), str(path.absolute()), now())
    store = _store_path()
    records = [old for old in load_trusted(store) if (old.name, old.sha256) != (record.name, record.sha256)]
    save_trusted(store, [*records, record])
    return record


def user_models_folder() -> Path:
    """Where a user keeps the files of catalogue models that do not ship."""
    return config_folder() / "models"


def _store_path() -> Path:
    return config_folder() / "trusted.json"


def _entry_path(entry: ModelEntry, root: Path) -> Path:
    shipped = root / "models" / "weights" / entry.file
    own = user_models_folder() / entry.file
    return own if not os.path.lexists(shipped) and os.path.lexists(own) else shipped


def _vouch(name: str, sha256: str, root: Path, by_name_only: bool) -> str:
    """Who vouches for these bytes; ``model.digest_mismatch`` or ``model.untrusted`` if nobody does."""
    project = load_checksums(root / "checksums.json")
    if project.get(name) == sha256 or (not by_name_only and sha256 in project.values()):
        return "project"
    if by_name_only and name in project:
        raise ModelRefused("model.digest_mismatch", file=name, expected=project[name], found=sha256)
    records = load_trusted(_store_path())
    if any(record.sha256 == sha256 and (record.name == name or not by_name_only) for record in records):
        return "user"
    known = [project[name]] if name in project else [old.sha256 for old in records if old.name == name]
    if known:
        raise ModelRefused("model.digest_mismatch", file=name, expected=known[-1], found=sha256)
    raise ModelRefused("model.untrusted", file=name, found=sha256)


def _read(path: Path) -> bytes:
    """All bytes of a regular file, opened once, not through a link."""
    try:
        with os.fdopen(_open(path), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ModelRefused("model.unreadable", file=path.name, detail="not a regular file")
            _check_size(path, found.st_size)
            data = file.read(found.st_size + 1)
    except FileNotFoundError:
        raise ModelRefused("model.missing", file=path.name) from None
    except (OSError, ValueError) as error:
        raise ModelRefused("model.unreadable", file=path.name, detail=_reason(error)) from None
    if len(data) != found.st_size:
        raise ModelRefused("model.unreadable", file=path.name, detail="it changed while it was read")
    return data


def _open(path: Path) -> int:
    if os.name == "nt" and path.is_symlink():  # there is no O_NOFOLLOW; the digest catches what comes in between
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    flags = os.O_RDONLY
    for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):  # a FIFO must not block us
        flags |= getattr(os, name, 0)
    return os.open(path, flags)


def _check_size(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        size_mb = -(-size // _MB)
        raise ModelRefused("model.too_large", file=path.name, size_mb=size_mb, limit_mb=MAX_BYTES // _MB)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return "it is a link" if error.errno == errno.ELOOP else error.strerror or type(error).__name__
    return str(error)
