# SPDX-License-Identifier: GPL-2.0-or-later
"""What every format must offer to be converted: the same network as ONNX, and its own answers to compare with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import onnx
from numpy.typing import NDArray

from ...choices import Chosen

Feed = Mapping[str, NDArray[Any]]  # tensors by the names of the ONNX file's inputs

OPSET, NEWEST_IR = 17, 10  # what all ONNX Runtimes that the engine may meet can run


class Source(Protocol):
    """A network in the format it came in."""

    @property
    def feeding(self) -> Chosen:
        """What is known of how the ONNX file is fed and read; it will say so itself."""
        ...

    @property
    def runtime(self) -> str:
        """What runs it, for people: ``PyTorch 2.13.0``."""
        ...

    def to_onnx(self) -> onnx.ModelProto:
        """The same network as ONNX of `OPSET`. CommandError names what can't be converted."""
        ...

    def run(self, feed: Feed) -> list[NDArray[Any]]:
        """The answers of the runtime it came for, in the order of the ONNX file's outputs."""
        ...


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Nothing that libraries of others write to standard error themselves, past Python, is seen."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
