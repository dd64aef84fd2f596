# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks of published graph shapes with random weights, through entries and as own files, against plain NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.network import Network, load_network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.models.catalog import InputSpec, OutputSpec, load_catalog
from background_filter.tests.engine import shaped_nets
from background_filter.tests.engine.test_network import bilinear, verified

Array = NDArray[Any]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def spec(side: int, layout: str = "NCHW", values: tuple[Any, Any] = UNIT, scale: float = 1 / 255) -> InputSpec:
    return InputSpec(None, side, side, layout, "RGB", scale, *values)


def frame(width: int, height: int) -> NDArray[np.uint8]:
    """Soft colours, so that masks are neither empty nor full."""
    random = np.random.default_rng(9)
    coarse = random.integers(0, 256, (6, 6, 4)).astype(np.float64)
    picture = np.dstack([bilinear(coarse[..., i], height, width) for i in range(4)])
    return np.clip(picture + random.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def raw_outputs(model: onnx.ModelProto, given: InputSpec, picture: NDArray[np.uint8]) -> list[Array]:
    """What the network says, fed by hand."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = (picture[..., :3] * given.scale - np.array(given.mean)) / np.array(given.std)
    x = x.transpose(2, 0, 1)[None] if given.layout == "NCHW" else x[None]
    port = session.get_inputs()[0]
    dtype = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(port.type, np.float32)
    outputs: list[Array] = session.run(None, {port.name: x.astype(dtype)})
    return outputs


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def log_sum_exp(planes: Array) -> Array:
    largest: Array = planes.max(axis=0)
    result: Array = largest + np.log(np.exp(planes - largest).sum(axis=0))
    return result


def stretched(outputs: list[Array]) -> Array:
    plane = outputs[0][0, 0].astype(np.float64)
    result: Array = (plane - plane.min()) / (plane.max() - plane.min())
    return result


def person_of(outputs: list[Array], channel: int) -> Array:
    """The softmax of one class, before the sigmoid, upsampled."""
    planes = outputs[0][0].astype(np.float64)
    rest = np.delete(planes, channel, axis=0)
    return sigmoid(bilinear(planes[channel] - log_sum_exp(rest), 64, 64))


Reference = Callable[[list[Array]], Array]
Case = tuple[Callable[[], onnx.ModelProto], InputSpec, OutputSpec, Reference]
CASES: dict[str, Case] = {
    "U2-Net": (
        shaped_nets.u2net,
        spec(64, values=IMAGENET),
        OutputSpec(None, "saliency", "NCHW", 0),
        stretched,
    ),
    "MODNet": (
        shaped_nets.modnet,
        InputSpec("input", 96, 64, "NCHW", "RGB", 1 / 127.5, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 32),
        OutputSpec("output", "probability", "NCHW", 0),
        lambda outputs: outputs[0][0, 0],
    ),
    "PP-HumanSeg": (
        shaped_nets.softmaxed,
        spec(48, values=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))),
        OutputSpec("save_infer_model/scale_0.tmp_1", "probability", "NCHW", 1),
        lambda outputs: outputs[0][0, 1],
    ),
    "VOC, 21 classes": (
        lambda: shaped_nets.classes(21),
        spec(64),
        OutputSpec(None, "softmax_logits", "NCHW", 15),
        lambda outputs: person_of(outputs, 15),
    ),
    "VOC, colours last": (
        lambda: shaped_nets.classes(21, layout="NHWC"),
        spec(64, "NHWC"),
        OutputSpec(None, "softmax_logits", "NHWC", 15),
        lambda outputs: person_of([outputs[0].transpose(0, 3, 1, 2)], 15),
    ),
    "MediaPipe multiclass": (
        lambda: shaped_nets.classes(6, layout="NHWC"),
        spec(64, "NHWC"),
        OutputSpec(None, "softmax_logits", "NHWC", 0, inverted=True),
        lambda outputs: 1 - person_of([outputs[0].transpose(0, 3, 1, 2)], 0),
    ),
    "numbers of classes": (
        lambda: shaped_nets.numbers_of_classes(2),
        spec(64),
        OutputSpec("preds", "classes", "NCHW", 1),
        lambda outputs: (outputs[0][0] == 1).astype(np.float64),
    ),
    "number of the background": (
        lambda: shaped_nets.numbers_of_classes(5),
        spec(64),
        OutputSpec("preds", "classes", "NCHW", 0, inverted=True),
        lambda outputs: (outputs[0][0] != 0).astype(np.float64),
    ),
    "bytes": (
        shaped_nets.bytes_to_bytes,
        spec(48, "NHWC", scale=1.0),
        OutputSpec(None, "probability", "NHWC", 0),
        lambda outputs: outputs[0][0, ..., 0] / 255,
    ),
    "float16": (
        shaped_nets.in_half_precision,
        spec(48),
        OutputSpec(None, "logits", "NCHW", 0),
        lambda outputs: sigmoid(outputs[0][0, 0]),
    ),
    "a logit of the background": (
        shaped_nets.in_half_precision,
        spec(48),
        OutputSpec(None, "logits", "NCHW", 0, inverted=True),
        lambda outputs: 1 - sigmoid(outputs[0][0, 0]),
    ),
    "a probability of the background": (
        shaped_nets.softmaxed,
        spec(48),
        OutputSpec(None, "probability", "NCHW", 0, inverted=True),
        lambda outputs: outputs[0][0, 1],
    ),
}
TOLERANCE = {"float16": 6.0, "a logit of the background": 6.0}  # of 255: half precision rounds the input otherwise


def agrees(network: Network, model: onnx.ModelProto, reference: Reference, tolerance: float) -> None:
    """The engine's mask is the one made by hand, and says something."""
    picture = frame(network.width, network.height)
    alpha = Segmenter(network).alpha(picture).astype(np.float64)
    by_hand = 255 * reference(raw_outputs(model, network.ports.input, picture))
    assert by_hand.shape == alpha.shape
    assert by_hand.max() - by_hand.min() > 100
    assert np.abs(alpha - by_hand).max() <= tolerance


@pytest.mark.parametrize("name", CASES)
def test_entry(name: str) -> None:
    make, given, output, reference = CASES[name]
    model = make()
    agrees(load_network(verified(model, given, output), "cpu").network, model, reference, TOLERANCE.get(name, 1.0))


UNGUESSED = ("number of the background", "a logit of the background", "a probability of the background")


@pytest.mark.parametrize("name", [name for name in CASES if name not in UNGUESSED])
def test_own_file(name: str) -> None:
    make, _, output, reference = CASES[name]
    model = make()
    network = load_network(verified(model), "cpu").network
    found = dataclasses.replace(network.ports.output, tensor=output.tensor)
    assert found == output
    agrees(network, model, reference, TOLERANCE.get(name, 1.0))


def test_modnet_gets_a_size_that_it_takes() -> None:
    network = load_network(verified(shaped_nets.modnet()), "cpu").network
    assert network.width % 32 == 0 and network.height % 32 == 0


def test_an_empty_room_is_not_stretched_into_a_person() -> None:
    flat = np.full((64, 64, 4), 90, np.uint8)
    model = shaped_nets.u2net()
    for constant in model.graph.initializer:
        if constant.name == "squeeze":
            constant.raw_data = np.float32(0.02).tobytes()
        if constant.name == "lift":
            constant.raw_data = np.float32(0.0).tobytes()
    alpha = Segmenter(verified(model, *CASES["U2-Net"][1:3]), "cpu").alpha(flat)
    assert alpha.max() <= 0.02 * 255 + 1


def test_every_kind_of_the_catalogue_can_be_read() -> None:
    from background_filter.filters.engine.output import finisher, plane_reader

    for entry in load_catalog().values():
        channels = 1 if entry.output.kind == "classes" else entry.output.channel + 2
        shape = (1, channels, 4, 4) if entry.output.layout == "NCHW" else (1, 4, 4, channels)
        plane = plane_reader(entry.output)(np.zeros(shape, np.float32))
        finisher(entry.output)(plane)
        assert plane.shape == (4, 4) and 0 <= plane.min() <= plane.max() <= 1
