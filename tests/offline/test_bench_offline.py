# SPDX-License-Identifier: GPL-2.0-or-later
"""``bench offline``, all of it, on very little."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import pytest

from background_filter.filters.cli import bench_offline, demo_pictures
from background_filter.filters.cli.bench import PictureOptions, bench
from background_filter.filters.cli.errors import CommandError


def test_all_figures_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    little = {"SIZE_PX": (128, 72), "SMALL_PX": (64, 36), "ROUNDS": 1, "LOOPS": 1, "LONG_S": 6, "PICTURES": 2}
    for name, value in little.items():
        monkeypatch.setattr(bench_offline, name, value)
    monkeypatch.setattr(demo_pictures, "CLIP_S", 1)
    section = bench_offline.measure(tmp_path)
    figures = {figure.name: figure.value for figure in section.figures}
    assert all(value > 0 for value in figures.values())
    assert len(figures) == len(bench_offline.BACKGROUNDS) + (4 if sys.platform == "linux" else 2)
    [table] = section.tables
    assert [row[0] for row in table.rows] == [bench_offline.PLAIN, *bench_offline.BACKGROUNDS]
    for name, seconds in (("plain.mp4", 1), ("out.mp4", 1), ("long_out.mp4", 6)):
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].frames == seconds * demo_pictures.FPS


def test_the_page_has_a_place_for_them() -> None:
    page = bench_offline.PAGE.read_text(encoding="utf-8")
    assert [page.count(marker) for marker in bench_offline.MARKERS] == [1, 1]


def test_it_stands_alone() -> None:
    with pytest.raises(CommandError, match="stands alone"):
        bench(["offline", "engine"], False, PictureOptions())
