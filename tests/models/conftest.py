# SPDX-License-Identifier: GPL-2.0-or-later
"""How hypothesis works here, and a product to attack."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from background_filter.tests.models.product import GOOD, sha256, write_checksums

# The machine that runs the tests may be busy with other things: no stopwatches.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A product that vouches for one model, "small.onnx", and ships it."""
    folder = tmp_path / "product"
    (folder / "models" / "weights").mkdir(parents=True)
    (folder / "models" / "weights" / "small.onnx").write_bytes(GOOD)
    write_checksums(folder, {"small.onnx": {"sha256": sha256(GOOD), "size": len(GOOD)}})
    return folder
