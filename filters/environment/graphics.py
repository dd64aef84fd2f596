# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the engine's requirements suit this machine: those for an NVIDIA card, or those for the processor."""

import ctypes
import platform
import sys
from pathlib import Path

ENGINE = Path(__file__).resolve().parent.parent / "engine"
FOR_PROCESSOR = ENGINE / "requirements.txt"
FOR_NVIDIA = ENGINE / "requirements-gpu.txt"
# The CUDA that the pinned onnxruntime-gpu is built for: 13, and 12 in the last version for Python 3.10.
NEEDED_CUDA = 13
NEEDED_CUDA_PYTHON_3_10 = 12


def driver_cuda_version() -> tuple[int, int] | None:
    """The newest CUDA that this machine's NVIDIA driver can run, or None without a driver."""
    library = {"win32": "nvcuda.dll", "linux": "libcuda.so.1"}.get(sys.platform)
    if library is None:
        return None
    version = ctypes.c_int(0)
    try:
        if ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return (version.value // 1000, version.value % 1000 // 10) if version.value else None


def choose_requirements(
    cuda: tuple[int, int] | None,
    python: tuple[int, int],
    system: str = sys.platform,
    machine: str = platform.machine(),
) -> tuple[Path, str]:
    """The requirements file for a machine, and a word on why; ``cuda`` is what ``driver_cuda_version`` said."""
    if cuda is None:
        return FOR_PROCESSOR, "no NVIDIA driver found: the engine will use the processor"
    if system not in ("linux", "win32") or machine.lower() not in ("x86_64", "amd64"):
        return (
            FOR_PROCESSOR,
            f"NVIDIA cards are not supported on {system} {machine}: the engine will use the processor",
        )
    needed = NEEDED_CUDA if python >= (3, 11) else NEEDED_CUDA_PYTHON_3_10
    found = f"{cuda[0]}.{cuda[1]}"
    if cuda[0] < needed:
        return FOR_PROCESSOR, (
            f"the NVIDIA driver is too old (it runs CUDA {found}, needed is {needed}): the engine will use the "
            "processor until the driver is updated and the engine installed again"
        )
    return FOR_NVIDIA, f"NVIDIA driver found (CUDA {found}): the engine will use the graphics card"
