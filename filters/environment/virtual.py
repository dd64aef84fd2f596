# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a virtual environment and filling it with pip, whatever the Python that makes it lacks."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import pip_output
from .commands import run_quietly, start_in_background
from .interpreter import Interpreter, ask, candidates, interpreters
from .stamp import interpreter_in

Report = Callable[[float, str], None]
STEP_TIMEOUT_S = 300.0


class BuildError(Exception):
    """An environment could not be built. The message is for the user: what happened, and what to do next."""


def find_interpreter(python: Path | None = None) -> Interpreter:
    """The first usable Python that can also bring pip along; BuildError with one line to type when there is none."""
    if python is not None:
        found = ask(str(python))
        why = "does not answer like a Python" if found is None else found.why_unusable()
        if found is None or why:
            raise BuildError(f"{python} {why}.")
        return found
    refusals = []
    for each in interpreters(candidates()):
        why = each.why_unusable()
        if why is None and (each.has_ensurepip or each.has_pip):
            return each
        refusals.append(f"{each.path} {why or 'comes without pip'}")
    raise BuildError(
        "No Python was found that can build the environment. Install Python 3.10 to 3.14, 64-bit; on Debian and "
        f"Ubuntu: sudo apt install python3-venv{''.join(f'; {each}' for each in refusals)}"
    )


def make_virtual_environment(environment: Path, interpreter: Interpreter, log: Path) -> None:
    """Make an environment with pip in it; what was said goes to ``log``. BuildError when it can't be made."""
    without_pip = [] if interpreter.has_ensurepip else ["--without-pip"]
    command = [str(interpreter.path), "-I", "-m", "venv", *without_pip, str(environment)]
    run_logged(command, log, "Python's venv failed")
    if without_pip:
        # Debian's python3 may come with pip but without what venv needs to copy it.
        site = output_of(environment, "import sysconfig; print(sysconfig.get_path('purelib'))", log)
        command = [
            str(interpreter.path),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--target",
            site,
            "pip",
        ]
        run_logged(command, log, f"{interpreter.path} can't install pip")


def pip_install(environment: Path, requirements: Path, log: Path, report: Report, expected_bytes: int) -> None:
    """Install a requirements file, wheels only; ``expected_bytes`` on the disk are the measure of progress (0..1).

    Raises BuildError with plain words; pip's own are in ``log``.
    """
    command = [str(interpreter_in(environment)), "-I", "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--no-warn-script-location", "--only-binary", ":all:"]
    command += ["--timeout", "30", "--retries", "2", "-r", str(requirements)]
    # pip unpacks its downloads here, so that a full /tmp does no harm and they go when the environment goes.
    downloads = environment / "downloads"
    downloads.mkdir(exist_ok=True)
    process = start_in_background(command, log, **{name: str(downloads) for name in ("TMPDIR", "TEMP", "TMP")})
    try:
        _watch(process, environment, log, report, expected_bytes)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(downloads, ignore_errors=True)
    if process.returncode:
        raise failure(pip_output.explain_failure(pip_output.tail(log)), log)


def _watch(process: subprocess.Popen[bytes], environment: Path, log: Path, report: Report, expected_bytes: int) -> None:
    """Report while pip runs. How full the disk got is the measure: one cheap call, whichever pip it is."""
    used_before = shutil.disk_usage(environment).used
    part = 0.0
    while process.poll() is None:
        time.sleep(0.3)
        part = max(part, min(1.0, (shutil.disk_usage(environment).used - used_before) / expected_bytes))
        report(part, pip_output.current_step(pip_output.tail(log)))


def output_of(environment: Path, program: str, log: Path) -> str:
    """The last line that a program prints in an environment."""
    command = [str(interpreter_in(environment)), "-I", "-c", program]
    lines = run_logged(command, log, "The new environment does not work").strip().splitlines()
    return lines[-1] if lines else ""


def run_logged(command: list[str], log: Path, what_failed: str) -> str:
    """Run a step, its output into the log as well; BuildError when it fails."""
    try:
        result = run_quietly(command, STEP_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise failure(f"{what_failed}: {error}.", log) from error
    with log.open("a", encoding="utf-8") as stream:
        stream.write(result.stdout)
    if result.returncode:
        raise failure(f"{what_failed}. {pip_output.explain_failure(result.stdout)}", log)
    return result.stdout


def failure(message: str, log: Path) -> BuildError:
    """An error that says where the rest stands."""
    return BuildError(f"{message} Everything that was said is in {log}")
