# SPDX-License-Identifier: GPL-2.0-or-later
"""From a file in another format to a compared file in its place, in an environment that can open the original."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import onnxruntime

from ....filters.cli.errors import CommandError
from ....filters.cli.models import catalogue
from ... import feeding, onnx_ports, trust
from ...atomic import replace_file
from ...catalog import ModelEntry
from .finish import finished, open_as_engine
from .formats import FROM_TENSORFLOW, Format
from .parity import Bounds, Parity, compare, make_examples
from .source import Source

PROGRAM = "python3 obs_background_filter.py"


def make_onnx(options: argparse.Namespace, kind: Format) -> int:
    """Convert to ONNX, compare, write, and say what to do next."""
    entry = entry_of(options)
    source = open_source(options, kind)
    data = finished(source.to_onnx(), origin(options.source, kind) | feeding.metadata(source.feeding))
    session = open_as_engine(data, options.out.name)
    examples = make_examples(session, options.out.name, entry, options.pictures)
    names = [port.name for port in session.get_outputs()]
    found = [session.run(names, dict(feed)) for feed in examples.feeds]
    parity = compare(names, [source.run(feed) for feed in examples.feeds], found, examples.ports)
    judge(parity, f"ONNX Runtime {onnxruntime.__version__}", source.runtime, examples.about, options)
    write(options.out, data)
    ports = onnx_ports.read_ports(data, options.out.name)
    print(f"takes {', '.join(map(str, ports.inputs))}\ngives {', '.join(map(str, ports.outputs))}")
    known = f" --as {entry.id}" if entry else ""
    out = shlex.quote(str(options.out))
    print(f"Next, type:\n    {PROGRAM} models import {out}{known}\n    {PROGRAM} models preview {out}")
    return 0


def open_source(options: argparse.Namespace, kind: Format) -> Source:
    """The network to convert."""
    if kind is Format.TFLITE:
        from .from_tflite import TFLiteSource

        return TFLiteSource(options.source)
    if kind in FROM_TENSORFLOW:
        from .from_tensorflow import TensorFlowSource

        return TensorFlowSource(options.source, kind, options.size, options.trust)
    return open_torch(options, kind)


def open_torch(options: argparse.Namespace, kind: Format) -> Source:
    """A PyTorch file of any kind. CommandError says what is wrong with it, or what to add."""
    if kind is Format.STATE_DICT:
        from .torch_weights import from_weights, parse_options

        others = parse_options(options.option)
        return from_weights(options.source, options.architecture, others, options.size, options.model)
    from .torch_programs import from_exported, from_torchscript

    if options.architecture or options.option:
        message = f"{options.source} is a whole network: --architecture and --option are for files of weights."
        raise CommandError(message)
    if kind is Format.TORCHSCRIPT:
        return from_torchscript(options.source, options.size, options.input)
    return from_exported(options.source, options.size)


def make_tflite(options: argparse.Namespace) -> int:
    """Convert ONNX to TFLite, compare and write."""
    from .to_tflite import to_tflite

    data, parity, about = to_tflite(options.source, options.size, entry_of(options), options.pictures)
    judge(parity, about.found, about.expected, about.examples, options)
    write(options.out, data)
    print("This filter runs ONNX files: TFLite files are for phones and other programs.")
    return 0


def entry_of(options: argparse.Namespace) -> ModelEntry | None:
    """The catalogue's entry that was named, or whose publisher gives this very file."""
    entries = catalogue()
    if options.model:
        if options.model not in entries:
            raise CommandError(f"--as: there is no model “{options.model}”. See: models list", 2)
        return entries[options.model]
    if not options.source.is_file():
        return None
    digest = trust.digest(options.source.read_bytes())
    same = (entry for entry in entries.values() if entry.download and entry.download.sha256 == digest)
    found = next(same, None)
    if found:
        print(f"{options.source.name} is the file that the publisher of “{found.name}” gives.")
    return found


def origin(source: Path, kind: Format) -> dict[str, str]:
    """What the result says about where it is from."""
    digest = f", SHA-256 {trust.digest(source.read_bytes())}" if source.is_file() else ""
    return {"derived_from": f"{source.name} ({kind.value}){digest}", "derived_by": "models convert"}


def judge(parity: Parity, found: str, expected: str, examples: str, options: argparse.Namespace) -> None:
    """Print how the two compare; CommandError if they are further apart than allowed."""
    print(f"{found} against {expected}, on {examples}:\n{parity}", flush=True)
    bounds = Bounds(options.allowed_difference, options.allowed_flips)
    if not parity.is_within(bounds):
        message = "The result does not compute what the original does, so nothing was written. Allowed are a difference"
        part = f"of {bounds.difference:g} of an output's largest value (--allowed-difference)"
        raise CommandError(f"{message} {part} and {bounds.flips:.2%} of the mask's pixels (--allowed-flips).")


def write(out: Path, data: bytes) -> None:
    """Put the result into its place in one step; CommandError if that fails, which leaves what was there."""
    try:
        replace_file(out, data)
    except OSError as error:
        raise CommandError(f"{out} can't be written: {error.strerror or error}.") from error
    print(f"{out}: {len(data):,} bytes, SHA-256 {trust.digest(data)}")
