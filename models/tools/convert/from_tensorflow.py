# SPDX-License-Identifier: GPL-2.0-or-later
"""TensorFlow SavedModel and Keras files to ONNX, through tf2onnx, in an environment that holds TensorFlow.

Keras's own export to ONNX is tf2onnx too, of a copy that it carries along; through tf2onnx itself both formats go the
same way, and the operator set can be chosen.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ....filters.cli.errors import CommandError
from ...choices import Chosen
from ...sizes import parse_size
from .finish import first_line
from .formats import Format
from .source import OPSET, Feed, hushed

SERVING = "serving_default"  # the signature that TensorFlow's tools call


class TensorFlowSource:
    """A SavedModel or a Keras network, with sides that are all known."""

    def __init__(self, path: Path, kind: Format, size: str | None, trusted: bool) -> None:
        with quiet():
            self._tf: Any = importlib.import_module("tensorflow")
            try:
                opened = (
                    open_saved_model(self._tf, path)
                    if kind is Format.SAVED_MODEL
                    else open_keras(self._tf, path, trusted)
                )
            except CommandError:
                raise
            except Exception as error:  # Keras raises whatever a file leads to
                raise CommandError(f"{path} can't be opened: {reason(error)}") from error
        self._kept, function, specs = opened  # TensorFlow forgets the weights of what nobody holds
        self._specs = [fixed(self._tf, spec, size, path) for spec in specs]
        self._function = self._tf.function(function, input_signature=self._specs)
        self._names: list[str] = []

    @property
    def feeding(self) -> Chosen:
        """The file does not tell."""
        return {}

    @property
    def runtime(self) -> str:
        """TensorFlow with its version."""
        return f"TensorFlow {self._tf.__version__}"

    def to_onnx(self) -> onnx.ModelProto:
        """Through tf2onnx. CommandError names the operators it can't say in ONNX."""
        with quiet():
            tf2onnx: Any = importlib.import_module("tf2onnx")
            try:
                model, _ = tf2onnx.convert.from_function(self._function, input_signature=self._specs, opset=OPSET)
            except Exception as error:  # tf2onnx has no common base class for its exceptions
                raise CommandError(f"tf2onnx can't convert this network: {reason(error)}") from error
        self._names = [port.name for port in model.graph.input]
        return model  # type: ignore[no-any-return]

    def run(self, feed: Feed) -> list[NDArray[Any]]:
        """What TensorFlow answers."""
        tensors = [self._tf.constant(feed[name]) for name in self._names]
        return [np.asarray(answer) for answer in self._tf.nest.flatten(self._function(*tensors))]


Opened = tuple[Any, Callable[..., Any], Sequence[Any]]


def open_saved_model(tf: Any, path: Path) -> Opened:
    """What must be kept, a function of the inputs in their order, and the inputs' TensorSpecs."""
    loaded = tf.saved_model.load(str(path))
    signatures = loaded.signatures
    if not signatures:
        raise CommandError(f"{path} has no signature, so nothing says what it takes and gives.")
    signature = signatures[SERVING] if SERVING in signatures else next(iter(signatures.values()))
    specs = signature.structured_input_signature[1]
    names = list(specs)

    def call(*tensors: Any) -> Any:
        return signature(**dict(zip(names, tensors)))

    return loaded, call, [specs[name] for name in names]


def open_keras(tf: Any, path: Path, trusted: bool) -> Opened:
    """What must be kept, a function of the inputs in their order, and the inputs' TensorSpecs."""
    keras: Any = importlib.import_module("keras")
    try:
        network = keras.saving.load_model(str(path), compile=False, safe_mode=not trusted)
    except ValueError as error:
        if "safe_mode" in str(error) or "unsafe" in str(error):
            message = f"{path} holds Python code (a Lambda layer), which would run when it is opened."
            raise CommandError(f"{message} If you know where the file comes from, add --trust.") from error
        raise
    specs = [tf.TensorSpec(port.shape, port.dtype, port.name) for port in network.inputs]

    def call(*tensors: Any) -> Any:
        return network(tensors[0] if len(tensors) == 1 else list(tensors), training=False)

    return network, call, specs


def fixed(tf: Any, spec: Any, size: str | None, path: Path) -> Any:
    """A TensorSpec with the batch of one and the size that was asked for, where the file leaves them open."""
    sides = list(spec.shape) if spec.shape.rank is not None else [None] * 4
    if sides and sides[0] is None:
        sides[0] = 1
    if len(sides) == 4 and None in sides[1:3]:
        if size is None:
            raise CommandError(f"{path} takes pictures of any size. Give the one that you want: --size 256x144.")
        width, height = parse_size(size)
        sides[1:3] = [height, width]
    if len(sides) == 4 and sides[3] is None:
        sides[3] = 3
    if None in sides:
        raise CommandError(f"{path}: the input {spec.name} has the shape {sides}; only pictures may leave sides open.")
    return tf.TensorSpec(sides, spec.dtype, spec.name)


def reason(error: Exception) -> str:
    """The line of an error that says most: TensorFlow begins with where, not what."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines and lines[0].endswith(":") else first_line(error))[:300]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TensorFlow without what it writes about the processor, and tf2onnx without its steps."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), hushed():
        warnings.simplefilter("ignore")
        yield
