# SPDX-License-Identifier: GPL-2.0-or-later
"""The stamp that makes an environment count: written last, in one step, naming the build and what it was made from.

<engine folder>/environment.json    the stamp
<engine folder>/builds/<id>/        virtual environments, one complete, others on their way in or out
<engine folder>/install.log         what the last installation said
<engine folder>/install.lock        held while one runs
"""

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT = 1
STAMP_NAME = "environment.json"
BUILDS_NAME = "builds"


@dataclass(frozen=True)
class Stamp:
    """What stands in environment.json; ``build`` is the folder's name under builds."""

    build: str
    requirements: str
    requirements_sha256: str
    python_version: str
    versions: dict[str, str]
    format: int = FORMAT


def requirements_digest(requirements: Path) -> str:
    """SHA-256 of a requirements file, in hex, the same with either kind of line end; OSError when it is missing."""
    return hashlib.sha256(requirements.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def read_stamp(folder: Path) -> Stamp | None:
    """The stamp of an engine folder, or None when there is none that this version understands."""
    try:
        values = json.loads((folder / STAMP_NAME).read_text(encoding="utf-8"))
        stamp = Stamp(**values)
        texts = (stamp.build, stamp.requirements, stamp.requirements_sha256, stamp.python_version)
    except (OSError, ValueError, TypeError):
        return None
    is_name = all(isinstance(each, str) for each in texts) and Path(stamp.build).name == stamp.build
    return stamp if is_name and stamp.format == FORMAT and isinstance(stamp.versions, dict) else None


def write_stamp(folder: Path, stamp: Stamp) -> None:
    """Put the stamp in place in one step."""
    fresh = folder / f"{STAMP_NAME}.{os.getpid()}"
    fresh.write_text(json.dumps(asdict(stamp), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(fresh, folder / STAMP_NAME)


def interpreter_in(environment: Path, platform: str = sys.platform) -> Path:
    """Where a virtual environment has its Python."""
    return environment / "Scripts" / "python.exe" if platform == "win32" else environment / "bin" / "python"


def stamped_python(folder: Path, known_requirements: list[Path]) -> Path | None:
    """The Python of the complete environment in ``folder``, if it was made from one of the files as they are now."""
    stamp = read_stamp(folder)
    if stamp is None:
        return None
    python = interpreter_in(folder / BUILDS_NAME / stamp.build)
    if not python.exists():
        return None
    known = (each for each in known_requirements if each.name == stamp.requirements and each.exists())
    return python if stamp.requirements_sha256 in map(requirements_digest, known) else None
