# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare architectures: train each on the same pack for the same time, export it in float32, and measure all at once.

    train architectures --pack cache/pack --minutes 6 --data measure --rooms rooms --out architectures

All see frames of one size, in batches of one size, made with the same settings, and no teacher looks on; the learning
rate and the network's options are those of its TOML file. The time is that which the training process had on one
processor, making frames included: other work on the machine takes nothing away, but a network that takes ten times as
long to train sees a tenth of the frames. Only a last check follows, outside of that time, and its averaged weights are
the ones that are exported.

Given again, the command goes on where it was: what has had its time is not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from ...filters.cli.errors import CommandError
from .. import networks
from ..networks.counting import count_parameters
from ..sizes import parse_size
from . import evaluate, export
from .config import TrainingConfig, read_config
from .measuring import Results, find_rooms, find_sets
from .pack import Pack
from .pictures import write_whole
from .recipe import call, is_done, train_in_a_process
from .report import Grid, cost_grid, plot_quality_against_time, quality_cells
from .watch import BEST, read_log

CONFIGS = Path(__file__).resolve().parent / "configs"
USUAL = (
    "unet_light", "segnet", "bisenet", "deeplabv3plus", "deeplabv3", "segresnet", "u2net_light", "u2net", "fast",
)  # fmt: skip
# The same for all, on one thread. The step number is never reached: a check in between would take time from training.
COMMON = (
    "frames={}", "distill={}", "run.clock=processor", "run.accelerator=cpu", "run.threads=1", "run.workers=0",
    "run.check_every=1000000000", "run.held_out=100", "run.save_minutes=2",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train architectures`."""
    add = parser.add_argument
    usual = [CONFIGS / f"{name}.toml" for name in USUAL]
    add("config", type=Path, nargs="*", default=usual, help=f"TOML files (default: {', '.join(USUAL)})")
    add("--pack", type=Path, required=True, help="folder of the packed pictures that all train on")
    add("--minutes", type=float, default=6.0, help="of processor time for each (%(default)g)")
    add("--size", default="256x144", metavar="WxH", help="of all inputs (%(default)s)")
    add("--batch", type=int, default=8, help="frames in a step (%(default)s)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="for all, such as frames.empty=0.1")
    add("--teachers-from", type=Path, metavar="FOLDER", help="networks of other projects, measured beside them")
    add("--only", nargs="+", metavar="NAME", help="of those, only these (the yardstick is always measured)")
    evaluate.add_shared_arguments(parser)


def read_configs(options: argparse.Namespace) -> dict[str, tuple[Path, list[str], TrainingConfig]]:
    """By name each TOML file, what is changed in it, and both together; CommandError for two of one name."""
    width, height = parse_size(options.size)
    common = [
        f"pack={options.pack.as_posix()}", f"network.width={width}", f"network.height={height}",
        f"run.minutes={options.minutes}", f"run.batch={options.batch}", *COMMON, *options.set,
    ]  # fmt: skip
    read = {}
    for path in options.config:
        changes = [*common, f"out={(options.out / path.stem).as_posix()}"]
        read[path.stem] = (path, changes, read_config(path, changes))
    if len(read) < len(options.config):
        raise CommandError("Two of the configurations have the same name; their runs would share a folder.", 2)
    return read


def check(options: argparse.Namespace) -> None:
    """CommandError for what would end the command only after the training."""
    Pack(options.pack)
    find_sets(options.data, options.frames)
    find_rooms(options.rooms, options.frames)
    if options.teachers_from:
        evaluate.collect(argparse.Namespace(**{**vars(options), "network": []}))


def comparison(results: Results, configs: Mapping[str, TrainingConfig]) -> Grid:
    """Cost, training and quality of each network in a row; other projects' networks tell nothing of their training."""
    condition = results.conditions[0]
    sets = list(results.networks[0].sets)
    *cost, _licence = cost_grid(results).header
    header = ["network", "million weights", "steps", "frames seen", *cost[1:]]
    header += [f"{each} IoU / mIoU / F / MAD" for each in sets]
    rows = []
    for network, (name, *costs, _licence) in zip(results.networks, cost_grid(results).rows, strict=True):
        told = training_cells(configs[name]) if name in configs else ["", "", ""]
        quality = [" / ".join(quality_cells(network.sets[each][condition])) for each in sets]
        rows.append([name, *told, *costs, *quality])
    minutes = next(iter(configs.values())).run.minutes
    return Grid(f"Each trained for {minutes:g} minutes of processor time; pictures {condition}", header, rows)


def training_cells(config: TrainingConfig) -> list[str]:
    """Million weights, steps, and frames seen."""
    steps = int(read_log(config.out)[-1]["step"])
    weights = count_parameters(networks.create(config.network.name, **config.network.options))
    return [f"{weights / 1e6:.2f}", str(steps), str(steps * config.run.batch)]


def run(options: argparse.Namespace) -> int:
    """Train, export and measure all; table.md and architectures.png come beside the runs' folders."""
    read = read_configs(options)
    check(options)
    exported = []
    for name, (path, changes, config) in read.items():
        train_in_a_process(path, config, changes)
        exported.append(config.out / f"{name}.onnx")
        if not is_done(exported[-1], config.out / BEST):
            call(export, config.out / BEST, "--out", exported[-1])
    out: Path = options.out
    measured = argparse.Namespace(**{**vars(options), "network": exported, "out": out / "evaluation"})
    evaluate.run(measured)
    results = Results.read(measured.out / "results.json")
    grid = comparison(results, {name: config for name, (_, _, config) in read.items()})
    grid.show()
    write_whole(out / "table.md", grid.markdown().encode())
    plot_quality_against_time(results, out / "architectures.png")
    print(f"{out}: table.md, architectures.png; more of it in {measured.out}")
    return 0
