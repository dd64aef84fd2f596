# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share: the package under its private name, the shared material, the engine's environment."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import obs_background_filter  # noqa: E402, F401  (makes the package background_filter importable)

# The tests' own: they neither use nor change what the user's OBS runs. The command `test` builds it beforehand.
os.environ.setdefault("OBS_BACKGROUND_FILTER_ENGINE_ENV", str(ROOT / ".engine"))


@pytest.fixture(scope="session")
def engine_environment() -> Path:
    """The interpreter of the engine's environment, built where it is missing (a minute, 300 MB)."""
    from background_filter.filters.environment.build import ensure_environment

    return ensure_environment(lambda part, step: None)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Real models and photographs beside the repository. Without them: skipped, or with REQUIRE_SHARED=1 failed."""
    folder = ROOT.parent / "shared"
    if not (folder / "README.md").exists():
        reason = f"needs the material in {folder}, which is not part of the product"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(f"{reason} (REQUIRE_SHARED=1)")
        pytest.skip(reason)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever runs in real OBS finds the engine's environment built."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.is_relative_to(ROOT / "tests" / "obs"):
            item.fixturenames.insert(0, "engine_environment")
