# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands whose work needs more than the engine has: each goes on in an environment that its first use makes."""

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .errors import CommandError
from .workshop import FOR_TRAINING, ROOT, VENV_TRAINING, prepare_python, prepare_venv

# What the second half, in the environment that the first half made, is called with.
HERE = "--here"


class Step(NamedTuple):
    """A step: the module below models/ that has its ``add_arguments`` and ``run``, and what it does."""

    module: str
    help: str


def run_in_workshop(command: str, arguments: Sequence[str]) -> int:
    """Go on with ``command --here arguments`` in the environment for training, which is made first if need be."""
    prepare_python()
    python = prepare_venv(FOR_TRAINING, VENV_TRAINING)
    return hand_over([str(python), str(ROOT / "obs_background_filter.py"), command, HERE, *arguments])


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


def run_here(command: str, name: str, step: Step, arguments: Sequence[str]) -> int:
    """Run a step in this interpreter."""
    try:
        module = importlib.import_module(f"...models.{step.module}", __package__)
    except ModuleNotFoundError as error:
        message = f"Python package {error.name} is missing. Leave {HERE} away, and it is installed."
        raise CommandError(message) from error
    program = f"obs_background_filter.py {command} {name}"
    parser = argparse.ArgumentParser(prog=program, description=f"{step.help[0].upper()}{step.help[1:]}.")
    module.add_arguments(parser)
    exit_code: int = module.run(parser.parse_args(arguments))
    return exit_code
