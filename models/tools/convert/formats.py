# SPDX-License-Identifier: GPL-2.0-or-later
"""Which format a file is in: told by its bytes, so that a wrong suffix misleads nobody."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from ....filters.cli.errors import CommandError


class Format(Enum):
    """A format that can be converted; the value is what people call it."""

    ONNX = "ONNX"
    TFLITE = "TFLite"
    SAVED_MODEL = "TensorFlow SavedModel"
    KERAS = "Keras"
    STATE_DICT = "PyTorch weights"
    TORCHSCRIPT = "TorchScript"
    EXPORTED = "PyTorch exported program"


# What may hide code that runs when the file is opened or run.
PROGRAMS = (Format.SAVED_MODEL, Format.TORCHSCRIPT, Format.EXPORTED)
FROM_TENSORFLOW = (Format.SAVED_MODEL, Format.KERAS)
KNOWN = "Known are SavedModel folders, .keras, .h5, .tflite, .pt, .pth, .pt2, .torchscript, and .onnx (to TFLite)"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ONNX_BEGINNING = b"\x08"  # ir_version, which every writer puts first
_LEGACY_TORCH = b"\x80"  # a bare pickle


def format_of(path: Path) -> Format:
    """The format of a file or folder. CommandError if it is not there, is cut off, or is none of `Format`."""
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return Format.SAVED_MODEL
        raise CommandError(f"{path} is a folder without saved_model.pb, so it is no TensorFlow SavedModel. {KNOWN}.")
    beginning = read_beginning(path)
    if not beginning:
        raise CommandError(f"{path} is empty.")
    if beginning[4:8] == b"TFL3":
        return Format.TFLITE
    if beginning.startswith(_HDF5):
        return Format.KERAS
    if beginning.startswith(b"PK"):
        return format_of_archive(path)
    if beginning.startswith(_LEGACY_TORCH) and path.suffix in (".pt", ".pth", ".ckpt", ".bin"):
        return Format.STATE_DICT
    if beginning.startswith(_ONNX_BEGINNING) and path.suffix == ".onnx":
        return Format.ONNX
    raise CommandError(f"{path}: this is in no format that can be converted, or the file is damaged. {KNOWN}.")


def read_beginning(path: Path) -> bytes:
    """The first bytes of a file; CommandError if it can't be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(16)
    except FileNotFoundError:
        raise CommandError(f"{path}: no such file") from None
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror or error}") from error


def format_of_archive(path: Path) -> Format:
    """Keras and all of PyTorch's formats are ZIP archives; the names in them tell which."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CommandError(f"{path} is cut off or damaged: {error}. Fetch it again.") from error
    if {"config.json", "metadata.json"} <= names:
        return Format.KERAS
    if any(name in names for name in ("archive_format", "models/model.json", "serialized_exported_program.json")):
        return Format.EXPORTED
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return Format.TORCHSCRIPT
    if "data.pkl" in names:
        return Format.STATE_DICT
    raise CommandError(f"{path} is an archive, but neither Keras's nor PyTorch's. {KNOWN}.")
