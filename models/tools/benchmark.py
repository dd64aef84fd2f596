# SPDX-License-Identifier: GPL-2.0-or-later
"""`models benchmark`: how fast and how good the models are on this machine, and which of them suits it.

    models benchmark --pictures PEOPLE --json figures.json --plot figures.png

The speed is measured by the engine's own code in the engine's own environment (`speeds.py`), all models in turns. A
frame is from pixels to mask: prepare, run, decode. IoU is measured like in `models evaluate`.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...filters.cli.errors import CommandError
from ...filters.cli.models_words import megabytes
from ...filters.cli.table import table
from ...filters.cli.workshop import ROOT
from ...filters.engine.providers import DEVICES
from ...filters.environment.build import engine_python
from ..catalog import ModelEntry
from ..suggest import Candidate, is_held, suggest
from .chosen import HELP, chosen_models
from .speeds import ModelSpeed, Speeds, measure_speeds

if TYPE_CHECKING:  # torch takes seconds, and the engine's environment has none
    from ..training.measuring import Case

Models = Mapping[str, ModelEntry | Path]


class Quality(NamedTuple):
    """Means over pictures; the mean IoU is over the classes person and background, None from the catalogue."""

    person_iou: float
    mean_iou: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `models benchmark`."""
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help=HELP)
    add("--pictures", type=Path, metavar="FOLDER", help="with images/ and masks/ (or folders that have them): quality")
    add("--frames", type=above_zero(int), metavar="N", help="only so many pictures of each set, evenly spread")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--plot", type=Path, metavar="PNG", help="draw speed against quality there")
    add("--seconds", type=above_zero(float), default=2.0, help="for each model on each device (%(default)s)")
    add("--device", nargs="+", choices=list(DEVICES), default=[], help="by default all that are there, but TensorRT")
    add("--fps", type=above_zero(float), default=30.0, help="the camera's frames per second (%(default)s)")
    add("--share", type=above_zero(float), default=0.5, help="of the time between frames, for a mask (%(default)s)")
    # The half in the engine's environment: prints what was measured as JSON.
    add("--speeds-only", action="store_true", help=argparse.SUPPRESS)


def above_zero(kind: type[int] | type[float]) -> Any:
    """What reads a finite number above zero from the command line."""

    def read(word: str) -> float:
        value = kind(word)
        if not math.isfinite(value) or value <= 0:
            raise argparse.ArgumentTypeError(f"expected a number above 0, found {word}")
        return value

    read.__name__ = kind.__name__  # argparse names it when it is no number
    return read


def run(options: argparse.Namespace) -> int:
    """Measure, print and write everything."""
    models = chosen_models(options.models)
    if options.speeds_only:
        print(json.dumps(dataclasses.asdict(measure_speeds(models, options.device, options.seconds))))
        return 0
    for path in (options.json, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise CommandError(f"There is no folder {path.parent} to write {path.name} into.", 2)
    pictures = pictures_of(options) if options.pictures else []
    speeds = speeds_in_engine(models, options)
    measured = {each.name for each in speeds.models if each.ms}
    models = {name: model for name, model in models.items() if name in measured}
    quality = measured_quality(models, pictures) if pictures else known_quality(models)
    print_all(speeds, quality, options)
    if options.json:
        write_json(speeds, quality, options)
    if options.plot:
        draw(speeds, quality, models, options.plot)
    return 0


def speeds_in_engine(models: Models, options: argparse.Namespace) -> Speeds:
    """`measure_speeds` in the engine's environment, in a process of its own."""
    python = engine_python()
    if python is None:
        raise CommandError("The engine is not installed: run install-engine", 2)
    names = [model.id if isinstance(model, ModelEntry) else str(model) for model in models.values()]
    command = [str(python), "-I", str(ROOT / "obs_background_filter.py"), "models", "--here", "benchmark", *names]
    command += ["--speeds-only", "--seconds", str(options.seconds)]
    command += ["--device", *options.device] if options.device else []
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
    if result.returncode:
        raise CommandError("Nothing was measured; the reason stands above.", result.returncode)
    return Speeds.of(json.loads(result.stdout))


def pictures_of(options: argparse.Namespace) -> list[Case]:
    """All pictures with masks in the folder that was named, or in the folders in it; CommandError without any."""
    from ..training.measuring import cases_in, find_sets, thin

    alone = thin(cases_in(options.pictures), options.frames)
    return alone or [case for cases in find_sets(options.pictures, options.frames).values() for case in cases]


def measured_quality(models: Models, pictures: list[Case]) -> dict[str, Quality]:
    """The means over the pictures."""
    from ..training.measuring import measure
    from ..training.pictures import PictureError
    from .evaluate import open_networks

    try:
        people = measure({"quality": pictures}, open_networks(models), ["as is"])
    except PictureError as error:
        raise CommandError(str(error)) from error
    found = {name: people.of("quality", "as is", name).compute() for name in models}
    missing = float("nan")  # nobody is in any of the pictures
    return {name: Quality(each.get("person_iou", missing), each["mean_iou"]) for name, each in found.items()}


def known_quality(models: Models) -> dict[str, Quality]:
    """What the catalogue says of those that were measured once."""
    known = {
        name: model.measured.quality
        for name, model in models.items()
        if isinstance(model, ModelEntry) and model.measured is not None
    }
    return {name: Quality(iou, None) for name, iou in known.items() if iou is not None}


# What is shown


def print_all(speeds: Speeds, quality: Mapping[str, Quality], options: argparse.Namespace) -> None:
    """The machine, the table, what did not run, and which model suits."""
    print(table(list(speeds.machine.items())))
    print(f"\n{figures_table(speeds, quality)}\n")
    print("FPS is of whole frames on one thread, from pixels to mask; net ms is of the bare network.")
    print(
        f"IoU is measured on the pictures in {options.pictures}."
        if options.pictures
        else "IoU is the one in the catalogue, of portraits and street pictures; --pictures measures it here."
    )
    for name, reason in speeds.refused.items():
        print(f"not measured: {name}: {reason}")
    for device in speeds.devices:
        reasons = {each.absent[device] for each in speeds.models if device in each.absent}
        for reason in sorted(reasons):
            names = [each.name for each in speeds.models if each.absent.get(device) == reason]
            print(f"not measured on {reason}: {', '.join(names)}")
    for device in speeds.devices:
        if any(device in each.ms for each in speeds.models):
            print(f"\n{verdict(speeds, quality, device, options.fps, options.share)}")


def figures_table(speeds: Speeds, quality: Mapping[str, Quality]) -> str:
    """All figures, the fastest model on the first device first."""
    devices = [device for device in speeds.devices if any(device in each.ms for each in speeds.models)]
    header = ["MODEL", "MB", "INPUT"]
    for device in devices:
        header += [f"FPS {device}", "ms", "net ms"]
    rows = [[*header, "IoU", "mIoU", "memory MB"]]
    for each in by_speed(speeds):
        row = [each.name, megabytes(each.bytes), "{}x{}".format(*each.input)]
        for device in devices:
            row += speed_words(each.ms.get(device))
        iou, mean_iou = quality.get(each.name, (None, None))
        memory = "" if each.memory_mb is None else f"{each.memory_mb:.0f}"
        rows.append([*row, share_words(iou), share_words(mean_iou), memory])
    return table(rows, numbers=range(1, len(rows[0])))


def by_speed(speeds: Speeds) -> list[ModelSpeed]:
    """Those that ran somewhere, the fastest first."""
    return sorted((each for each in speeds.models if each.ms), key=lambda each: min(each.ms.values()))


def speed_words(ms: tuple[float, float] | None) -> list[str]:
    """Frames per second, milliseconds of a frame, milliseconds of the network."""
    return ["", "", ""] if ms is None else [f"{1000 / max(ms[0], 1e-6):.0f}", f"{ms[0]:.2f}", f"{ms[1]:.2f}"]


def share_words(value: float | None) -> str:
    """A share with three decimals; empty for none."""
    return "" if value is None or math.isnan(value) else f"{value:.3f}"


def candidates(speeds: Speeds, quality: Mapping[str, Quality], device: str) -> list[Candidate]:
    """What there is to choose from on a device."""
    found = []
    for each in by_speed(speeds):
        if device in each.ms:
            found.append(
                Candidate(each.name, each.ms[device][0], quality[each.name][0] if each.name in quality else None)
            )
    return found


def verdict(speeds: Speeds, quality: Mapping[str, Quality], device: str, fps: float, share: float) -> str:
    """Which models the machine holds at a frame rate, and which of them is best."""
    known = candidates(speeds, quality, device)
    held = [each.id for each in known if is_held(each.ms, fps, share)]
    best = suggest(known, fps, share)
    where = f"On {DEVICES[device].title} at {fps:g} frames per second"
    if not held:
        return f"{where} this machine holds none of them."
    words = f"best of them by measured quality: {best}" if best else "the quality of none of them is known"
    return f"{where} this machine holds: {', '.join(held)}; {words}."


def write_json(speeds: Speeds, quality: Mapping[str, Quality], options: argparse.Namespace) -> None:
    """Everything that was measured, and what follows from it."""
    devices = [device for device in speeds.devices if any(device in each.ms for each in speeds.models)]
    values = {
        **dataclasses.asdict(speeds),
        "quality": {name: each._asdict() for name, each in quality.items() if not math.isnan(each.person_iou)},
        "quality_from": str(options.pictures) if options.pictures else "catalogue",
        "fps": options.fps,
        "share": options.share,
        "suggested": {
            device: suggest(candidates(speeds, quality, device), options.fps, options.share) for device in devices
        },
    }
    write_file(options.json, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step, and say so."""
    from ..training.pictures import write_whole

    try:
        write_whole(path, data)
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror or error}.") from error
    print(f"Written: {path}")


def draw(speeds: Speeds, quality: Mapping[str, Quality], models: Models, path: Path) -> None:
    """Quality against milliseconds, one panel for each device."""
    from matplotlib.figure import Figure

    from ..training.report import draw_dots
    from .evaluate import our_own

    known = {
        device: {each.id: (each.ms, each.quality) for each in candidates(speeds, quality, device) if each.quality}
        for device in speeds.devices
    }
    panels = {device: dots for device, dots in known.items() if dots}
    if not panels:
        raise CommandError("There is nothing to draw: the quality of none of them is known. --pictures measures it.")
    figure = Figure(figsize=(7 * len(panels), 5), layout="constrained")
    for axes, (device, dots) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        draw_dots(axes, dots, our_own(models))
        axes.set(xlabel=f"ms for a frame on {DEVICES[device].title}", ylabel="person IoU")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100, format="png")
    write_file(path, drawn.getvalue())
