# SPDX-License-Identifier: GPL-2.0-or-later
"""``train``: every step from pictures to a network of one's own, in an environment that the first use makes."""

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .errors import CommandError
from .workshop import FOR_TRAINING, ROOT, VENV_TRAINING, prepare_python, prepare_venv

PROGRAM = "obs_background_filter.py train"
# What the second half, in the environment that the first half made, is called with.
HERE = "--here"


class Step(NamedTuple):
    """A step: the module in models/training that has its ``add_arguments`` and ``run``, and what it does."""

    module: str
    help: str


STEPS = {
    "manifest": Step("manifest", "list the pictures of a folder with masks, split, licence and source; join lists"),
    "import aisegment": Step("import_aisegment", "the same for the folders of the AISegment data set"),
    "import supervisely": Step("import_supervisely", "the same for a project of Supervisely annotations"),
    "import collection": Step("import_collection", "the same for a folder of sets: masked, people and rooms"),
    "resize": Step("resize", "make smaller copies of pictures and masks"),
    "label": Step("label", "let teachers make the masks that are missing, and drop what they disagree on"),
    "pack": Step("pack", "put labelled pictures into one file that training reads fast"),
    "frames": Step("sheet", "show what frames are made of a pack"),
    "run": Step("loop", "train a network, or go on with a run"),
    "export": Step("export", "make an ONNX file (or TFLite) of a run, in 8 bits if the quality allows it"),
    "evaluate": Step("evaluate", "measure networks on pictures with masks: table, plot, contact sheet"),
    "attribution": Step("attribution", "list authors, licences and sources of the pictures"),
    "recipe": Step("recipe", "all of it, from a collection to the measured ONNX file"),
}
IMPORTS = [name for name in STEPS if name.startswith("import ")]


def train(arguments: Sequence[str]) -> int:
    """Run one step. CommandError when it can't be done; the exit code is the step's."""
    if arguments and arguments[0] == HERE:
        return run_step(*find_step(arguments[1:]))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0 if arguments else 2
    find_step(arguments)
    prepare_python()
    python = prepare_venv(FOR_TRAINING, VENV_TRAINING)
    return hand_over([str(python), str(ROOT / "obs_background_filter.py"), "train", HERE, *arguments])


def overview() -> str:
    """The steps in the order of their use."""
    width = max(map(len, STEPS))
    lines = (f"    {name:{width}}  {step.help}" for name, step in STEPS.items())
    return "\n".join(
        [
            f"usage: {PROGRAM} step ...",
            "",
            "Trains a network of your own. The first use installs PyTorch and what else that takes (several GB with an",
            "NVIDIA card's libraries) into .venv-training. docs/training.md leads through it.",
            "",
            *lines,
            "",
            f"Each step explains itself: {PROGRAM} run --help",
        ]
    )


def find_step(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The step's name and what follows it; CommandError lists the known ones."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in STEPS:
            return name, arguments[words:]
    if arguments[0] == "import":
        raise CommandError(f"Say what to import: {', '.join(IMPORTS)}", 2)
    raise CommandError(f"There is no step “{arguments[0]}”. The steps are {', '.join(STEPS)}.", 2)


def hand_over(command: list[str]) -> int:
    """Become another program where that is possible, so that it gets signals itself; otherwise wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606  (a list, as everywhere)
    return wait_for(command)


def wait_for(command: Sequence[str]) -> int:
    """Run a program to its end and give its exit code."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the program got it too, and saves what it has


def run_step(name: str, arguments: Sequence[str]) -> int:
    """Run a step in this interpreter."""
    step = STEPS[name]
    try:
        module = importlib.import_module(f"...models.training.{step.module}", __package__)
    except ModuleNotFoundError as error:
        message = f"Python package {error.name} is missing. Leave {HERE} away, and it is installed."
        raise CommandError(message) from error
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", description=f"{step.help[0].upper()}{step.help[1:]}.")
    module.add_arguments(parser)
    exit_code: int = module.run(parser.parse_args(arguments))
    return exit_code
