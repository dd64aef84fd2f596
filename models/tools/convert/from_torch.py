# SPDX-License-Identifier: GPL-2.0-or-later
"""PyTorch to ONNX: weights of a known architecture, checkpoints of our training, TorchScript, exported programs.

Weights are read without running code from the file. TorchScript and exported programs are code.
"""

from __future__ import annotations

import ast
import pickle
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from ... import networks
from ...networks.blocks import MaskNetwork
from ...sizes import parse_size
from ...training.checkpoint import restore
from ...training.export import INPUT_NAME, OUTPUT_NAME
from .finish import first_line
from .formats import Format
from .source import OPSET, Feed

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "ema", "params")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class TorchSource:
    """A module in evaluation mode and an example of each of its inputs."""

    module: Any
    examples: tuple[torch.Tensor, ...]
    name: str

    @property
    def runtime(self) -> str:
        """PyTorch with its version."""
        return f"PyTorch {torch.__version__.partition('+')[0]}"

    @property
    def input_names(self) -> list[str]:
        """``picture`` for the only input, otherwise numbered."""
        return [INPUT_NAME] if len(self.examples) == 1 else [f"input_{i}" for i in range(len(self.examples))]

    def to_onnx(self) -> onnx.ModelProto:
        """Traced on the examples. CommandError if PyTorch's exporter can't."""
        count = len(self._answers(self.examples))
        outputs = [OUTPUT_NAME if self.name else "output"] if count == 1 else [f"output_{i}" for i in range(count)]
        with tempfile.TemporaryDirectory() as name, quiet():
            path = Path(name) / "traced.onnx"
            try:
                # The exporter that traces: it needs nothing installed, and takes modules of every kind.
                torch.onnx.export(
                    self.module, self.examples, str(path), opset_version=OPSET, dynamo=False,
                    input_names=self.input_names, output_names=outputs,
                )  # fmt: skip
            except Exception as error:  # the exporter has no common base class for its exceptions
                raise CommandError(f"PyTorch can't say this network in ONNX: {first_line(error)}") from error
            return onnx.load(path)

    def run(self, feed: Feed) -> list[NDArray[Any]]:
        """What PyTorch answers."""
        return [answer.numpy() for answer in self._answers([torch.from_numpy(feed[name]) for name in self.input_names])]

    def _answers(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        try:
            with quiet(), torch.no_grad():
                answers = list(tensors_in(self.module(*inputs)))
        except Exception as error:  # a network raises anything
            shapes = ", ".join(str(list(tensor.shape)) for tensor in inputs)
            message = f"The network does not take {shapes}: {first_line(error)} Give its size with --size."
            raise CommandError(message) from error
        if not answers:
            raise CommandError("The network gives no tensors.")
        return answers


def tensors_in(answer: Any) -> Iterator[torch.Tensor]:
    """All tensors of a network's answer, in the order in which the exporter finds them."""
    if isinstance(answer, torch.Tensor):
        yield answer.detach()
    elif isinstance(answer, Mapping):
        yield from (tensor for part in answer.values() for tensor in tensors_in(part))
    elif isinstance(answer, (list, tuple)):
        yield from (tensor for part in answer for tensor in tensors_in(part))


@contextmanager
def quiet() -> Iterator[None]:
    """PyTorch without its warnings, which tell users nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_torch(
    path: Path, kind: Format, architecture: str | None, options: Sequence[str], size: str | None
) -> TorchSource:
    """A PyTorch file of any kind, ready to convert. CommandError says what is wrong with it, or what to add."""
    if kind is Format.STATE_DICT:
        return from_weights(path, architecture, parse_options(options), size)
    if architecture or options:
        raise CommandError(f"{path} is a whole network: --architecture and --option are for files of weights.")
    return from_torchscript(path, size) if kind is Format.TORCHSCRIPT else from_exported(path, size)


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """``key=value`` as a dictionary; values that are Python literals (numbers, tuples) are taken as such."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise CommandError(f"--option: expected KEY=VALUE, such as backbone=resnet18, found {text!r}")
        try:
            options[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[key] = value
    return options


# Weights


def from_weights(path: Path, name: str | None, options: dict[str, Any], size: str | None) -> TorchSource:
    """A file of weights, or a checkpoint of our own training, which says its architecture itself."""
    found = read_weights(path)
    sides = parse_size(size) if size else None
    if "average" in found:
        restored = restore(path, sides, name)
        return TorchSource(restored.network, (example(restored.width, restored.height),), restored.name)
    if name is None:
        known = ", ".join(networks.NETWORKS)
        message = f"{path} holds weights alone. Say which network they belong to: --architecture NAME, one of {known}."
        raise CommandError(message)
    network = build(name, options)
    fill(network, unwrapped(found, path), path, name)
    known_network = networks.NETWORKS[name]
    width, height = sides or (known_network.width, known_network.height)
    if width % network.divisor or height % network.divisor:
        raise CommandError(
            f"--size: {name} takes sides that are multiples of {network.divisor}, found {width}x{height}."
        )
    return TorchSource(network.eval(), (example(width, height),), name)


def read_weights(path: Path) -> dict[str, Any]:
    """The dictionary in a file, without running code from it."""
    try:
        with quiet():
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        message = f"{path} holds more than weights: Python objects that could run code when it is opened."
        raise CommandError(
            f"{message} It is not opened. Ask its author for the weights alone (a state_dict), as ONNX or TorchScript."
        ) from error
    except Exception as error:  # whatever a damaged archive makes PyTorch raise
        raise CommandError(f"{path} is cut off or damaged: {first_line(error)}") from error
    if not isinstance(found, Mapping):
        raise CommandError(f"{path} holds no weights by name, but {type(found).__name__}.")
    return dict(found)


def unwrapped(found: Mapping[str, Any], path: Path) -> State:
    """The tensors by name, out of the dictionaries and without the prefixes that training puts around them."""
    while not any(isinstance(value, torch.Tensor) for value in found.values()):
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            raise CommandError(f"{path} holds no weights. Found: {', '.join(map(str, list(found)[:8])) or 'nothing'}")
        found = inner
    state = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def build(name: str, options: dict[str, Any]) -> MaskNetwork:
    """A network of `models.networks`; CommandError for what can't be."""
    try:
        return networks.create(name, **options)
    except (TypeError, ValueError) as error:
        raise CommandError(f"--architecture {name}: {error}") from error


def renamed(state: State, names: Sequence[tuple[str, str]]) -> State:
    """The weights under our names: each pattern of a published file's names gives way to its replacement, in order."""
    result = {}
    for key, value in state.items():
        for pattern, replacement in names:
            key = re.sub(pattern, replacement, key)
        result[key] = value
    return result


def fill(network: MaskNetwork, state: State, path: Path, name: str) -> None:
    """Load the weights, with the prefix taken off that is on all of them, under our names or the published file's.

    CommandError names what does not fit.
    """
    expected = set(network.state_dict())
    while not expected & set(renamed(state, network.published_names)):
        prefix = next((each for each in PREFIXES if state and all(key.startswith(each) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    state = renamed(state, network.published_names)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        missing, more = sorted(expected - set(state)), sorted(set(state) - expected)
        parts = [f"{len(missing)} weights are missing, such as {missing[0]}" if missing else ""]
        parts += [f"{len(more)} belong to no layer, such as {more[0]}" if more else ""]
        detail = "; ".join(part for part in parts if part) or str(error).splitlines()[-1].strip()[:200]
        message = f"{path}: these are not the weights of {name}: {detail}."
        raise CommandError(f"{message} Try another --architecture or --option.") from error


def example(width: int, height: int) -> torch.Tensor:
    """A picture to trace with."""
    return torch.zeros(1, 3, height, width)


# Programs


def from_torchscript(path: Path, size: str | None) -> TorchSource:
    """A TorchScript file; it must have been said before that it is trusted."""
    if size is None:
        raise CommandError(f"{path}: TorchScript does not say its input's size. Give it: --size 256x144.")
    try:
        with quiet():
            module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a damaged archive makes PyTorch raise
        raise CommandError(f"{path} is cut off or damaged: {first_line(error)}") from error
    return TorchSource(module, (example(*parse_size(size)),), "")


def from_exported(path: Path, size: str | None) -> TorchSource:
    """An exported program (.pt2); it must have been said before that it is trusted."""
    try:
        with quiet():
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # whatever a damaged archive makes PyTorch raise
        message = f"{path} can't be opened: {first_line(error)}"
        raise CommandError(
            f"{message} It may be damaged, or made by a newer PyTorch than {torch.__version__}."
        ) from error
    given = program.example_inputs[0] if program.example_inputs else ()
    inputs = tuple(tensor for tensor in given if isinstance(tensor, torch.Tensor))
    if size is not None:
        inputs = (example(*parse_size(size)),)
    if not inputs:
        raise CommandError(f"{path} does not say its input's size. Give it: --size 256x144.")
    blank = tuple(torch.zeros_like(tensor) for tensor in inputs)
    try:
        with quiet(), torch.no_grad():
            traced = torch.jit.trace(module, blank, check_trace=False)  # type: ignore[no-untyped-call]
    except Exception as error:  # a network raises anything
        shapes = ", ".join(str(list(tensor.shape)) for tensor in blank)
        raise CommandError(f"{path} does not take {shapes}: {first_line(error)}") from error
    return TorchSource(traced, blank, "")
