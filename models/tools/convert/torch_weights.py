# SPDX-License-Identifier: GPL-2.0-or-later
"""PyTorch files of weights, read without running code from them: of a known architecture, or of our own training."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ....filters.cli.errors import CommandError
from ... import feeding, networks
from ...networks.blocks import MaskNetwork
from ...networks.rvm import RobustVideoMatting
from ...sizes import parse_size
from ...training.checkpoint import restore
from ...training.export import INPUT_NAME, OUTPUT_NAME
from .finish import first_line
from .from_torch import TorchSource, example, quiet

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "ema", "params")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
State = Mapping[str, torch.Tensor]
Network = MaskNetwork | RobustVideoMatting


def from_weights(
    path: Path, name: str | None, options: dict[str, Any], size: str | None, model: str | None = None
) -> TorchSource:
    """A file of weights, or a checkpoint of our own training, which says its architecture itself.

    Without a ``name`` the architecture is that of the catalogue's ``model``.
    """
    found = read_weights(path)
    sides = parse_size(size) if size else None
    if "average" in found:
        restored = restore(path, sides, name)
        return mask_source(restored.network, restored.width, restored.height)
    usual = networks.architecture_of(model) if model else None
    if name and usual and name != usual:
        raise CommandError(f"--as {model}: its weights belong to --architecture {usual}, not to {name}.", 2)
    name = name or usual
    if name is None:
        known = ", ".join(networks.CONVERTIBLE)
        message = f"{path} holds weights alone. Say which network they belong to: --architecture NAME, one of {known}."
        raise CommandError(message)
    network = build(name, options)
    fill(network, unwrapped(found, path), path, name)
    architecture = networks.CONVERTIBLE[name]
    width, height = sides or (architecture.width, architecture.height)
    if width % network.divisor or height % network.divisor:
        raise CommandError(
            f"--size: {name} takes sides that are multiples of {network.divisor}, found {width}x{height}."
        )
    if isinstance(network, RobustVideoMatting):
        return matting_source(network.eval(), width, height)
    return mask_source(network.eval(), width, height)


def mask_source(network: torch.nn.Module, width: int, height: int) -> TorchSource:
    """One of `networks.NETWORKS`: a picture in, logits out."""
    picture = example(width, height)
    with torch.no_grad():
        classes = network(picture).shape[1]
    said = feeding.of_our_network(
        INPUT_NAME, width, height, OUTPUT_NAME, "logits" if classes == 1 else "softmax_logits"
    )
    return TorchSource(network, {INPUT_NAME: picture}, [OUTPUT_NAME], said)


def matting_source(network: RobustVideoMatting, width: int, height: int) -> TorchSource:
    """Robust Video Matting, with the names of the published ONNX file and, as there, any size."""
    said = feeding.of_our_network(network.input_names[0], width, height, network.output_names[1], "probability")
    zeros = {name: torch.zeros(1, 1, 1, 1) for name in network.input_names[1:-1]}
    examples = {network.input_names[0]: example(width, height), **zeros, network.input_names[-1]: torch.ones(1)}
    open_sides: dict[str, Sequence[int]] = dict.fromkeys(zeros, (1, 2, 3))
    open_sides |= dict.fromkeys((network.input_names[0], *network.output_names), (2, 3))
    return TorchSource(network, examples, network.output_names, said, open_sides)


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


def build(name: str, options: dict[str, Any]) -> Network:
    """A network of `networks.CONVERTIBLE`; CommandError for what can't be."""
    try:
        return networks.create_any(name, **options)
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


def fill(network: Network, state: State, path: Path, name: str) -> None:
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
