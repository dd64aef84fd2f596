# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding a Python that can build the engine's environment.

Inside OBS ``sys.executable`` may be OBS itself, and the Python that OBS loads may lack what building needs. So
candidates are collected from several places, and each is asked what it is.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from .commands import run_quietly

OLDEST = (3, 10)
NEWEST = (3, 14)
CHOICE = "OBS_BACKGROUND_FILTER_PYTHON"
PROBE_TIMEOUT_S = 20.0
_PROBE = """
import importlib.util, json, os, struct, sys, sysconfig
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    # On Linux python3 may become another version with an upgrade of the system; what it points at may not.
    "path": os.path.realpath(base) if sys.platform == "linux" and sys.prefix == sys.base_prefix else sys.executable,
    "version": list(sys.version_info[:3]),
    "bits": struct.calcsize("P") * 8,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "venv": importlib.util.find_spec("venv") is not None,
    "ensurepip": importlib.util.find_spec("ensurepip") is not None,
    "pip": importlib.util.find_spec("pip") is not None,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that answered: where it is, its version, and what it brings for building an environment."""

    path: Path
    version: tuple[int, int, int]
    bits: int
    free_threaded: bool
    has_venv: bool
    has_ensurepip: bool
    has_pip: bool

    def why_unusable(self) -> str | None:
        """Why the engine's libraries can't be installed for it, or None."""
        found = ".".join(map(str, self.version))
        if not OLDEST <= self.version[:2] <= NEWEST:
            return f"is version {found}; needed is {_dotted(OLDEST)} to {_dotted(NEWEST)}"
        if self.bits != 64:
            return f"is a {self.bits}-bit build; needed is 64-bit"
        if self.free_threaded:
            return "is a free-threaded build, which the engine's libraries don't support"
        if not self.has_venv:
            return "comes without the module venv"
        return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def candidates(
    platform: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
    executable: str = sys.executable,
    base_prefix: str = sys.base_prefix,
    running: tuple[int, int] = sys.version_info[:2],
    which: Callable[[str], str | None] = shutil.which,
) -> list[str]:
    """Paths or commands worth asking, the best first, without repetition; none is known to exist."""
    found = [environ.get(CHOICE, "")]
    if is_python(executable, platform):
        found.append(executable)
    found += _beside_prefix(platform, base_prefix, running)
    names = [f"python{_dotted((3, minor))}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found += [which(name) or "" for name in ["python3", *names, "python"]]
    found += _usual_places(platform, environ)
    return list(dict.fromkeys(each for each in found if each))


def is_python(executable: str | None, platform: str) -> bool:
    """Whether a path names a Python rather than OBS, which has loaded a Python."""
    path = PureWindowsPath(executable or "") if platform == "win32" else PurePosixPath(executable or "")
    name = path.name.lower()
    return name.startswith("python") and not name.startswith("pythonw")


def _beside_prefix(platform: str, base_prefix: str, running: tuple[int, int]) -> list[str]:
    if platform == "win32":
        return [str(PureWindowsPath(base_prefix) / "python.exe")]
    return [str(PurePosixPath(base_prefix) / "bin" / f"python{_dotted(running)}")]


def _usual_places(platform: str, environ: Mapping[str, str]) -> list[str]:
    versions = range(NEWEST[1], OLDEST[1] - 1, -1)
    if platform == "win32":
        local = PureWindowsPath(environ.get("LOCALAPPDATA", r"C:\Users\Default\AppData\Local")) / "Programs" / "Python"
        programs = PureWindowsPath(environ.get("PROGRAMFILES", r"C:\Program Files"))
        return [str(base / f"Python3{minor}" / "python.exe") for minor in versions for base in (local, programs)]
    if platform == "darwin":
        # Not /usr/bin/python3: without Xcode's tools it opens a window that asks to install them.
        framework = PurePosixPath("/Library/Frameworks/Python.framework/Versions")
        places = [str(framework / f"3.{minor}" / "bin" / "python3") for minor in versions]
        return [*places, "/opt/homebrew/bin/python3", "/usr/local/bin/python3"]
    return ["/usr/bin/python3", "/usr/local/bin/python3"]


def ask(command: str) -> Interpreter | None:
    """Start a candidate and let it say what it is; None when it does not answer like a Python."""
    try:
        result = run_quietly([command, "-I", "-c", _PROBE], PROBE_TIMEOUT_S)
        answer = json.loads(result.stdout.strip().splitlines()[-1])
        major, minor, micro = answer["version"]
        return Interpreter(
            path=Path(answer["path"]),
            version=(major, minor, micro),
            bits=answer["bits"],
            free_threaded=answer["free_threaded"],
            has_venv=answer["venv"],
            has_ensurepip=answer["ensurepip"],
            has_pip=answer["pip"],
        )
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError, IndexError):
        return None


def interpreters(commands: Iterable[str]) -> Iterator[Interpreter]:
    """Ask the candidates one by one, each only when it is needed, and each Python once."""
    seen: set[Path] = set()
    for command in commands:
        found = ask(command)
        if found is not None and found.path not in seen:
            seen.add(found.path)
            yield found
