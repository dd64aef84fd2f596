# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's arithmetic and tables, and the pages that are made or checked from the code."""

import json
import math
import os
import re
import sys
import time
from pathlib import Path

import pytest

from background_filter.filters import locale
from background_filter.filters.bridge.status import State
from background_filter.filters.cli import bench_engine, bench_obs
from background_filter.filters.cli.bench import bench
from background_filter.filters.cli.bench_options import PictureOptions
from background_filter.filters.cli.bench_processes import cpu_ns, resident_mb
from background_filter.filters.cli.bench_report import (
    BEGIN,
    END,
    PAGE,
    Figure,
    Section,
    Table,
    as_markdown,
    as_text,
    median,
    percentile,
    write_figures,
)
from background_filter.filters.cli.docs_settings import PAGE as SETTINGS_PAGE
from background_filter.filters.cli.docs_settings import settings_page
from background_filter.filters.cli.errors import CommandError
from background_filter.filters.cli.machine import machine, processor
from background_filter.tests.obs.harness import Timing

ROOT = Path(__file__).resolve().parents[2]


def test_a_figure_says_whether_it_is_as_it_should_be() -> None:
    assert Figure("a", 3.0, "ms", 2, 3.0).cells() == ("a", "3.00 ms", "at most 3 ms")
    assert Figure("a", 3.01, "ms", 2, 3.0).cells() == ("a", "3.01 ms", "at most 3 ms, missed")
    assert Figure("a", 1.0, "s", 1, 1.0, above=True).cells() == ("a", "1.0 s", "under 1 s, missed")
    assert Figure("a", 0.5, "", 1).cells() == ("a", "0.5", "")
    assert not Figure("a", math.nan, "ms", 2, 3.0).is_met


def test_percentiles() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert (median(values), percentile(values, 95), percentile(values, 100)) == (50.5, 96.0, 100.0)
    assert math.isnan(percentile([], 99)) and math.isnan(median([]))


def test_tables_are_aligned_and_replaced_in_their_page(tmp_path: Path) -> None:
    section = Section("Part", "How.", [Figure("long name", 1.0, "ms"), Figure("b", 10.0, "ms", 1, 5.0)])
    lines = as_text([section]).splitlines()
    assert lines[0] == "PART"
    assert lines[-2:] == ["  long name    1.0 ms", "  b           10.0 ms  at most 5 ms, missed"]
    words = Section("Words", "", (), [Table(("a", "b"), [("x", "y")], numbers=False)])
    assert as_markdown([words]).endswith("| a | b |\n| --- | --- |\n| x | y |")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_figures(page, as_markdown([section]))
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n## Part\n\nHow.\n\n| figure |") and text.endswith(
        f"|\n\n{END}\nafter\n"
    )
    assert "old" not in text
    page.write_text("no markers")
    with pytest.raises(CommandError, match="lacks the lines"):
        write_figures(page, "x")


def test_writing_takes_all_parts() -> None:
    with pytest.raises(CommandError, match="all figures") as refused:
        bench(["obs"], True, PictureOptions())
    assert refused.value.exit_code == 2


def test_the_machine_is_described(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU 3000\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU 3000"
    assert processor(tmp_path / "none")
    assert {"date", "processor", "memory", "system", "Python"} <= set(machine())


def test_processor_time_and_memory_of_a_process(tmp_path: Path) -> None:
    begin_ns, begin_s = cpu_ns(os.getpid()), time.process_time()
    while time.process_time() - begin_s < 0.1:
        pass
    assert cpu_ns(os.getpid()) - begin_ns > 50_000_000
    assert 5 < resident_mb(os.getpid()) < 5000
    # A kernel without fine counts.
    (tmp_path / "1" / "task" / "1").mkdir(parents=True)
    (tmp_path / "1" / "stat").write_text("1 (a (b) c) S" + " 0" * 10 + " 30 20" + " 0" * 20)
    assert cpu_ns(1, tmp_path) == 50 * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_what_obs_says_becomes_figures() -> None:
    def run(thread_ms: float) -> dict[str, Timing]:
        return {"obs_graphics_thread": Timing(0.0, thread_ms, 90.0, 80.0)}

    nothing = bench_obs.Variant("no filter", None, [run(1.0), run(2.0), run(1.0)])
    chroma = bench_obs.Variant("Chroma Key", "c", [run(3.0), run(6.0), run(3.0)])
    ours = bench_obs.Variant("Background Filter", "b", [run(4.0), run(7.0), run(3.0)])
    own_ms = bench_obs.own_python_ms(
        {"frames_ns": [[9_000_000, 0]] * 150 + [[500_000, 300_000]] * 99 + [[3_000_000, 0]]}
    )
    assert len(own_ms) == 100
    figures = {each.name: each for each in bench_obs.section(nothing, chroma, ours, own_ms).figures}
    added = figures["added per frame, as a multiple of what Chroma Key adds"]
    assert (added.value, added.is_met) == (1.25, True)
    assert figures["the same, worst round"].value == 1.5
    assert figures["our own Python per frame, median"].value == pytest.approx(0.2)
    assert not figures["our own Python per frame, 99th percentile"].is_met
    log = (
        "Loading up OpenGL on adapter Mesa llvmpipe\nOpenGL loaded successfully, version 4.5 Mesa 22, shading language"
    )
    assert bench_obs.facts("12:00:00.000: OBS 29.0.2.1 (linux)\n" + log) == {
        "OBS": "29.0.2.1",
        "graphics": "Mesa llvmpipe",
        "OpenGL": "4.5 Mesa 22",
    }


def test_a_real_engine_is_fed_and_measured(engine_environment: Path) -> None:
    picture_bgr = bench_obs.still_bgr((640, 360))
    with bench_engine.Feed(engine_environment, [picture_bgr, picture_bgr[:, ::-1]]) as feed:
        assert 0.0 < feed.first_mask_s() < bench_engine.FIRST_MASK_WITHIN_S
        busy_percent, trips = bench_engine.cpu_share(feed.process.pid, lambda: feed.run(1.0))
        assert feed.link.status().state is State.READY
        assert feed.hello()["onnxruntime"]
        if sys.platform == "linux":  # being woken must not push OBS aside
            assert os.sched_getscheduler(feed.process.pid) == os.SCHED_BATCH
    assert 0.0 < busy_percent < 100.0
    assert len(trips) > 10
    for trip in trips:
        assert trip.whole_ms > trip.prepare_ms + trip.infer_ms + trip.refine_ms
    assert feed.process.exit_code() == 0
    assert [row[0] for row in bench_engine.stages(trips).rows][1:4] == ["prepare", "infer", "refine"]


def test_the_page_of_figures_has_its_markers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)


def test_the_page_of_settings_is_up_to_date() -> None:
    assert SETTINGS_PAGE.read_text(encoding="utf-8") == settings_page(), "run: python3 obs_background_filter.py docs"


def test_every_problem_stands_in_troubleshooting() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    texts = json.loads((locale.FOLDER / "en-US.json").read_text(encoding="utf-8"))
    codes = {key.removeprefix("problem.") for key in texts if re.fullmatch(r"problem\.\w+\.\w+", key)}
    mentioned = set(re.findall(r"`((?:engine|model|device|bridge|effect|background|preset)\.\w+)`", page))
    assert mentioned == codes
