# SPDX-License-Identifier: GPL-2.0-or-later
"""A network that is loaded on a device, has passed its self-test and is warm: frame in, alpha out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...models.catalog import InputSpec, OutputSpec
from ...models.trust import ModelRefused, VerifiedModel
from . import graph, providers
from .output import AlphaDecoder
from .prepare import Preparer

WARM_UP_RUNS = 2


@dataclass(frozen=True)
class Ports:
    """How to talk to a network: the names in its graph, and what goes in and comes out there."""

    input_name: str
    output_name: str
    input: InputSpec
    output: OutputSpec
    dtype: type[np.float32] | type[np.float16]


class InferenceError(Exception):
    """A network that had passed its self-test failed on a frame."""


class Network:
    """One model on one device; shared by all streams that use it, for one thread at a time.

    ``width`` and ``height`` are the frame size it takes, in pixels; ``device`` is a key of
    ``providers.DEVICES``; ``sha256`` is that of the verified bytes it was made from.
    """

    def __init__(self, sha256: str, ports: Ports, session: onnxruntime.InferenceSession, device: str) -> None:
        self.sha256 = sha256
        self.device = device
        self.width = ports.input.width
        self.height = ports.input.height
        self._session = session
        self._ports = ports
        self._preparer = Preparer(ports.input, ports.dtype)
        self._decoder = AlphaDecoder(ports.output, self.width, self.height)

    def prepare(self, frame_rgba: NDArray[np.uint8]) -> NDArray[np.floating]:
        """The input tensor of an HxWx4 uint8 RGBA frame of the input's size; reused by the next call."""
        return self._preparer.fill(frame_rgba)

    def infer(self, tensor: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The alpha of a prepared frame, HxW uint8; reused by the next call. Raises InferenceError."""
        try:
            outputs = self._session.run([self._ports.output_name], {self._ports.input_name: tensor})
            return self._decoder.decode(outputs[0])
        except Exception as error:  # a driver throws anything; the stream must survive it
            raise InferenceError(providers.first_line(error)) from error


class Loaded(NamedTuple):
    """A network, and the devices that were tried in vain before its own."""

    network: Network
    dropped: tuple[providers.Dropped, ...]


def load_network(model: VerifiedModel, wanted_device: str = "auto") -> Loaded:
    """Load verified bytes on the best device that passes; returns the network warm.

    Raises ModelRefused: model.load_failed, model.input_shape, model.output_shape, model.self_test.
    """
    try:
        cpu_session = providers.open_session(model.data, "cpu")
    except Exception as error:  # ONNX Runtime has no common base class for its exceptions
        raise ModelRefused("model.load_failed", file=model.name, detail=providers.first_line(error)) from None
    ports = find_ports(model, cpu_session)
    picture = self_test_picture(ports.input.width, ports.input.height)
    self_test(model.name, Network(model.sha256, ports, cpu_session, "cpu"), picture)

    def alpha_of(session: onnxruntime.InferenceSession) -> NDArray[np.uint8]:
        network = Network(model.sha256, ports, session, wanted_device)
        return network.infer(network.prepare(picture))

    choice = providers.choose(model.data, wanted_device, cpu_session, alpha_of)
    network = Network(model.sha256, ports, choice.session, choice.device)
    for _ in range(WARM_UP_RUNS):
        self_test(model.name, network, picture)
    return Loaded(network, choice.dropped)


def find_ports(model: VerifiedModel, session: onnxruntime.InferenceSession) -> Ports:
    """The ports that the catalogue entry tells and the graph confirms, or those that the graph suggests."""
    if model.entry is not None:
        spec, output = model.entry.input, model.entry.output
        name, dtype = graph.check_input(model.name, session, spec)
        return Ports(name, graph.output_name(model.name, session, output), spec, output, dtype)
    name, dtype, candidates = graph.guess_inputs(model.name, session)
    failure: Any = None
    for spec in candidates:
        tensor = Preparer(spec, dtype).fill(self_test_picture(spec.width, spec.height))
        try:
            outputs = session.run(None, {name: tensor})
        except Exception as error:  # the size may not suit the graph: try the next
            failure = error
            continue
        output_name, output = graph.guess_output(model.name, session, outputs)
        return Ports(name, output_name, spec, output, dtype)
    raise ModelRefused("model.self_test", file=model.name, detail=providers.first_line(failure))


def self_test(file: str, network: Network, picture: NDArray[np.uint8]) -> None:
    """Run the picture through; ModelRefused (model.self_test) if no mask comes out."""
    try:
        network.infer(network.prepare(picture))
    except InferenceError as error:
        raise ModelRefused("model.self_test", file=file, detail=str(error)) from None


def self_test_picture(width: int, height: int) -> NDArray[np.uint8]:
    """A picture with gradients, a head-and-shoulders shape and fixed noise: HxWx4 uint8, always the same."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height
    picture = np.empty((height, width, 4), np.float32)
    picture[..., 0] = 60 + 120 * y
    picture[..., 1] = 120 + 100 * x
    picture[..., 2] = 150 - 80 * y
    picture[..., 3] = 255
    person = ((x / 0.11) ** 2 + ((y - 0.38) / 0.2) ** 2 < 1) | ((x / 0.28) ** 2 + ((y - 1.0) / 0.42) ** 2 < 1)
    picture[person, :3] = picture[person, :3] * 0.4 + np.array([120.0, 80.0, 60.0], np.float32)
    picture[..., :3] += np.random.default_rng(1).normal(0.0, 3.0, (height, width, 3)).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)
