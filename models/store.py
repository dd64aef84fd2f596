# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's folder of models: putting files in, taking them out, and what state each is in."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from pathlib import Path
from typing import NamedTuple

from . import trust
from .atomic import replace_file
from .catalog import FILE_NAME, ModelEntry
from .places import ROOT, find_file, originals_folder, user_models_folder
from .refusal import ModelRefused

_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\..*", re.IGNORECASE)  # no files on Windows


class StoreError(Exception):
    """A file can't be put in or taken out; the message is for the user."""


class State(NamedTuple):
    """What is known of a model's file. ``vouched_by`` is "project" or "user", or None for one that may not run.

    ``path`` is None where there is no file; ``refusal`` says why it may not run.
    """

    path: Path | None
    size: int
    sha256: str | None
    vouched_by: str | None
    refusal: ModelRefused | None


def state_of(model: ModelEntry | Path, root: Path = ROOT) -> State:
    """Read and verify a model's file now."""
    path = find_file(model, root) if isinstance(model, ModelEntry) else model
    try:
        verified = trust.read_model(model, root)
        return State(path, len(verified.data), verified.sha256, verified.vouched_by, None)
    except ModelRefused as refusal:
        found = refusal.params.get("found") if refusal.code in ("model.untrusted", "model.digest_mismatch") else None
        size = path.stat().st_size if path and path.is_file() else 0
        return State(path, size, str(found) if found else None, None, refusal)


def own_files(known: set[str]) -> list[Path]:
    """The ONNX files in the user's folder that belong to no model of the catalogue (``known`` are its files)."""
    folder = user_models_folder()
    return sorted(path for path in folder.glob("*.onnx") if path.name not in known) if folder.is_dir() else []


def name_for(path: Path, entry: ModelEntry | None, known: set[str]) -> str:
    """The name under which a file is kept; StoreError if it can't be."""
    if entry is not None:
        return entry.file
    if path.name in known:
        raise StoreError(
            f"{path.name} is the name of a model of the catalogue. Say which with --as, or rename the file."
        )
    if not re.fullmatch(FILE_NAME, path.name) or _DEVICES.fullmatch(path.name):
        raise StoreError(f"{path.name!r}: rename the file to letters, digits, '.', '_' or '-', ending in .onnx, first.")
    return path.name


def keep(data: bytes, name: str) -> Path:
    """Put bytes into the user's folder in one step; the same bytes again do no harm.

    StoreError if another file has the name, or the disk is full.
    """
    path = user_models_folder() / name
    if os.path.lexists(path):
        if trust.digest_file(path) == trust.digest(data):
            return path
        raise StoreError(f"There is another {path}. Take it out first: models remove {name}")
    try:
        make_private_folder(path.parent)
        replace_file(path, data)
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror or error}.") from None
    return path


def make_private_folder(folder: Path) -> None:
    """A folder that only the user may change: what lies in it is verified, but need not be replaced by others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def remove(name: str, originals: tuple[str, ...] = ()) -> list[Path]:
    """Delete a file from the user's folder, and take back the trust in it; gives what was deleted.

    ``originals`` are names in the folder of files to be converted. StoreError if it can't be deleted, ModelRefused if
    the user's list of trust can't be changed.
    """
    removed = []
    for path in (user_models_folder() / name, *(originals_folder() / original for original in originals)):
        if not os.path.lexists(path):
            continue
        sha256 = None
        with contextlib.suppress(ModelRefused):  # a link, say: nobody trusts what can't be read
            sha256 = trust.digest_file(path)
        if sha256:
            trust.forget(path.name, sha256)
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"{path} can't be deleted: {error.strerror or error}.") from None
        removed.append(path)
    _sweep(user_models_folder(), name)
    for original in originals:
        _sweep(originals_folder(), original)
    return removed


def _sweep(folder: Path, name: str) -> None:
    """Delete what an interrupted fetch or a killed program left of a file."""
    for left in folder.glob(f".{glob.escape(name)}.*"):
        with contextlib.suppress(OSError):
            left.unlink()
