# SPDX-License-Identifier: GPL-2.0-or-later
"""A segment mapped twice, as OBS and the engine have it."""

from collections.abc import Iterator

import pytest

from .pictures import Pair
from .torn import fresh_pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    with fresh_pair() as mapped:
        yield mapped
