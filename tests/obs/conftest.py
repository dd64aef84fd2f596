# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests in real OBS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from background_filter.filters.engine.pipeline import Segmenter
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.tests.obs.harness import Obs
from background_filter.tests.obs.support import background_filter, filter_obs, portrait_source, wait_for_mask


@pytest.fixture(scope="session")
def default_segmenter() -> Segmenter:
    """The product's default model on the CPU, as the engine runs it."""
    return Segmenter(trust.read_model(load_catalog()[default_model_id()]), "cpu")


@pytest.fixture(scope="module")
def portrait_obs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    """One OBS for several tests: the portrait with the filter "Room", its mask there."""
    folder: Path = tmp_path_factory.mktemp("portrait")
    with filter_obs(folder, [portrait_source(folder, [background_filter()])], name="portrait") as obs:
        wait_for_mask(obs)
        yield obs
