# SPDX-License-Identifier: GPL-2.0-or-later
"""The default network, and the command line with a configuration folder of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from background_filter.filters.cli.commands import run
from background_filter.filters.engine.network import Network, load_network
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog

Command = Callable[..., int]


@pytest.fixture(scope="session")
def network() -> Network:
    """The product's default model on the CPU."""
    return load_network(trust.read_model(load_catalog()[default_model_id()]), "cpu").network


@pytest.fixture
def command(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command as a person types it, in this process, and gives the exit code."""
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path_factory.mktemp("config")))
    return lambda *words: run([str(word) for word in words])
