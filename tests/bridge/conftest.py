# SPDX-License-Identifier: GPL-2.0-or-later
"""A segment mapped twice, as OBS and the engine have it."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from background_filter.tests.bridge.pictures import Pair
from background_filter.tests.bridge.torn import fresh_pair

# The machine that runs the tests may be busy with other things: no stopwatches.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with fresh_pair() as mapped:
        yield mapped
