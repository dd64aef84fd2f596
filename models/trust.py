# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a model's bytes are the ones meant. A file is read once; what was hashed is what runs.

The project vouches for the files in ``checksums.json``, and for a fetched file whose digest its publisher gives (the
catalogue says where). For any other file the user says so once (``trust_file``), and the digest is kept in
``trusted.json`` in their configuration folder. There is no way around this.
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
from .digests import TrustRecord, change_trusted, load_checksums, load_trusted, now
from .onnx_ports import Ports, read_ports
from .places import ROOT, find_file, shipped_models_folder
from .refusal import ModelRefused

__all__ = [
    "Candidate",
    "ModelRefused",
    "TrustRecord",
    "VerifiedModel",
    "digest",
    "digest_file",
    "forget",
    "look_at",
    "project_digest",
    "read_model",
    "store_path",
    "trust_file",
    "trust_records",
]

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


@dataclass(frozen=True)
class Candidate:
    """A file that passed the guard, to be shown before anybody trusts it; ``ports`` is what it takes and gives."""

    path: Path
    data: bytes = field(repr=False)
    sha256: str
    ports: Ports


def read_model(model: ModelEntry | Path, root: Path = ROOT) -> VerifiedModel:
    """Read, verify and look through a model: a catalogue entry's file or a file of the user's own.

    An entry's file must have the digest that stands under its name; a user's own file may have any trusted digest.
    Raises ``ModelRefused``; see there for codes.
    """
    entry = model if isinstance(model, ModelEntry) else None
    path = _entry_path(model, root) if isinstance(model, ModelEntry) else model
    data = _read(path)
    sha256 = digest(data)
    vouched_by = _vouch(path.name, sha256, root, entry)
    onnx_guard.check(data, path.name)
    return VerifiedModel(data, sha256, vouched_by, path.name, entry)


def look_at(path: Path) -> Candidate:
    """Read a file and look through it, whoever vouches for it; ``ModelRefused`` if nobody should."""
    data = _read(path)
    onnx_guard.check(data, path.name)
    return Candidate(path, data, digest(data), read_ports(data, path.name))


def project_digest(entry: ModelEntry, root: Path = ROOT) -> str | None:
    """The digest that the project vouches for, of the file of a catalogue model; None where it vouches for none."""
    return load_checksums(root / "checksums.json").get(entry.file) or _official_digest(entry)


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """The SHA-256 of a file as ``read_model`` would read it, in hexadecimal; ``ModelRefused`` if it can't be read."""
    return digest(_read(path))


def trust_file(path: Path, shown_sha256: str | None = None, origin: str | None = None) -> TrustRecord:
    """Remember that the user trusts this file as it is now. Only ever called because the user asked for it.

    With ``shown_sha256`` only if it is still what the user was shown. ``origin`` is where it was fetched from; by
    default the path. Raises ``ModelRefused`` if the file can't be read, or the store can't be read or written.
    """
    data = _read(path)
    sha256 = digest(data)
    if shown_sha256 not in (None, sha256):
        raise ModelRefused("model.digest_mismatch", file=path.name, expected=str(shown_sha256), found=sha256)
    record = TrustRecord(path.name, sha256, len(data), origin or str(path.absolute()), now())
    change_trusted(store_path(), lambda records: [*_others(records, record.name, sha256), record])
    return record


def trust_records() -> list[TrustRecord]:
    """What the user trusts, oldest first; ``model.trust_store`` if that can't be read."""
    return load_trusted(store_path())


def forget(name: str, sha256: str) -> None:
    """Take trust in a file back; ``model.trust_store`` if the store can't be read or written."""
    if len(_others(trust_records(), name, sha256)) < len(trust_records()):
        change_trusted(store_path(), lambda records: _others(records, name, sha256))


def _official_digest(entry: ModelEntry) -> str | None:
    """The digest that its publisher gives for the very file that runs."""
    return entry.download.sha256 if entry.download and entry.download.format == "onnx" else None


def _others(records: list[TrustRecord], name: str, sha256: str) -> list[TrustRecord]:
    return [record for record in records if (record.name, record.sha256) != (name, sha256)]


def store_path() -> Path:
    """The file of what the user trusts (it may not exist)."""
    return config_folder() / "trusted.json"


def _entry_path(entry: ModelEntry, root: Path) -> Path:
    return find_file(entry, root) or shipped_models_folder(root) / entry.file


def _vouch(name: str, sha256: str, root: Path, entry: ModelEntry | None) -> str:
    """Who vouches for these bytes; ``model.digest_mismatch`` or ``model.untrusted`` if nobody does."""
    project = load_checksums(root / "checksums.json")
    expected = project.get(name) or (_official_digest(entry) if entry else None)
    if expected == sha256 or (entry is None and sha256 in project.values()):
        return "project"
    if entry is not None and expected:
        raise ModelRefused("model.digest_mismatch", file=name, expected=expected, found=sha256)
    records = load_trusted(store_path())
    if any(record.sha256 == sha256 and (record.name == name or entry is None) for record in records):
        return "user"
    known = [expected] if expected else [old.sha256 for old in records if old.name == name]
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
