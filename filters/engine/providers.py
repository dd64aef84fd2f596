# SPDX-License-Identifier: GPL-2.0-or-later
"""Which device runs a network: it must be there, load, and agree with the CPU, which always remains."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from . import tensorrt_cache

AUTO_ORDER = (
    "cuda",
    "directml",
    "coreml",
    "openvino",
)  # then the CPU; TensorRT only on request: it builds for minutes
MAX_DIFFERENCE = 0.1  # of alpha (0..1) from the CPU's at any pixel: reduced precision moves an edge a little
MAX_MEAN_DIFFERENCE = 0.01  # over the picture: a wrong result moves everything


@dataclass(frozen=True)
class Device:
    """One kind of device: its name for people, and ONNX Runtime's name and options for it."""

    title: str
    provider: str
    options: tuple[tuple[str, str], ...] = ()


DEVICES = {
    "cpu": Device("CPU", "CPUExecutionProvider"),
    "cuda": Device("CUDA", "CUDAExecutionProvider", (("cudnn_conv_algo_search", "HEURISTIC"),)),
    "tensorrt": Device("TensorRT", "TensorrtExecutionProvider"),
    "directml": Device("DirectML", "DmlExecutionProvider"),
    "coreml": Device("CoreML", "CoreMLExecutionProvider"),
    "openvino": Device("OpenVINO", "OpenVINOExecutionProvider"),
}
NVIDIA = ("cuda", "tensorrt")


@dataclass(frozen=True)
class Dropped:
    """A device that was not used: why in plain words, and by how much it differed (None: it never ran)."""

    device: str
    reason: str
    difference: float | None = None

    def __str__(self) -> str:
        return f"{DEVICES[self.device].title}: {self.reason}"


@dataclass(frozen=True)
class Choice:
    """The session to use, its device, and the devices that were tried before it."""

    session: onnxruntime.InferenceSession
    device: str
    dropped: tuple[Dropped, ...]


def choose(
    data: bytes,
    wanted: str,
    cpu_session: onnxruntime.InferenceSession,
    alpha_of: Callable[[onnxruntime.InferenceSession], NDArray[np.uint8]],
) -> Choice:
    """Try the devices that ``wanted`` ("auto" or a key of DEVICES) stands for; take the first that is right.

    ``alpha_of`` runs the self-test picture through a session and returns its mask, HxW uint8. Never fails:
    the CPU's session has passed already.
    """
    if wanted == "cpu":
        return Choice(cpu_session, "cpu", ())
    dropped: list[Dropped] = []
    expected = alpha_of(cpu_session)
    for device in candidates(wanted):
        outcome = try_device(data, device, alpha_of, expected)
        if not isinstance(outcome, Dropped):
            return Choice(outcome, device, tuple(dropped))
        dropped.append(outcome)
    return Choice(cpu_session, "cpu", tuple(dropped))


def candidates(wanted: str) -> list[str]:
    """The devices to try, in order, without the CPU. "auto": those that are there; CUDA if it should."""
    if wanted != "auto":
        return [wanted]
    present = onnxruntime.get_available_providers()
    return [
        device
        for device in AUTO_ORDER
        if DEVICES[device].provider in present or (device == "cuda" and missing_nvidia_driver() is None)
    ]


def try_device(
    data: bytes,
    device: str,
    alpha_of: Callable[[onnxruntime.InferenceSession], NDArray[np.uint8]],
    expected: NDArray[np.uint8],
) -> onnxruntime.InferenceSession | Dropped:
    """A session on the device if its self-test mask is the ``expected`` one, HxW uint8; otherwise why not."""
    reason = why_absent(device)
    if reason:
        return Dropped(device, reason)
    try:
        session = open_session(data, device)
        if DEVICES[device].provider not in session.get_providers():
            return Dropped(device, why_not_loaded(device))
        session.disable_fallback()
        difference = np.abs(alpha_of(session).astype(np.float32) - expected.astype(np.float32)) / 255.0
    except Exception as error:  # drivers throw anything: whatever it is, the CPU goes on
        return Dropped(device, first_line(error))
    largest = float(difference.max())
    if largest > MAX_DIFFERENCE or float(difference.mean()) > MAX_MEAN_DIFFERENCE:
        return Dropped(device, f"its mask differs from the CPU's by {largest:.2f}", largest)
    return session


def open_session(data: bytes, device: str) -> onnxruntime.InferenceSession:
    """A session on the device, with the CPU for what the device can't do; raises what ONNX Runtime raises."""
    if device in NVIDIA:
        preload_cuda()
    chain: list[Any] = [(DEVICES[device].provider, dict(DEVICES[device].options))]
    if device == "tensorrt":
        preload_tensorrt()
        chain[0][1].update(tensorrt_cache.provider_options(hashlib.sha256(data).hexdigest()))
        chain.append((DEVICES["cuda"].provider, dict(DEVICES["cuda"].options)))
    if device != "cpu":
        chain.append("CPUExecutionProvider")
    return onnxruntime.InferenceSession(data, session_options(device), providers=chain)


def session_options(device: str) -> onnxruntime.SessionOptions:
    """One thread that doesn't spin, every optimisation, and no other file format than ONNX."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.log_severity_level = 4
    if device == "directml":
        options.enable_mem_pattern = False  # DirectML requires it
    return options


def why_absent(device: str) -> str:
    """Why the device can't be tried at all on this machine, or "" if it can."""
    if device in NVIDIA:
        library = missing_nvidia_driver()
        if library:
            return f"the NVIDIA driver ({library}) is not on this machine"
    if DEVICES[device].provider not in onnxruntime.get_available_providers():
        return f"the installed ONNX Runtime {onnxruntime.__version__} was built without it"
    return ""


@functools.cache
def missing_nvidia_driver() -> str | None:
    """The name of the NVIDIA driver's library if it can't be loaded, None if it is there."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    return None if load_error(name) is None else name


def load_error(library: str) -> str | None:
    """What the system says when it can't load the library, None if it can."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return first_line(error)
    return None


@functools.cache
def preload_cuda() -> None:
    """Load the CUDA libraries that pip installed beside ONNX Runtime, where it knows how to."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        preload()


@functools.cache
def preload_tensorrt() -> None:
    """Load TensorRT's libraries from where pip installed them, which is not where the system looks."""
    found = importlib.util.find_spec("tensorrt_libs")
    for folder in found.submodule_search_locations or [] if found else []:
        if sys.platform == "win32":
            os.add_dll_directory(folder)
        for name in ("nvinfer", "nvonnxparser"):
            for path in sorted(Path(folder).glob(f"lib{name}.so.*")):
                with contextlib.suppress(OSError):
                    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def why_not_loaded(device: str) -> str:
    """Why ONNX Runtime went on without the device, found out by loading its library once more."""
    suffix = {"win32": "onnxruntime_providers_{}.dll", "darwin": "libonnxruntime_providers_{}.dylib"}
    name = suffix.get(sys.platform, "libonnxruntime_providers_{}.so").format(device)
    path = Path(onnxruntime.__file__).parent / "capi" / name
    error = load_error(str(path)) if path.exists() else None
    return f"a library it needs is missing ({error})" if error else "ONNX Runtime could not start it"


def first_line(error: BaseException) -> str:
    """An exception as one short line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
