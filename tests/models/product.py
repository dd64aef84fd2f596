# SPDX-License-Identifier: GPL-2.0-or-later
"""A product that vouches for one model, and ways to attack it."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest

from background_filter.models.catalog import ModelEntry, default_model_id, load_catalog
from background_filter.models.trust import ModelRefused, read_model
from background_filter.tests.models.files import conv_node, good_model, graph_of, model_of

GOOD = good_model().SerializeToString()
OTHER = model_of(graph_of([conv_node()]), opset=18).SerializeToString()
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX files")


def write_checksums(root: Path, models: object) -> None:
    (root / "checksums.json").write_text(json.dumps({"format": 1, "models": models}))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry_of(file: str = "small.onnx") -> ModelEntry:
    return dataclasses.replace(load_catalog()[default_model_id()], file=file)


def own_file(tmp_path: Path, data: bytes = OTHER, name: str = "own.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def refusal_of(model: ModelEntry | Path, root: Path) -> ModelRefused:
    with pytest.raises(ModelRefused) as refusal:
        read_model(model, root)
    return refusal.value


def shipped(root: Path) -> Path:
    return root / "models" / "weights" / "small.onnx"
