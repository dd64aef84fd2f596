# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way in one command: list, label, pack, train, export, evaluate.

Whatever is there already is kept, so that the command can be stopped at any moment and given again. To do a step anew,
delete what it wrote (the folder of the pack, the folder of a run, ...).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

from ...filters.cli.errors import CommandError
from ...filters.cli.steps import HERE, wait_for
from . import attribution, evaluate, export, import_collection, label, pack
from .beginning import CONFIG
from .config import TrainingConfig, read_config
from .watch import BEST

SCRIPT = Path(__file__).resolve().parents[2] / "obs_background_filter.py"


def call(module: ModuleType, *arguments: object) -> None:
    """Run a step as its command line would; CommandError if its exit code is not 0."""
    name = module.__name__.rpartition(".")[2]
    print(f"\n== {name} {' '.join(map(str, arguments))}", flush=True)
    parser = argparse.ArgumentParser(prog=name)
    module.add_arguments(parser)
    if module.run(parser.parse_args([str(argument) for argument in arguments])):
        raise CommandError(f"The step {name} did not succeed.")


def is_done(output: Path, *inputs: Path) -> bool:
    """Whether a file is there and no older than what it is made of."""
    return output.exists() and all(output.stat().st_mtime >= each.stat().st_mtime for each in inputs)


def prepare(options: argparse.Namespace) -> tuple[Path, Path]:
    """List, label and pack the pictures; gives the manifest and the pack."""
    work: Path = options.work
    listed = options.data
    if options.data.is_dir():
        listed = work / "manifest.csv"
        if not is_done(listed):
            call(import_collection, options.data, "--out", listed)
    labelled = listed
    if options.models:
        labelled = work / "labelled" / "manifest.csv"
        if not is_done(labelled, listed):
            call(label, listed, "--models", options.models, "--out", labelled.parent, "--workers", options.workers)
    packed = work / "pack"
    if not is_done(packed / "index.json", labelled):
        call(pack, labelled, "--out", packed, "--workers", options.workers)
    return labelled, packed


def train_in_a_process(path: Path, config: TrainingConfig, changes: list[str]) -> None:
    """Train by one TOML file, or go on with that; CommandError if it ends before its time."""
    resume = ["--resume"] if (config.out / CONFIG).exists() else []
    command = [str(path), *(word for change in changes for word in ("--set", change)), *resume]
    print(f"\n== run {' '.join(command)}", flush=True)
    # A process of its own: with several devices, Lightning starts it once for each.
    code = wait_for([sys.executable, str(SCRIPT), "train", HERE, "run", *command])
    if code:
        raise CommandError(f"The training by {path} did not succeed. Give the command again to go on.", code)


def train_and_export(path: Path, config: TrainingConfig, changes: list[str]) -> Path:
    """Train by one TOML file, or go on with that; gives the ONNX file."""
    train_in_a_process(path, config, changes)
    exported = config.out / f"{path.stem}.onnx"
    if not is_done(exported, config.out / BEST):
        call(export, config.out / BEST, "--out", exported, "--sharpen", "--int8", "--pack", config.pack)
    return exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train recipe`."""
    add = parser.add_argument
    add("config", type=Path, nargs="+", help="TOML files, one for each network; all train on the same pack")
    add("--data", type=Path, required=True, help="a collection (see `import collection`), or a manifest")
    add("--models", type=Path, help="folder with the teachers' ONNX files; without it, pictures need masks")
    add("--work", type=Path, default=Path("cache"), help="folder for manifest, labels and pack (%(default)s)")
    add("--workers", type=int, default=1, help="pictures at a time when labelling and packing (%(default)s)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run, such as run.minutes=5")
    add("--measure-on", type=Path, metavar="FOLDER", help="sets with masks; of a collection its folder dev")
    add("--rooms", type=Path, nargs="*", default=[], help="folders of pictures with nobody in them, to measure on")


def run(options: argparse.Namespace) -> int:
    """Do all of it."""
    changes = [*options.set, f"pack={(options.work / 'pack').as_posix()}"]
    if options.models:
        changes.append(f"distill.models={options.models.as_posix()}")
    configs = {path: read_config(path, changes) for path in options.config}
    if len({config.out for config in configs.values()}) < len(configs):
        raise CommandError("Two of the configurations have the same folder `out`.", 2)
    measure_on = options.measure_on or options.data / "dev"
    labelled, _ = prepare(options)
    exported = [train_and_export(path, config, changes) for path, config in configs.items()]
    call(attribution, labelled, "--out", options.work / "ATTRIBUTION.md")
    if not measure_on.is_dir():
        print("\nNothing to measure on: name a folder of sets that were not trained on with --measure-on.")
        return 0
    more = ["--rooms", *options.rooms] if options.rooms else []
    more += ["--teachers-from", options.models] if options.models else []
    call(evaluate, "--data", measure_on, "--network", *exported, *more, "--out", options.work / "evaluation")
    return 0
