# SPDX-License-Identifier: GPL-2.0-or-later
"""``test``: everything that the tests need, then the checks, then pytest, whose last line is the last line."""

import os
import subprocess
import sys
from collections.abc import Sequence

from ..environment.folders import ENGINE_OVERRIDE
from .check import check
from .install_engine import ensure_with_progress
from .workshop import FOR_TESTS, PACKAGES, ROOT, prepare_programs, prepare_python, prepare_venv

# Not the user's: tests neither use nor change what OBS runs.
TEST_ENGINE = ROOT / ".engine"


def run_tests(arguments: Sequence[str], check_first: bool) -> int:
    """Set up, check, test; ``arguments`` go to pytest. 0 when everything passed."""
    if sys.platform.startswith("linux"):
        prepare_programs(*PACKAGES)
    prepare_python()
    python = prepare_venv(FOR_TESTS)
    ensure_with_progress(TEST_ENGINE)
    checked = check() if check_first else 0
    if checked:
        print("The tests run all the same; the exit code will be 1.", flush=True)
    environment = os.environ | {ENGINE_OVERRIDE: str(TEST_ENGINE)}
    command = [str(python), "-m", "pytest", *arguments]
    tested = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    return tested or checked
