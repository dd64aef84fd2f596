# SPDX-License-Identifier: GPL-2.0-or-later
"""Building the engine's environment: a virtual environment with ONNX Runtime, NumPy and OpenCV.

Each build gets a folder of its own and counts only when its stamp is written, last and in one step. So a build that
fails or is interrupted changes nothing, and a build can replace an environment whose engine is running.
"""

import json
import secrets
import shutil
import time
from pathlib import Path

from . import graphics
from .folders import engine_environment_folder
from .interpreter import Interpreter
from .lock import FileLock
from .stamp import (
    BUILDS_NAME,
    Stamp,
    interpreter_in,
    read_stamp,
    requirements_digest,
    stamped_python,
    write_stamp,
)
from .virtual import (
    BuildError,
    Report,
    find_interpreter,
    make_virtual_environment,
    output_of,
    pip_install,
)

__all__ = ["BuildError", "Report", "build_environment", "describe", "engine_python", "ensure_environment"]

# Bytes on the disk while pip works: what it downloads and what it unpacks.
NEEDED_BYTES = {graphics.FOR_PROCESSOR.name: 450_000_000, graphics.FOR_NVIDIA.name: 6_500_000_000}
KNOWN_REQUIREMENTS = [graphics.FOR_PROCESSOR, graphics.FOR_NVIDIA]
PIP_BEGINS, PIP_ENDS = 0.1, 0.95
_CHECK = """
import json, cv2, numpy, onnxruntime, platform
print(json.dumps({"onnxruntime": onnxruntime.__version__, "numpy": numpy.__version__, "opencv": cv2.__version__,
                  "python": platform.python_version()}))
"""


def engine_python(folder: Path | None = None) -> Path | None:
    """The interpreter of the complete environment, or None: no environment, a broken one, or other requirements."""
    return stamped_python(folder or engine_environment_folder(), KNOWN_REQUIREMENTS)


def ensure_environment(report: Report, folder: Path | None = None) -> Path:
    """The interpreter of the complete environment, which is built first where there is none. Raises BuildError."""
    return engine_python(folder) or build_environment(report, folder)


def build_environment(
    report: Report, folder: Path | None = None, python: Path | None = None, requirements: Path | None = None
) -> Path:
    """Build the environment anew and give its interpreter; takes a minute or so, and a few hundred megabytes.

    ``report`` is called in this thread with the part done (0..1, never falling) and a few words. ``folder``,
    ``python`` and ``requirements`` override where it goes, which interpreter builds it and what is installed.
    When another process is building, this waits for it and takes its result. Raises BuildError.
    """
    folder = folder or engine_environment_folder()
    try:
        (folder / BUILDS_NAME).mkdir(parents=True, exist_ok=True)
        before = read_stamp(folder)
        with FileLock(folder / "install.lock") as lock:
            while not lock.try_take():
                report(0.0, "another installation is running, waiting for it")
                time.sleep(0.5)
            finished = stamped_python(folder, KNOWN_REQUIREMENTS) if read_stamp(folder) != before else None
            return finished or _build(report, folder, python, requirements)
    except OSError as error:
        raise BuildError(f"Can't write into {folder}: {error.strerror or error}.") from error


def _build(report: Report, folder: Path, python: Path | None, requirements: Path | None) -> Path:
    _remove_other_builds(folder, keep=read_stamp(folder))
    report(0.0, "looking for a Python")
    interpreter = find_interpreter(python)
    if requirements is not None:
        return _build_from(report, folder, interpreter, requirements, "")
    cuda = graphics.driver_cuda_version()
    requirements, why = graphics.choose_requirements(cuda, interpreter.version[:2])
    try:
        return _build_from(report, folder, interpreter, requirements, why)
    except BuildError as error:
        if requirements == graphics.FOR_PROCESSOR:
            raise
        why = f"the libraries for the graphics card could not be installed: {error}"
        return _build_from(report, folder, interpreter, graphics.FOR_PROCESSOR, why)


def _build_from(report: Report, folder: Path, interpreter: Interpreter, requirements: Path, why: str) -> Path:
    report(0.02, why or f"Python {'.'.join(map(str, interpreter.version))}")
    _check_space(folder, requirements)
    log = folder / "install.log"
    log.write_text(f"{why}\n{interpreter}\n{requirements}\n", encoding="utf-8")
    build = folder / BUILDS_NAME / secrets.token_hex(6)
    expected_bytes = NEEDED_BYTES.get(requirements.name, NEEDED_BYTES[graphics.FOR_PROCESSOR.name])
    try:
        report(0.04, "creating the environment")
        make_virtual_environment(build, interpreter, log)
        pip_install(build, requirements, log, _part_of(report, PIP_BEGINS, PIP_ENDS), expected_bytes)
        report(PIP_ENDS, "checking")
        versions: dict[str, str] = json.loads(output_of(build, _CHECK, log))
        digest = requirements_digest(requirements)
        stamp = Stamp(build.name, requirements.name, digest, versions.pop("python"), versions)
        write_stamp(folder, stamp)
    except BaseException:
        shutil.rmtree(build, ignore_errors=True)
        raise
    _remove_other_builds(folder, keep=stamp)
    report(1.0, "the engine is installed")
    return interpreter_in(build)


def _part_of(report: Report, begin: float, end: float) -> Report:
    return lambda part, step: report(begin + (end - begin) * part, step)


def _check_space(folder: Path, requirements: Path) -> None:
    needed, free = NEEDED_BYTES.get(requirements.name, 0), shutil.disk_usage(folder).free
    if free < needed:
        raise BuildError(f"The disk is too full: {needed >> 20} MB needed, {free >> 20} MB free in {folder}.")


def _remove_other_builds(folder: Path, keep: Stamp | None) -> None:
    # On Windows a build whose engine still runs can't be removed now; the next installation does it.
    for build in (folder / BUILDS_NAME).iterdir():
        if keep is None or build.name != keep.build:
            shutil.rmtree(build, ignore_errors=True)


def describe(folder: Path | None = None) -> str:
    """One line about the environment that stands: versions and folder."""
    folder = folder or engine_environment_folder()
    stamp = read_stamp(folder)
    if stamp is None:
        return f"no engine is installed in {folder}"
    versions = ", ".join(f"{name} {version}" for name, version in sorted(stamp.versions.items()))
    return f"Python {stamp.python_version}, {versions}, in {folder}"
