# SPDX-License-Identifier: GPL-2.0-or-later
"""Where TensorRT's engines of a model lie, so that each is built once: ``models tensorrt`` does so ahead of time.

``<data folder>/tensorrt/<SHA-256 of the model>/fp32`` or ``.../fp16``. ONNX Runtime names an engine's file after the
graph, not after its weights: without the digest, another network of the same architecture would run instead. An engine
is a program that nobody can look through; so a folder that anybody else may write or read is not used at all.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from ..environment.folders import data_folder

FLOAT, HALF = "fp32", "fp16"
_OTHERS = 0o077


class CacheError(Exception):
    """The folder can't be used; the message says which, and why."""


def model_folder(sha256: str) -> Path:
    """The folder of one model's engines (it may not exist)."""
    return data_folder() / "tensorrt" / sha256


def prepare(sha256: str, in_half: bool) -> Path:
    """The folder for a model's engines in this precision, made where it is missing; raises CacheError.

    The engine runs a model in ``HALF`` if there is such a folder, so asking for the other one deletes it.
    """
    folder = model_folder(sha256)
    for place in (folder.parent, folder):
        make_private(place)
    if not in_half:
        shutil.rmtree(folder / HALF, ignore_errors=True)
    return make_private(folder / (HALF if in_half else FLOAT))


def make_private(folder: Path) -> Path:
    """The folder, made if need be, if it is the user's own and closed to everybody else; otherwise CacheError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(folder)
    except OSError as error:
        raise CacheError(f"{folder}: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise CacheError(f"{folder} is a link")
    # On Windows the folder lies in the user's profile, which the system keeps to them.
    if sys.platform != "win32" and (found.st_uid != os.geteuid() or found.st_mode & _OTHERS):
        raise CacheError(f"{folder} is open to other users")
    return folder


def provider_options(sha256: str) -> dict[str, str]:
    """ONNX Runtime's options for a model: its engines' folder and precision; none where that can't be used.

    Without them TensorRT builds its engine at every start, and reads none.
    """
    in_half = (model_folder(sha256) / HALF).is_dir()
    try:
        folder = str(prepare(sha256, in_half))
    except CacheError:
        return {}
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": folder,
        "trt_fp16_enable": str(in_half),
    }
