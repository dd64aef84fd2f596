# SPDX-License-Identifier: GPL-2.0-or-later
"""The control line, cut at any byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from background_filter.filters.bridge import messages
from background_filter.filters.engine.control import WAKE, BadLine, Command, ControlLine, End

CLOSE = {"op": "close", "stream": 3}
STREAM = b"\n" + messages.encode(CLOSE) + b"\n\n" + b"nonsense\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_cut_anywhere(cuts: list[int]) -> None:
    control = ControlLine(0)
    edges = [0, *sorted(cuts), len(STREAM)]
    items = [item for start, end in zip(edges, (*edges[1:], len(STREAM))) for item in control.split(STREAM[start:end])]
    assert [type(item) for item in items] == [type(WAKE), Command, type(WAKE), type(WAKE), BadLine]
    assert items[1] == Command(CLOSE)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    items = ControlLine(0).split(data + b"\n")
    assert len(items) == data.count(b"\n") + 1


def test_endless_line_takes_no_memory() -> None:
    control = ControlLine(0)
    for _ in range(100):
        assert control.split(b"x" * 65536) == []
        assert len(control._pending) <= messages.MAX_LINE + 1
    [item] = control.split(b"\n")
    assert isinstance(item, BadLine)


def test_wakes_are_coalesced_and_news_come_in() -> None:
    line, other_end = os.pipe()
    control = ControlLine(line)
    seen: list[int] = []
    for item in control.split(b"\n\n\n"):
        control._items.put(item)
    control.post(lambda: seen.append(1))
    items = control.wait(1.0)
    assert items[0] is WAKE and len(items) == 2
    assert control.wait(0.0) == []
    os.close(line)
    os.close(other_end)


def test_parent_that_is_gone_is_the_end() -> None:
    control = ControlLine(0)
    control._parent_id = -1
    assert isinstance(control.wait(0.0)[0], End) == (os.name != "nt")


def test_stuck_loop_is_ended_with_obs() -> None:
    stuck = (
        "import sys, time; sys.path.insert(0, sys.argv.pop(1)); import obs_background_filter;"
        "from background_filter.filters.engine.control import ControlLine; ControlLine(0).start(); time.sleep(60)"
    )
    root = str(Path(__file__).resolve().parents[2])
    result = subprocess.run([sys.executable, "-c", stuck, root], stdin=subprocess.DEVNULL, timeout=20, check=False)
    assert result.returncode == 0
