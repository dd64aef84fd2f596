# SPDX-License-Identifier: GPL-2.0-or-later
"""Build an NVIDIA card's engine of a model ahead of time, so that OBS does not wait for it.

    models tensorrt u2netp --fp16
    models tensorrt u2netp --trtexec --out u2netp.engine

Without `--trtexec` it is the engine that the filter runs where TensorRT is the chosen device: ONNX Runtime builds it in
the filter's own environment and keeps it (filters/engine/tensorrt_cache.py). With it NVIDIA's program makes a file for
other uses, and measures it. Needs neither PyTorch nor onnx.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...filters.cli import models as commands
from ...filters.cli.errors import CommandError
from ...filters.cli.table import table
from ...filters.cli.workshop import LIBRARIES_OF_ENGINE, has_libraries
from ...filters.engine import tensorrt_cache
from ...filters.environment import graphics
from ...filters.environment.build import engine_python
from ...filters.environment.folders import engine_environment_folder
from .. import trust
from ..atomic import replace_file
from ..places import ROOT
from ..refusal import ModelRefused

if TYPE_CHECKING:
    from ...filters.engine.network import Network
    from ...filters.engine.ports import Ports

DEVICE, PROVIDER = "tensorrt", "TensorrtExecutionProvider"
TRTEXEC = "trtexec"
LOG_TAIL_LINES = 15
FOUND_BY_TRTEXEC = re.compile(r"\] ((?:Throughput|Latency|GPU Compute Time): .*)")
LIBRARY_VERSION = re.compile(r"nvinfer(?:\.so\.|_)(\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `models tensorrt`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="an id of the catalogue, the name of a file in your folder of models, or a path")
    add("--fp16", action="store_true", help="in 16-bit numbers: faster, a little less exact")
    add(
        "--trtexec",
        action="store_true",
        help="through NVIDIA's trtexec instead: a file for other programs, and timings",
    )
    add("--out", type=Path, metavar="FILE", help="where trtexec's engine goes (MODEL.engine in this folder)")


def run(options: argparse.Namespace) -> int:
    """Build here, or in the engine's environment, whose ONNX Runtime is the one that knows the card."""
    if options.trtexec:
        find_trtexec()
    elif options.out:
        raise CommandError("--out belongs to --trtexec; what the filter runs lies in a folder of its own.", 2)
    elif graphics.driver_cuda_version() is None:
        raise CommandError(what_is_missing("the NVIDIA driver is not on this machine"))
    if not can_run_here(options):
        python = engine_python()
        if python is None:
            raise CommandError("The engine is not installed. Type install-engine, then this again.", 2)
        if Path(sys.prefix).resolve() != python.parents[1].resolve():
            return subprocess.run(command_in(python, options), check=False).returncode
    return through_trtexec(options) if options.trtexec else through_onnx_runtime(options)


def can_run_here(options: argparse.Namespace) -> bool:
    """Whether this interpreter has the libraries for it."""
    if not has_libraries(LIBRARIES_OF_ENGINE):
        return False
    import onnxruntime

    return bool(options.trtexec or PROVIDER in onnxruntime.get_available_providers())


def command_in(python: Path, options: argparse.Namespace) -> list[str]:
    """The same command for another interpreter."""
    words = [str(python), "-I", str(ROOT / "obs_background_filter.py"), "models", "--here", "tensorrt", options.model]
    words += ["--fp16"] * options.fp16 + ["--trtexec"] * options.trtexec
    return words + ([f"--out={options.out}"] if options.out else [])


def read(name: str) -> trust.VerifiedModel:
    """The verified bytes; CommandError if they may not run."""
    try:
        return trust.read_model(commands.find(name))
    except ModelRefused as refusal:
        raise CommandError(commands.words(refusal)) from refusal


# ONNX Runtime


def through_onnx_runtime(options: argparse.Namespace) -> int:
    """Have the engine load the model on TensorRT, which builds what is missing, and once more, which must be quick."""
    model = read(options.model)
    try:
        folder = tensorrt_cache.prepare(model.sha256, options.fp16)
    except tensorrt_cache.CacheError as error:
        raise CommandError(f"{error}. Look at what is in it, delete it, and type this again.") from error
    print(f"TensorRT builds its engine of {model.name} for this card. That takes minutes.", flush=True)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        network = load(model)
        times.append(time.perf_counter() - start)
    rows = [("input", f"{network.width}x{network.height}"), ("precision", folder.name), ("folder", str(folder))]
    rows += [(path.name, f"{path.stat().st_size:,} bytes") for path in sorted(folder.glob("*.engine"))]
    rows += [("the first start", f"{times[0]:.1f} s"), ("from now on", f"{times[1]:.1f} s")]
    print(table(rows))
    print("In OBS: Tools, Scripts, OBS Background Filter, Device “NVIDIA TensorRT”.")
    return 0


def load(model: trust.VerifiedModel) -> Network:
    """The model on TensorRT, with its mask compared with the CPU's; CommandError says why not."""
    from ...filters.engine.network import load_network

    try:
        loaded = load_network(model, DEVICE)
    except ModelRefused as refusal:
        raise CommandError(commands.words(refusal)) from refusal
    if loaded.network.device != DEVICE:
        raise CommandError(what_is_missing(loaded.dropped[0].reason))
    return loaded.network


def what_is_missing(reason: str) -> str:
    """Why TensorRT does not run here, and what to do about it; `reason` as filters/engine/providers.py says it."""
    if "driver" in reason:
        advice = "It takes an NVIDIA card. Install the card's driver, type install-engine, then this again."
    elif "built without it" in reason:
        advice = "Type install-engine: where it finds an NVIDIA driver it installs the ONNX Runtime for NVIDIA cards."
    elif "nvinfer" in reason or "nvonnxparser" in reason:
        python = engine_python() or Path("python3")
        advice = (
            f"TensorRT's own libraries are no part of the engine (2 GB). Install them:\n    {python} -m pip install "
        )
        advice += library_to_install(reason, sys.version_info[:2])
    else:
        advice = f"What was installed, and for what: {engine_environment_folder() / 'install.log'}"
    return f"TensorRT can't be used: {reason}.\n{advice}"


def library_to_install(reason: str, python: tuple[int, int]) -> str:
    """The package of TensorRT's libraries that suits the ONNX Runtime for this Python, in the version it asks for."""
    cuda = graphics.NEEDED_CUDA if python >= (3, 11) else graphics.NEEDED_CUDA_PYTHON_3_10
    version = LIBRARY_VERSION.search(reason)
    return f"tensorrt-cu{cuda}" + (f"=={version[1]}.*" if version else "")


# trtexec


def find_trtexec() -> str:
    """The program; CommandError if it is not installed."""
    found = shutil.which(TRTEXEC)
    if found is None:
        raise CommandError(
            "There is no program trtexec on this machine. NVIDIA's TensorRT brings it along (https://developer.nvidia.com/"
            "tensorrt); put its bin folder into PATH. The filter does not need it: leave --trtexec away."
        )
    return found


def through_trtexec(options: argparse.Namespace) -> int:
    """Build and measure an engine by NVIDIA's program; its file is there as a whole or not at all."""
    model = read(options.model)
    out = options.out or Path(f"{Path(model.name).stem}.engine")
    if not out.parent.is_dir():
        raise CommandError(f"--out: there is no folder {out.parent}", 2)
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "model.onnx", Path(name) / "model.engine"
        source.write_bytes(model.data)  # the very bytes that were verified
        print(f"trtexec builds an engine of {model.name} and measures it. That takes minutes.", flush=True)
        log = run_trtexec([f"--onnx={source}", f"--saveEngine={target}", *arguments_for(model, options.fp16)])
        if not target.is_file():
            raise CommandError(f"trtexec wrote no engine. The end of what it said:\n{tail(log)}")
        try:
            replace_file(out, target.read_bytes())
        except OSError as error:
            raise CommandError(f"{out} can't be written: {error.strerror or error}.") from error
    for line in FOUND_BY_TRTEXEC.findall(log):
        print(line)
    print(f"{out}: {out.stat().st_size:,} bytes, for this card and this TensorRT only")
    return 0


def run_trtexec(arguments: list[str]) -> str:
    """What the program said; CommandError with the end of that if it failed."""
    try:
        result = subprocess.run(
            [find_trtexec(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise CommandError(f"trtexec can't be started: {error.strerror or error}.") from error
    if result.returncode:
        raise CommandError(
            f"trtexec failed with exit code {result.returncode}. The end of what it said:\n{tail(result.stdout)}"
        )
    return result.stdout


def tail(log: str) -> str:
    """The last lines."""
    return "\n".join(log.splitlines()[-LOG_TAIL_LINES:]) or "(nothing)"


def arguments_for(model: trust.VerifiedModel, in_half: bool) -> list[str]:
    """Precision, and the shapes of inputs whose sides the graph leaves open: before the first frame, and after."""
    from ...filters.engine import providers
    from ...filters.engine.network import find_ports

    session = providers.open_session(model.data, "cpu")
    try:
        ports = find_ports(model, session)
    except ModelRefused as refusal:
        raise CommandError(commands.words(refusal)) from refusal
    is_open = {port.name for port in session.get_inputs() if not all(isinstance(side, int) for side in port.shape)}
    first, later = first_and_later(session, ports)
    words = ["--fp16"] if in_half else []
    if is_open:
        words.append(f"--minShapes={shapes({name: first[name] for name in first if name in is_open})}")
        most = shapes({name: later[name] for name in later if name in is_open})
        words += [f"--optShapes={most}", f"--maxShapes={most}"]
    return words


def first_and_later(session: Any, ports: Ports) -> tuple[dict[str, Any], dict[str, Any]]:
    """All inputs by name for the first frame, and for those after it, when a recurrent network remembers something."""
    from ...filters.engine.prepare import empty_tensor

    picture, _ = empty_tensor(ports.input, ports.dtype)
    first = {**ports.constants, ports.input_name: picture, **{state.input: state.start for state in ports.states}}
    if not ports.states:
        return first, first
    remembered = session.run([state.output for state in ports.states], first)
    return first, {**first, **{state.input: value for state, value in zip(ports.states, remembered)}}


def shapes(tensors: Mapping[str, Any]) -> str:
    """Shapes as trtexec takes them; a name with a colon stands in single quotes."""
    quoted = {
        f"'{name}'" if ":" in name else name: "x".join(map(str, values.shape)) for name, values in tensors.items()
    }
    return ",".join(f"{name}:{shape}" for name, shape in quoted.items())
