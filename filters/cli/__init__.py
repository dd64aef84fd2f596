# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: ``python3 obs_background_filter.py <command>``."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run a command and give the exit code: 0 done, 1 it failed, 2 it was called wrongly, 130 interrupted."""
    # OBS starts the engine this way and waits for its first mask: no import that it does not need.
    if arguments and arguments[0] == "engine":
        from ..engine import main as engine

        return engine(arguments[1:])
    from .commands import run

    return run(arguments)
