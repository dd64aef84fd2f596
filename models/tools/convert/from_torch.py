# SPDX-License-Identifier: GPL-2.0-or-later
"""PyTorch to ONNX by PyTorch's exporter, which traces; ``torch_weights`` and ``torch_programs`` open the files."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from ...choices import Chosen
from .finish import first_line
from .source import OPSET, Feed


@dataclass(frozen=True)
class TorchSource:
    """A module in evaluation mode, an example of each input by its name in the ONNX file, and the outputs' names.

    ``open_sides`` are those that the file leaves open, by input or output; all others are as in the examples.
    ``feeding`` is what the file will say of itself.
    """

    module: Any
    examples: Mapping[str, torch.Tensor]
    outputs: Sequence[str]
    feeding: Chosen = field(default_factory=dict)
    open_sides: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def runtime(self) -> str:
        """PyTorch with its version."""
        return f"PyTorch {torch.__version__.partition('+')[0]}"

    def to_onnx(self) -> onnx.ModelProto:
        """Traced on the examples. CommandError if PyTorch's exporter can't."""
        answers_to(self.module, list(self.examples.values()))  # says it in better words than the exporter
        open_sides = {name: {side: f"{name}_{side}" for side in sides} for name, sides in self.open_sides.items()}
        with tempfile.TemporaryDirectory() as name, quiet():
            path = Path(name) / "traced.onnx"
            try:
                # The exporter that traces: it needs nothing installed, and takes modules of every kind.
                torch.onnx.export(
                    self.module, tuple(self.examples.values()), str(path), opset_version=OPSET, dynamo=False,
                    input_names=list(self.examples), output_names=list(self.outputs), dynamic_axes=open_sides,
                )  # fmt: skip
            except Exception as error:  # the exporter has no common base class for its exceptions
                raise CommandError(f"PyTorch can't say this network in ONNX: {first_line(error)}") from error
            return onnx.load(path)

    def run(self, feed: Feed) -> list[NDArray[Any]]:
        """What PyTorch answers."""
        answers = answers_to(self.module, [torch.from_numpy(feed[name]) for name in self.examples])
        return [answer.numpy() for answer in answers]


def answers_to(module: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """All tensors that a network gives. CommandError if it does not take these, or gives none."""
    try:
        with quiet(), torch.no_grad():
            answers = [answer.detach() for answer in tensors_in(module(*inputs))]
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
        yield answer
    elif isinstance(answer, Mapping):
        yield from (tensor for part in answer.values() for tensor in tensors_in(part))
    elif isinstance(answer, (list, tuple)):
        yield from (tensor for part in answer for tensor in tensors_in(part))


def example(width: int, height: int) -> torch.Tensor:
    """A picture to trace with."""
    return torch.zeros(1, 3, height, width)


@contextmanager
def quiet() -> Iterator[None]:
    """PyTorch without its warnings, which tell users nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
