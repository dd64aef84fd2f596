# SPDX-License-Identifier: GPL-2.0-or-later
"""TorchScript and exported programs: whole networks, which are code; it must have been said that they are trusted.

The first tensor that such a network takes is the picture. Others are what it remembers: it must give the new ones last,
one for each, in the same order. In the ONNX file they are called alike, ``h_in`` and ``h_out``, by which the engine
knows them, and they begin with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ....filters.cli.errors import CommandError
from ...sizes import parse_size
from ...training.export import INPUT_NAME
from .finish import first_line
from .from_torch import TorchSource, answers_to, example, quiet, tensors_in

Tensors = Mapping[str, torch.Tensor]


class Called(torch.nn.Module):
    """A program that takes only tensors, one after the other: `leaves` are all its arguments, `places` the tensors'."""

    def __init__(self, module: Any, leaves: Sequence[Any], structure: Any, places: Sequence[int]) -> None:
        super().__init__()
        self.module, self.leaves, self.structure, self.places = module, list(leaves), structure, list(places)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All tensors that the program answers with; a list of them would be traced as one output."""
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        arguments, by_name = pytree.tree_unflatten(leaves, self.structure)
        return tuple(tensors_in(self.module(*arguments, **by_name)))


def from_torchscript(path: Path, size: str | None, shapes: Sequence[str]) -> TorchSource:
    """A TorchScript file; ``shapes`` are those of inputs that it does not tell, ``NAME=1x16x36x64``."""
    if size is None:
        raise CommandError(f"{path}: TorchScript does not say its input's size. Give it: --size 256x144.")
    picture = example(*parse_size(size))
    try:
        with quiet():
            module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a damaged archive makes PyTorch raise
        raise CommandError(f"{path} is cut off or damaged: {first_line(error)}") from error
    given = parse_shapes(shapes)
    others = tensor_arguments(module, path)[1:]
    if unknown := sorted(set(given) - {other for other, _ in others}):
        raise CommandError(f"--input: {path} has no other input {unknown[0]}. It has: {listed(others)}.")
    if missing := [other for other, is_optional in others if not is_optional and other not in given]:
        message = f"{path} takes {missing[0]} besides the picture, and TorchScript does not say its shape."
        raise CommandError(f"{message} Give it: --input {missing[0]}=1x16x36x64.")
    states = given if len(given) == len(others) else first_states(module, picture, others, given, path)
    ordered = {other: states[other] for other, _ in others}
    leaves, structure = pytree.tree_flatten(((picture,), ordered))
    return recurrent(Called(module, leaves, structure, range(len(leaves))), picture, ordered, path)


def tensor_arguments(module: Any, path: Path) -> list[tuple[str, bool]]:
    """Names of the tensors that a TorchScript network takes, the picture first, and whether each may be left out."""
    found = []
    for argument in module.forward.schema.arguments[1:]:
        kind, may_lack = str(argument.type), argument.has_default_value()
        if kind in ("Tensor", "Optional[Tensor]"):
            found.append((argument.name, may_lack or kind.startswith("Optional")))
        elif not may_lack:
            raise CommandError(
                f"{path} takes {argument.name} ({kind}), which is no tensor and can't be given here."
                " Save a copy that takes tensors alone."
            )
    if not found:
        raise CommandError(f"{path} takes no tensor, and so no picture.")
    return found


def first_states(
    module: Any, picture: torch.Tensor, others: Sequence[tuple[str, bool]], given: Tensors, path: Path
) -> dict[str, torch.Tensor]:
    """Zeros of the shapes that the network itself gives when it is told nothing of what was before."""
    without = answers_to(lambda *tensors: module(*tensors, **given), [picture])
    names = [name for name, _ in others]
    states = dict(zip(names, [torch.zeros_like(answer) for answer in without[-len(names) :]]))
    with_zeros = answers_to(lambda *tensors: module(*tensors, **states), [picture])
    if any(one.shape != other.shape or not one.equal(other) for one, other in zip(without, with_zeros)):
        remembered = ", ".join(names)
        raise CommandError(f"{path}: what it remembers ({remembered}) does not begin with zeros, as it must here.")
    return states


def listed(others: Sequence[tuple[str, bool]]) -> str:
    """Names for people."""
    return ", ".join(name for name, _ in others) or "none"


def parse_shapes(texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """``NAME=1x16x36x64`` as zeros of that shape."""
    found = {}
    for text in texts:
        name, _, sides = text.partition("=")
        numbers = sides.split("x")
        if not name or not all(number.isdecimal() and 0 < int(number) <= 4096 for number in numbers):
            raise CommandError(f"--input: expected NAME=SHAPE such as h=1x16x36x64, found {text!r}", 2)
        found[name] = torch.zeros([int(number) for number in numbers])
    return found


def from_exported(path: Path, size: str | None) -> TorchSource:
    """An exported program (.pt2), which says its inputs itself."""
    try:
        with quiet():
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # whatever a damaged archive makes PyTorch raise
        message = f"{path} can't be opened: {first_line(error)}"
        raise CommandError(
            f"{message} It may be damaged, or made by a newer PyTorch than {torch.__version__}."
        ) from error
    if not program.example_inputs and size is None:
        raise CommandError(f"{path} does not say its input's size. Give it: --size 256x144.")
    leaves, structure = pytree.tree_flatten(program.example_inputs or ((torch.zeros(1),), {}))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    if not places:
        raise CommandError(f"{path} takes no tensor, and so no picture.")
    blank = [torch.zeros_like(leaves[place]) for place in places]
    if size is not None:
        blank[0] = example(*parse_size(size))
    names = [str(each) for each in program.graph_signature.user_inputs]
    states = {names[place]: tensor for place, tensor in zip(places[1:], blank[1:])}
    called = Called(module, leaves, structure, places)
    return recurrent(called, blank[0], states, path)


def recurrent(called: Called, picture: torch.Tensor, states: Tensors, path: Path) -> TorchSource:
    """The source of a network that takes a picture and what it remembers, which may be nothing.

    CommandError if what it gives last has not the shapes of what it takes besides the picture.
    """
    blank = (picture, *states.values())
    try:
        with quiet(), torch.no_grad():
            module = torch.jit.trace(called, blank, check_trace=False)  # type: ignore[no-untyped-call]
    except Exception as error:  # a network raises anything
        sides = ", ".join(str(list(tensor.shape)) for tensor in blank)
        raise CommandError(f"{path} does not take {sides}: {first_line(error)}") from error
    answers = answers_to(module, blank)
    first = len(answers) - len(states)
    if first < 1 or any(new.shape != old.shape for new, old in zip(answers[first:], states.values())):
        takes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in states.items())
        gives = ", ".join(str(list(answer.shape)) for answer in answers)
        message = f"{path} takes {takes} besides the picture, and gives {gives}: what the former are can't be known."
        raise CommandError(f"{message} A recurrent network gives what it remembers last, in the same order and shapes.")
    outputs = ["output"] if first == 1 else [f"output_{place}" for place in range(first)]
    outputs += [f"{name}_out" for name in states]
    return TorchSource(module, {INPUT_NAME: picture, **{f"{name}_in": states[name] for name in states}}, outputs)
