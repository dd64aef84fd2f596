# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as a person meets it: help, exit codes, plain words, no tracebacks."""

import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from background_filter.filters.cli.progress import Progress
from background_filter.models.catalog import default_model_id, load_catalog

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "obs_background_filter.py"


def run(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    if config:
        environment["OBS_BACKGROUND_FILTER_CONFIG"] = str(config)
    command = [sys.executable, "-W", "error", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("models", "extra"), ("models", "trust"), ("demo", "--picture", "x.mp3")]
)
def test_a_wrong_call_is_answered_in_words(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr


def test_every_command_has_a_help_line_and_stands_in_the_readme() -> None:
    shown = run("--help").stdout
    readme = (ROOT / "README.md").read_text()
    for command in ("demo", "install-engine", "models", "presets", "image", "video", "camera", "test", "check"):
        assert re.search(rf"^    {command}\b", shown, re.MULTILINE), command
        assert command in readme
        assert run(command, "--help").returncode == 0


def test_models_are_listed(tmp_path: Path) -> None:
    result = run("models", config=tmp_path)
    assert result.returncode == 0
    assert re.search(rf"{default_model_id()} \(default\) .* verified ", result.stdout)


def test_trusting_what_is_not_there_or_no_model(tmp_path: Path) -> None:
    missing = run("models", "trust", str(tmp_path / "none.onnx"), config=tmp_path / "config")
    assert (missing.returncode, missing.stderr) == (1, "error: The model file none.onnx is not there.\n")
    (tmp_path / "text.onnx").write_text("hello")
    text = run("models", "trust", str(tmp_path / "text.onnx"), config=tmp_path / "config")
    assert text.returncode == 1
    assert "not an ONNX model" in text.stderr


def shipped_model() -> Path:
    return ROOT / "models" / "weights" / load_catalog()[default_model_id()].file


def test_a_model_of_ones_own_is_trusted(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(shipped_model().read_bytes())
    result = run("models", "trust", str(own), config=tmp_path / "config")
    assert result.returncode == 0, result.stderr
    assert re.search(r"SHA-256 +[0-9a-f]{64}\n", result.stdout)
    assert "Trusted" in result.stdout
    assert (tmp_path / "config" / "trusted.json").exists()


def test_the_engine_imports_little_before_its_own_libraries() -> None:
    program = (
        "import sys, obs_background_filter; from background_filter.filters import cli\n"
        "try: cli.main(['engine', '--help'])\n"
        "except SystemExit: print(sorted(set(sys.modules) & {'numpy', 'cv2', 'subprocess', 'shutil', 'tempfile'}))"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "numpy" not in result.stdout
    assert "cv2" not in result.stdout
    begin_s = time.monotonic()
    assert run("engine", "--help").returncode == 0
    assert time.monotonic() - begin_s < 5.0


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_moves_on_a_terminal_and_is_terse_elsewhere() -> None:
    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        with Progress("Installing", stream) as progress:
            for percent in range(0, 101, 2):
                progress(percent / 100, "downloading" if percent < 50 else "unpacking")
    assert terminal.getvalue().count("\r") == 51
    assert terminal.getvalue().endswith("\n")
    assert "[############............]  50% unpacking" in terminal.getvalue()
    lines = plain.getvalue().splitlines()
    assert lines[0] == "Installing   0% downloading"
    assert lines[-1] == "Installing 100% unpacking"
    assert len(lines) < 8
