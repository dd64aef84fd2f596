# SPDX-License-Identifier: GPL-2.0-or-later
"""The Windows branch against a stand-in for named mappings; by hand on Windows: see docs/platforms.md."""

import re
from typing import ClassVar

import pytest

from background_filter.filters.bridge import mapping_windows
from background_filter.filters.bridge.problems import BridgeError
from background_filter.filters.bridge.segment import _HEADER, _HEADER_VALUES, check_header

NAME = "obs-background-filter-1-0123456789abcdef"


class FakeMap(bytearray):
    """One view of a mapping; a mapping that exists is found by its name, as Windows does it."""

    existing: ClassVar[dict[str, "FakeMap"]] = {}

    def close(self) -> None:
        """Closing a view is all there is to do."""


def fake_mmap(fileno: int, size: int, tagname: str) -> FakeMap:
    assert fileno == -1
    found = FakeMap.existing.setdefault(tagname, FakeMap(size))
    if len(found) < size:
        raise PermissionError(13, "Access is denied")
    return found


@pytest.fixture(autouse=True)
def _windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmap.mmap", fake_mmap)
    monkeypatch.setattr(FakeMap, "existing", {})


def test_a_new_mapping_is_made_in_the_session_of_the_user() -> None:
    made = mapping_windows.create(NAME, 4096)
    assert made is not None
    assert list(FakeMap.existing) == ["Local\\" + NAME]
    made[1].unlink()
    made[1].close()


def test_a_name_that_is_taken_gives_none() -> None:
    FakeMap.existing["Local\\" + NAME] = FakeMap(b"OBSBGFLT" + bytes(4096))
    assert mapping_windows.create(NAME, 4096) is None


def test_a_mapping_with_a_right_header_is_opened() -> None:
    FakeMap.existing["Local\\" + NAME] = FakeMap(_HEADER.pack(*_HEADER_VALUES) + bytes(4096))
    assert len(mapping_windows.open_checked(NAME, 4096, _HEADER.size, check_header)) >= 4096


def test_a_name_nobody_made_is_refused() -> None:
    with pytest.raises(BridgeError) as refusal:
        mapping_windows.open_checked(NAME, 4096, _HEADER.size, check_header)
    assert refusal.value.code == "bridge.magic"


def test_a_mapping_that_is_too_small_is_refused() -> None:
    FakeMap.existing["Local\\" + NAME] = FakeMap(_HEADER.pack(*_HEADER_VALUES))
    with pytest.raises(BridgeError) as refusal:
        mapping_windows.open_checked(NAME, 4096, _HEADER.size, check_header)
    assert refusal.value.code == "bridge.segment"


def test_nothing_is_ever_stale() -> None:
    assert mapping_windows.remove_stale(re.compile(".*")) == 0
