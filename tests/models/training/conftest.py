# SPDX-License-Identifier: GPL-2.0-or-later
"""Training tests run where its libraries are; elsewhere they are skipped, or with REQUIRE_TRAINING=1 fail."""

import importlib.util
import os
import sys

import pytest

NEEDED = ("cv2", "onnx", "onnxruntime", "PIL", "rich", "torch")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

if MISSING:
    assert os.environ.get("REQUIRE_TRAINING") != "1", f"missing: {', '.join(MISSING)}"
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The machine may be busy with a training run."""
    import cv2

    cv2.setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
