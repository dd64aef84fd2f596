# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine process: takes the newest frame, finds the person in it, publishes the mask.

Law: OBS never waits for anything in here, and nothing in here runs inside OBS.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..bridge.messages import LOG_LEVELS


def main(argv: Sequence[str]) -> int:
    """Run the engine until its stdin ends; the exit code is 0, or 3 when its libraries can't be loaded."""
    parser = argparse.ArgumentParser(
        prog="obs_background_filter.py engine",
        description="The process that finds people in frames; OBS starts it and talks to it.",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info")
    options = parser.parse_args(argv)
    from . import process

    return process.run(options.log_level)
