# SPDX-License-Identifier: GPL-2.0-or-later
"""What an evaluation found, for people: aligned tables, Markdown, plots, and contact sheets of pictures.

Everything but the contact sheets comes from `Results` alone, so it can be drawn again from results.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .measuring import ROOM_LIMIT, Case, Measurable, Measured, NetworkResult, Results, thin
from .pictures import Picture, write_picture, write_whole

# Measure, its heading, the factor for people, decimals, and whether more is better.
MEASURES = (
    ("person_iou", "IoU", 1.0, 3, True),
    ("mean_iou", "mIoU", 1.0, 3, True),
    ("boundary_f", "F", 1.0, 3, True),
    ("mad", "MAD", 1000.0, 1, False),
)
COMPARED = ("person_iou", "boundary_f", "mad")
WORST_CASES, TYPICAL_CASES = 6, 4
CELL_WIDTH, CELL_HEIGHT, CAPTION_HEIGHT = 224, 168, 22
# In points from a dot, and the side of the name that is there.
NAME_PLACES = (
    (5, 3, "left"),
    (5, -9, "left"),
    (-5, 3, "right"),
    (-5, -9, "right"),
    (0, 9, "center"),
    (0, -15, "center"),
)
DOT_PX = 4
GREEN_RGB = np.array((0, 177, 64), np.float32)


@dataclass(frozen=True)
class Grid:
    """A table: a title, headings, and rows of text; the first column is a name, the others are numbers."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [f"### {self.title}", "", _row(self.header), _row(["---", *["---:"] * (len(self.header) - 1)])]
        return "\n".join([*lines, *(_row(row) for row in self.rows)]) + "\n"

    def rich(self) -> Table:
        """For the terminal, with columns that align."""
        table = Table(title=self.title, title_justify="left")
        for number, heading in enumerate(self.header):
            table.add_column(heading.replace(" ", "\n"), justify="right" if number else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table

    def show(self) -> None:
        """Print it as wide as it must be: what a narrow terminal would cut, a file or a wide one holds."""
        table = self.rich()
        Console(width=Console(width=10_000).measure(table).maximum).print(table)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cost_grid(results: Results) -> Grid:
    """Size and speed."""
    header = ["network", "MB", "MMAC", "ms", f"times {results.yardstick}" if results.yardstick else "ratio", "licence"]
    rows = []
    for each in results.networks:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        sizes = [f"{each.bytes / 1e6:.2f}", f"{each.macs / 1e6:.0f}", f"{each.ms:.2f}"]
        rows.append([each.name, *sizes, ratio, each.licence])
    return Grid("Size, multiply-accumulates, and time on one thread", header, rows)


def quality_grid(results: Results, condition: str) -> Grid:
    """Quality on every set in one light."""
    sets = list(results.networks[0].sets)
    header = ["network", *(f"{each} {heading}" for each in sets for _, heading, *_ in MEASURES)]
    rows = []
    for network in results.networks:
        cells = [quality_cells(network.sets[each][condition]) for each in sets]
        rows.append([network.name, *chain.from_iterable(cells)])
    return Grid(f"Pictures {condition}: person IoU, mean IoU, boundary F at 2 pixels, MAD x 1000", header, rows)


def quality_cells(figures: Mapping[str, float]) -> list[str]:
    """What was measured on one set in one light, in the order of `MEASURES`."""
    return [
        f"{figures[name] * factor:.{decimals}f}" if name in figures else "-"
        for name, _, factor, decimals, _ in MEASURES
    ]


def flicker_grid(results: Results) -> Grid:
    """Steadiness on every set."""
    sets = list(results.networks[0].sets)
    rows = []
    for network in results.networks:
        values = [network.sets[each].get("as is", {}).get("flicker") for each in sets]
        rows.append([network.name, *("-" if value is None else f"{100 * value:.2f}" for value in values)])
    return Grid("Flicker of a noisy still picture: dtSSD x 100", ["network", *sets], rows)


def rooms_grid(results: Results) -> Grid:
    """What is taken for a person where nobody is."""
    places = [(room, condition) for room in results.networks[0].rooms for condition in results.conditions]
    header = ["network"]
    for room, condition in places:
        header += [f"{room} {condition} mean %", "worst %", f"of {results.counts[room]} over {ROOM_LIMIT:.1%}"]
    rows = []
    for network in results.networks:
        found = [network.rooms[room][condition] for room, condition in places]
        rows.append([network.name, *(text for figures in found for text in _room_texts(figures))])
    return Grid("Empty rooms: share of pixels above .5", header, rows)


def _room_texts(figures: Mapping[str, float]) -> list[str]:
    return [f"{100 * figures['mean']:.3f}", f"{100 * figures['worst']:.1f}", f"{figures['over_limit']:.0f}"]


def grids(results: Results) -> Iterator[Grid]:
    """All tables."""
    yield cost_grid(results)
    for condition in results.conditions:
        yield quality_grid(results, condition)
    if "as is" in results.conditions:
        yield flicker_grid(results)
    if results.networks[0].rooms:
        yield rooms_grid(results)


def verdicts(results: Results) -> list[str]:
    """For each own network one line: where it beats the yardstick in IoU, boundary F and MAD, and where not."""
    by_name = {each.name: each for each in results.networks}
    yardstick = by_name.get(results.yardstick or "")
    if yardstick is None:
        return []
    lines = []
    for name in results.own:
        behind = list(_behind(by_name[name], yardstick))
        count = len(COMPARED) * sum(len(figures) for figures in yardstick.sets.values())
        where = f"; not in {', '.join(behind)}" if behind else ""
        lines.append(f"{name} beats {yardstick.name} in {count - len(behind)} of {count} figures{where}")
    return lines


def _behind(network: NetworkResult, yardstick: NetworkResult) -> Iterator[str]:
    """The figures in which a network is not better."""
    for set_name, by_condition in network.sets.items():
        for condition, figures in by_condition.items():
            other = yardstick.sets[set_name][condition]
            for name, heading, _, _, more_is_better in MEASURES:
                if name not in COMPARED:
                    continue
                gain = figures.get(name, np.nan) - other.get(name, np.nan)
                if not (gain if more_is_better else -gain) > 0:
                    yield f"{set_name} {condition} {heading}"


def plot_quality_against_time(results: Results, path: Path) -> None:
    """Mean over the sets as they are against milliseconds, one panel per measure; own networks in red."""
    condition = results.conditions[0]
    figure = Figure(figsize=(15, 5), layout="constrained")
    panels = figure.subplots(1, len(COMPARED))
    shown = [measure for measure in MEASURES if measure[0] in COMPARED]
    for axes, (name, heading, factor, _, more_is_better) in zip(panels, shown, strict=True):
        values = {
            network.name: factor * fmean(figures[condition].get(name, np.nan) for figures in network.sets.values())
            for network in results.networks
        }
        dots = {network.name: (network.ms, values[network.name]) for network in results.networks}
        draw_dots(axes, dots, results.own)
        axes.set(xlabel="ms on one thread", ylabel=f"{heading}, mean over sets")
        axes.set_title(f"{heading}: {'more' if more_is_better else 'less'} is better")
    figure.savefig(path, dpi=100)


def draw_dots(axes: Axes, dots: Mapping[str, tuple[float, float]], own: Sequence[str]) -> None:
    """A dot with its name at each (time, quality), those of `own` in red; time is logarithmic."""
    for name, place in dots.items():
        axes.plot(*place, "o", color="tab:red" if name in own else "tab:blue")
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.grid(alpha=0.3)
    write_names(axes, dots)


def write_names(axes: Axes, dots: Mapping[str, tuple[float, float]]) -> None:
    """Each name beside its dot, at the first of `NAME_PLACES` inside the axes that covers no name and no dot."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # from here on it is known where everything lies
    inside = axes.get_window_extent()
    centres = axes.transData.transform(list(dots.values()))
    taken = [Bbox.from_bounds(x - DOT_PX, y - DOT_PX, 2 * DOT_PX, 2 * DOT_PX) for x, y in centres]
    for name, place in dots.items():
        label = axes.annotate(name, place, xytext=(0, 0), textcoords="offset points", fontsize=7)
        for right, up, side in NAME_PLACES:
            label.set(position=(right, up), ha=side)
            box = label.get_window_extent()
            is_inside = inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
            if is_inside and not box.count_overlaps(taken):
                break
        taken.append(box)


def plot_sets(results: Results, path: Path) -> None:
    """Bars of every network on every set, one row per measure, one column per light."""
    shown = [measure for measure in MEASURES if measure[0] in COMPARED]
    sets, count = list(results.networks[0].sets), len(results.networks)
    figure = Figure(figsize=(1.5 + 5.5 * len(results.conditions), 9), layout="constrained")
    panels = figure.subplots(len(shown), len(results.conditions), squeeze=False, sharey="row")
    for row, (name, heading, factor, *_) in enumerate(shown):
        for column, condition in enumerate(results.conditions):
            axes = panels[row, column]
            for number, network in enumerate(results.networks):
                values = [factor * network.sets[each][condition].get(name, np.nan) for each in sets]
                places = np.arange(len(sets)) + (number - (count - 1) / 2) * 0.85 / count
                axes.bar(places, values, 0.85 / count, label=network.name, color=_colour(number))
            axes.set_xticks(range(len(sets)), sets)
            axes.set_title(f"{heading}, {condition}")
            axes.grid(axis="y", alpha=0.3)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
    figure.savefig(path, dpi=100)


def _colour(number: int) -> tuple[float, float, float, float]:
    """A colour for each network; after twenty they start anew."""
    red, green, blue, alpha = colormaps["tab20"](number % 20)
    return red, green, blue, alpha


def cell(caption: str, picture: Picture, mask: NDArray[Any] | None = None) -> Picture:
    """One cell of a sheet, uint8 RGB: the picture, with a mask (0..1) its person on green, above a caption."""
    pixels = np.asarray(picture, np.float32)
    if mask is not None:
        cover = np.asarray(mask, np.float32)[:, :, None]
        pixels[:] = pixels * cover + GREEN_RGB * (1 - cover)
    scale = min(CELL_WIDTH / picture.shape[1], CELL_HEIGHT / picture.shape[0])
    width, height = (max(1, round(side * scale)) for side in picture.shape[1::-1])
    small = cv2.resize(pixels.round().clip(0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
    canvas = np.full((CELL_HEIGHT + CAPTION_HEIGHT, CELL_WIDTH, 3), 255, np.uint8)
    left, top = (CELL_WIDTH - width) // 2, (CELL_HEIGHT - height) // 2
    canvas[top : top + height, left : left + width] = small
    place = (4, CELL_HEIGHT + CAPTION_HEIGHT - 7)
    plain = caption.encode("ascii", "replace").decode()
    cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def strip(case: Case, condition: str, networks: Mapping[str, Measurable], ious: Mapping[str, float]) -> Picture:
    """A row of cells, uint8 RGB: picture, truth, and what each network made of it, with its IoU."""
    picture, truth = case.read()
    lit = case.under(condition, picture)
    cells = [cell(f"{case.picture.stem[-18:]}, {condition}", lit), cell("truth", lit, truth)]
    cells += [cell(f"{name[:22]} {ious[name]:.3f}", lit, network.predict(lit)) for name, network in networks.items()]
    return np.hstack(cells)


Place = tuple[float, str, str, int]  # IoU, set, condition, number of the case in the set


def worst_places(people: Measured, conditions: Sequence[str], network: str) -> list[Place]:
    """Where a network does worst, worst first, each picture in one light only."""
    places = [
        (iou, set_name, condition, number)
        for set_name in people.cases
        for condition in conditions
        for number, iou in enumerate(people.of(set_name, condition, network).per_picture("person_iou"))
        if iou == iou
    ]
    chosen: dict[tuple[str, int], Place] = {}
    for place in sorted(places):
        chosen.setdefault((place[1], place[3]), place)
    return list(chosen.values())[:WORST_CASES]


def typical_places(people: Measured, conditions: Sequence[str]) -> list[Place]:
    """A few cases of every set, evenly spread, in the lights in turn."""
    return [
        (0.0, set_name, conditions[turn % len(conditions)], cases.index(case))
        for set_name, cases in people.cases.items()
        for turn, case in enumerate(thin(cases, TYPICAL_CASES))
    ]


def sheet(places: Sequence[Place], people: Measured, networks: Mapping[str, Measurable]) -> Picture | None:
    """Strips below each other, two side by side where there is room, uint8 RGB; None without a place."""
    strips = []
    for _, set_name, condition, number in places:
        ious = {name: people.of(set_name, condition, name).per_picture("person_iou")[number] for name in networks}
        strips.append(strip(people.cases[set_name][number], condition, networks, ious))
    return np.vstack(strips) if strips else None


def write_sheets(results: Results, people: Measured, networks: Mapping[str, Measurable], out: Path) -> None:
    """`worst_<network>.png` of every network beside the yardstick, and `typical.png` of own ones and others."""
    marks = {name: networks[name] for name in (results.yardstick,) if name}
    for name, network in networks.items():
        places = worst_places(people, results.conditions, name)
        _write_sheet(sheet(places, people, {name: network} | marks), out / f"worst_{_file_name(name)}.png")
    shown = {name: networks[name] for name in (*results.own, *marks, "rvm") if name in networks} or dict(networks)
    _write_sheet(sheet(typical_places(people, results.conditions), people, shown), out / "typical.png")


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _write_sheet(pixels: Picture | None, path: Path) -> None:
    if pixels is not None:
        write_picture(path, np.ascontiguousarray(pixels[:, :, ::-1]))


def write_tables(results: Results, out: Path) -> None:
    """`table.md` and `results.json`, and the same tables on the terminal."""
    out.mkdir(parents=True, exist_ok=True)
    results.write(out / "results.json")
    parts = [grid.markdown() for grid in grids(results)]
    write_whole(out / "table.md", "\n".join([*parts, *(f"- {line}" for line in verdicts(results))]).encode() + b"\n")
    for grid in grids(results):
        grid.show()
    for line in verdicts(results):
        print(line)


def write(results: Results, people: Measured, networks: Mapping[str, Measurable], out: Path) -> None:
    """Tables, plots and sheets into a folder."""
    write_tables(results, out)
    plot_quality_against_time(results, out / "quality_against_time.png")
    plot_sets(results, out / "sets.png")
    write_sheets(results, people, networks, out)
    print(f"{out}: table.md, results.json, quality_against_time.png, sets.png, typical.png, worst_*.png")
