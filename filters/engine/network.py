# SPDX-License-Identifier: GPL-2.0-or-later
"""A network that is loaded on a device, has passed its self-test and is warm: frame in, alpha out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...models.choices import load_choices
from ...models.trust import ModelRefused, VerifiedModel
from . import providers
from .guess import guess_ports
from .memory import Memory
from .output import AlphaDecoder
from .ports import Choices, Ports, ports_of_entry
from .prepare import make_preparer
from .runtime_errors import load_refusal, plain_words
from .sample_pictures import self_test_picture

WARM_UP_RUNS = 2

Tensor = NDArray[Any]
Frame = NDArray[np.uint8]


class Infer(Protocol):
    """Infers the frames of one stream, in their order. Raises InferenceError."""

    def __call__(
        self, tensor: Tensor, frame_rgba: Frame, capture_ns: int, /, may_be_half: bool = False
    ) -> NDArray[np.uint8]:
        """The alpha of a prepared frame, HxW uint8, reused by the next call, of any stream.

        ``may_be_half``: half as large in either direction will do, where the network itself gives no more.
        """
        ...


class InferenceError(Exception):
    """A network that had passed its self-test failed on a frame."""


class Network:
    """One model on one device; shared by all streams that use it, for one thread at a time.

    ``width`` and ``height`` are the frame size it takes, in pixels; ``device`` is a key of
    ``providers.DEVICES``; ``sha256`` is that of the verified bytes it was made from.
    ``ports`` says what it takes and gives.
    """

    def __init__(self, sha256: str, ports: Ports, session: onnxruntime.InferenceSession, device: str) -> None:
        self.sha256 = sha256
        self.device = device
        self.width = ports.input.width
        self.height = ports.input.height
        self.ports = ports
        self._session = session
        self._outputs = [ports.output_name]
        self._feed: dict[str, Tensor] = dict(ports.constants)
        self._decoder = AlphaDecoder(ports.output, self.width, self.height)
        self.prepare = make_preparer(ports.input, ports.dtype).fill
        """The input tensor of an HxWx4 uint8 RGBA frame of the input's size; reused by the next call."""

    def new_sequence(self) -> Infer:
        """What infers the frames of one stream."""
        if not self.ports.remembers:
            return self.infer
        memory = Memory(self.ports, self._session, self._decoder)

        def infer(
            tensor: Tensor, frame_rgba: Frame, capture_ns: int, /, may_be_half: bool = False
        ) -> NDArray[np.uint8]:
            try:
                return memory.infer(tensor, frame_rgba, capture_ns)
            except Exception as error:
                memory.forget()
                raise InferenceError(plain_words(error)) from error

        return infer

    def infer(
        self, tensor: Tensor, frame_rgba: Frame, capture_ns: int, /, may_be_half: bool = False
    ) -> NDArray[np.uint8]:
        """As ``Infer``, of a network that remembers nothing."""
        self._feed[self.ports.input_name] = tensor
        try:
            outputs = self._session.run(self._outputs, self._feed)
            return self._decoder.decode(outputs[0], may_be_half)
        except Exception as error:  # a driver throws anything; the stream must survive it
            raise InferenceError(plain_words(error)) from error


class Loaded(NamedTuple):
    """A network, and the devices that were tried in vain before its own."""

    network: Network
    dropped: tuple[providers.Dropped, ...]


def load_network(
    model: VerifiedModel,
    wanted_device: str = "auto",
    choices: Choices | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Loaded:
    """Load verified bytes on the best device that passes; returns the network warm.

    ``choices`` take the place of what the user chose before for a file of their own; ``on_step`` hears of "loading" and
    "warming" when they begin.
    Raises ModelRefused: those of ``load_refusal``, ``ports_of_entry`` and ``guess_ports``, and model.self_test.
    """
    on_step("loading")
    try:
        cpu_session = providers.open_session(model.data, "cpu")
    except Exception as error:  # ONNX Runtime has no common base class for its exceptions
        raise load_refusal(model.name, error) from None
    ports = find_ports(model, cpu_session, choices)
    on_step("warming")
    picture = self_test_picture(ports.input.width, ports.input.height)
    self_test(model.name, Network(model.sha256, ports, cpu_session, "cpu"), picture, runs=1)

    def alpha_of(session: onnxruntime.InferenceSession) -> NDArray[np.uint8]:
        network = Network(model.sha256, ports, session, wanted_device)
        return network.new_sequence()(network.prepare(picture), picture, 0)

    choice = providers.choose(model.data, wanted_device, cpu_session, alpha_of)
    network = Network(model.sha256, ports, choice.session, choice.device)
    self_test(model.name, network, picture, WARM_UP_RUNS)
    return Loaded(network, choice.dropped)


def find_ports(model: VerifiedModel, session: onnxruntime.InferenceSession, choices: Choices | None = None) -> Ports:
    """The ports that the catalogue entry tells and the graph confirms, or those that the graph suggests."""
    if model.entry is not None:
        return ports_of_entry(model.name, session, model.entry)
    return guess_ports(model.name, session, load_choices(model.sha256) if choices is None else choices)


def self_test(file: str, network: Network, picture: Frame, runs: int) -> None:
    """Run the picture through, as one stream; ModelRefused (model.self_test) if no mask comes out."""
    infer = network.new_sequence()
    try:
        for _ in range(runs):
            infer(network.prepare(picture), picture, 0)
    except InferenceError as error:
        raise ModelRefused("model.self_test", file=file, detail=str(error)) from None
