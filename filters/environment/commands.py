# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting other Pythons from inside OBS: without OBS's variables, without a console window, at low priority."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Variables that belong to OBS's own Python, to its bundled libraries or to a developer's shell.
FOREIGN_VARIABLES = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "PYTHONSTARTUP",
    "PYTHONNOUSERSITE",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
    "LD_PRELOAD",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
)


def clean_environment(**changes: str) -> dict[str, str]:
    """The variables for a Python that has nothing to do with OBS's."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return kept | {"PYTHONUTF8": "1"} | changes


def run_quietly(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a short command and give its output; OSError when it can't start, TimeoutExpired when it takes longer."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=False,
        env=clean_environment(),
        **_hidden_window(),
    )


def start_in_background(command: Sequence[str], output: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a long command at low priority, its output appended to a file."""
    # Not preexec_fn: it would run between fork and exec in OBS, where other threads hold locks.
    nice = [] if sys.platform == "win32" or not shutil.which("nice") else ["nice", "-n", "10"]
    with output.open("ab") as stream:
        return subprocess.Popen(
            [*nice, *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=clean_environment(**variables),
            **_hidden_window(),
        )


def _hidden_window() -> Any:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    return {}
