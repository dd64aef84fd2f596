# SPDX-License-Identifier: GPL-2.0-or-later
"""``check``: format, lint and types, all of them even when one fails."""

import subprocess
import tempfile
from pathlib import Path

from .workshop import FOR_TESTS, ROOT, prepare_python, prepare_venv

PACKAGE = "background_filter"


def check() -> int:
    """Run ruff and mypy; 0 when all are content."""
    prepare_python()
    python = str(prepare_venv(FOR_TESTS))
    failed = [name for name, command in _ruff(python).items() if _run(name, command, ROOT)]
    # Imports are relative to a package whose folder may have any name: mypy gets to see it under the right one.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / PACKAGE
        link.symlink_to(ROOT, target_is_directory=True)
        command = [python, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
        command += ["--cache-dir", str(ROOT / ".mypy_cache"), PACKAGE]
        if _run("mypy", command, Path(folder)):
            failed.append("mypy")
    print(
        f"Checks failed: {', '.join(failed)}" if failed else "All checks passed: ruff format, ruff check, mypy",
        flush=True,
    )
    return 1 if failed else 0


def _ruff(python: str) -> dict[str, list[str]]:
    ruff = [python, "-m", "ruff"]
    return {
        "ruff format": [*ruff, "format", "--check", "--quiet", "."],
        "ruff check": [*ruff, "check", "--quiet", "--output-format", "concise", "."],
    }


def _run(name: str, command: list[str], folder: Path) -> int:
    print(f"{name} …", flush=True)
    return subprocess.run(command, cwd=folder, check=False).returncode
