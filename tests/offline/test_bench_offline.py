# SPDX-License-Identifier: GPL-2.0-or-later
"""``bench offline``, all of it, on very little."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import pytest

from background_filter.filters.cli import bench_offline, bench_report, demo_pictures
from background_filter.filters.cli.bench import bench
from background_filter.filters.cli.bench_options import PictureOptions
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


@pytest.mark.parametrize("markers", [bench_report.OFFLINE_MARKERS, bench_report.ATTENTION_MARKERS])
def test_the_page_has_a_place_for_them(markers: tuple[str, str]) -> None:
    page = bench_report.PAGE.read_text(encoding="utf-8")
    assert [page.count(marker) for marker in markers] == [1, 1]


@pytest.mark.parametrize("part", ["offline", "attention"])
def test_they_stand_alone(part: str) -> None:
    with pytest.raises(CommandError, match="stands alone"):
        bench([part, "engine"], False, PictureOptions())
