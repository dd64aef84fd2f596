# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo, tests and training need beside the engine: Python environments here, and programs of the system."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..environment.stamp import interpreter_in
from ..environment.virtual import BuildError, find_interpreter, make_virtual_environment, pip_install
from .errors import CommandError
from .progress import Progress

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
VENV_TRAINING = ROOT / ".venv-training"
VENV_OFFLINE = ROOT / ".venv-offline"
VENV_TENSORFLOW = ROOT / ".venv-tensorflow"
VENV_TFLITE = ROOT / ".venv-tflite"
APT_LOG = ROOT / ".apt.log"
FOR_DEMO = ROOT / "tests" / "obs" / "harness" / "requirements.txt"
FOR_TESTS = ROOT / "tests" / "requirements.txt"
FOR_TRAINING = ROOT / "models" / "training" / "requirements.txt"
FOR_OFFLINE = ROOT / "filters" / "offline" / "requirements.txt"
FOR_TENSORFLOW = ROOT / "models" / "tools" / "requirements-tensorflow.txt"
FOR_TFLITE = ROOT / "models" / "training" / "requirements-tflite.txt"
# What the engine's environment and .venv-offline are known by.
LIBRARIES_OF_ENGINE = ("cv2", "numpy", "onnxruntime")
LIBRARIES_OFFLINE = (*LIBRARIES_OF_ENGINE, "av")
# On Linux PyTorch brings CUDA's libraries along.
_WITH_PYTORCH = 6_000_000_000 if sys.platform.startswith("linux") else 1_700_000_000
EXPECTED_BYTES = {
    FOR_DEMO: 250_000_000,
    FOR_TESTS: _WITH_PYTORCH,
    FOR_TRAINING: _WITH_PYTORCH,
    FOR_OFFLINE: 400_000_000,
    FOR_TENSORFLOW: 2_300_000_000,
    FOR_TFLITE: _WITH_PYTORCH,
}
# Program, or file, and the Debian package that brings it.
PACKAGES = {
    "obs": "obs-studio",
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
    "import": "imagemagick",
    "dbus-daemon": "dbus",
    "/usr/include/obs/obs.h": "libobs-dev",
}
# Software OpenGL for Xvfb and letters for the dialogs, which the packages above only recommend.
COMPANIONS = ["libgl1-mesa-dri", "fonts-dejavu-core"]


def has_libraries(names: Sequence[str]) -> bool:
    """Whether this Python can import all of them."""
    return all(importlib.util.find_spec(name) for name in names)


def prepare_venv(requirements: Path, environment: Path = VENV) -> Path:
    """The interpreter of ``environment`` with everything in ``requirements``, installed first if need be.

    What pip said is in a file beside it that is called as it, with ``.log`` behind.
    """
    python, log = interpreter_in(environment), environment.with_name(f"{environment.name}.log")
    stamp = environment / f"{requirements.parent.name}-requirements.sha256"
    digest = _digest(requirements)
    if python.exists() and stamp.exists() and stamp.read_text() == digest:
        return python
    try:
        with Progress("Preparing Python packages") as progress:
            if not python.exists():
                progress(0.0, "creating the environment")
                shutil.rmtree(environment, ignore_errors=True)
                make_virtual_environment(environment, find_interpreter(), log)
            pip_install(environment, requirements, log, progress, EXPECTED_BYTES[requirements])
            progress(1.0, "ready")
    except BuildError as error:
        raise CommandError(str(error)) from error
    stamp.write_text(digest)
    return python


def _digest(requirements: Path) -> str:
    """One digest for a requirements file and the files that it names."""
    text = requirements.read_text(encoding="utf-8")
    named = [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("-r ")]
    parts = [text, *(_digest(requirements.parent / name) for name in named)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def prepare_python() -> None:
    """See that there is a Python that can make environments; Debian's own comes without what that takes."""
    try:
        find_interpreter()
    except BuildError as error:
        if not shutil.which("apt-get") or _as_root() is None:
            raise CommandError(str(error), 2) from error
        _install(["python3-venv"])


def prepare_programs(*programs: str) -> None:
    """Install through apt those that are missing; CommandError with the line to type where that is not allowed."""
    missing = [PACKAGES[each] for each in programs if not shutil.which(each) and not Path(each).is_file()]
    if not missing:
        return
    if not sys.platform.startswith("linux"):
        raise CommandError("This runs on Linux only, so far. To use the filter here, see docs/install.md.", 2)
    if not shutil.which("apt-get"):
        raise CommandError(f"Please install {', '.join(missing)} first (there is no apt here).", 2)
    _install([*missing, *COMPANIONS])


def _install(packages: list[str]) -> None:
    """Install Debian packages; CommandError with the line to type where that takes a password or fails."""
    line = f"Please type this, and try again:\n    sudo apt install {' '.join(packages)}"
    as_root = _as_root()
    if as_root is None:
        raise CommandError(f"Programs are missing. {line}", 2)
    print(f"Installing {', '.join(packages)} through apt (a few minutes)", flush=True)
    # The lists of a fresh machine are empty or old; where updating them fails, installing may still work.
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    _apt([*apt, "update"])
    if not _apt([*apt, "-y", "--no-install-recommends", "install", *packages]):
        raise CommandError(f"apt failed, see {APT_LOG}. {line}", 2)


def _as_root() -> list[str] | None:
    """What to put before a command that must run as root; None when that would take a password."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def _apt(command: list[str]) -> bool:
    with APT_LOG.open("ab") as stream:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False)
    return result.returncode == 0
