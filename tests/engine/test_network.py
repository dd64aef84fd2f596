# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes out of a network, against a straight computation of the same."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.network import load_network
from background_filter.filters.engine.output import AlphaDecoder
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.engine.prepare import halved
from background_filter.filters.engine.refine import Refinement
from background_filter.models import trust
from background_filter.models.catalog import InputSpec, ModelEntry, OutputSpec, default_model_id, load_catalog
from background_filter.models.trust import ModelRefused, VerifiedModel
from background_filter.tests.engine import nets

PLAIN = InputSpec(None, 64, 48, "NCHW", "RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
PICTURE = np.random.default_rng(5).integers(0, 256, (48, 64, 4), dtype=np.uint8)


def verified(model: onnx.ModelProto, spec: InputSpec | None = None, output: OutputSpec | None = None) -> VerifiedModel:
    """A network as ``read_model`` would hand it over, with an entry if a spec is given."""
    data = model.SerializeToString()
    entry = None
    if spec is not None and output is not None:
        entry = ModelEntry("net", "Net", "net.onnx", "MIT", "made here", "for tests", spec, output)
    return VerifiedModel(data, hashlib.sha256(data).hexdigest(), "user", "net.onnx", entry)


def bilinear(plane: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Upsampling with pixel centres at half, edges repeated."""

    def places(size: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        at = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
        low = np.floor(at).astype(np.int64)
        return low, np.minimum(low + 1, size - 1), at - low

    y0, y1, fy = places(plane.shape[0], height)
    x0, x1, fx = places(plane.shape[1], width)
    rows = plane[y0] * (1 - fy)[:, None] + plane[y1] * fy[:, None]
    result: NDArray[np.float64] = rows[:, x0] * (1 - fx) + rows[:, x1] * fx
    return result


def straight(
    model: VerifiedModel, spec: InputSpec, output: OutputSpec, frame: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The alpha, 0 to 255, computed without any of the engine's code."""
    rgb = frame[..., :3].astype(np.float64)
    picture = rgb if spec.channels == "RGB" else rgb[..., ::-1]
    x = (picture * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    tensor = x.transpose(2, 0, 1)[None] if spec.layout == "NCHW" else x[None]
    session = onnxruntime.InferenceSession(model.data, providers=["CPUExecutionProvider"])
    raw = session.run(None, {session.get_inputs()[0].name: tensor.astype(np.float32)})[0].astype(np.float64)
    planes = raw[0] if output.layout == "NCHW" else raw[0].transpose(2, 0, 1)
    values = planes[output.channel]
    if output.kind == "softmax_logits":
        values = values - np.log(sum(np.exp(p) for i, p in enumerate(planes) if i != output.channel))
    values = bilinear(values, spec.height, spec.width)
    return 255 * (values if output.kind == "probability" else 1 / (1 + np.exp(-values)))


VARIANTS = [
    (layout, kind, half_size)
    for layout in ("NCHW", "NHWC")
    for kind in ("logits", "probability", "softmax_logits")
    for half_size in (True, False)
]
INPUTS = {
    "plain": {},
    "BGR": {"channels": "BGR"},
    "centred": {"scale": 1 / 127.5, "mean": (1.0, 1.0, 1.0)},
    "ImageNet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
}


@pytest.mark.parametrize("changes", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize(("layout", "kind", "half_size"), VARIANTS)
def test_alpha_is_the_straight_one(layout: str, kind: str, half_size: bool, changes: dict[str, object]) -> None:
    spec = dataclasses.replace(PLAIN, layout=layout, **changes)  # type: ignore[arg-type]
    output = OutputSpec(None, kind, layout, 1 if kind == "softmax_logits" else 0)
    model = verified(nets.brightness_net(layout=layout, kind=kind, half_size=half_size), spec, output)
    alpha = Segmenter(model, "cpu").alpha(PICTURE)
    assert alpha.shape == (48, 64) and alpha.dtype == np.uint8
    assert np.abs(alpha - straight(model, spec, output, PICTURE)).max() <= 1.0


@pytest.mark.parametrize(("layout", "kind", "half_size"), VARIANTS)
def test_own_file_is_guessed_right(layout: str, kind: str, half_size: bool) -> None:
    model = verified(nets.brightness_net(layout=layout, kind=kind, half_size=half_size))
    output = OutputSpec(None, kind, layout, 1 if kind == "softmax_logits" else 0)
    alpha = Segmenter(model, "cpu").alpha(PICTURE)
    spec = dataclasses.replace(PLAIN, layout=layout)
    assert np.abs(alpha - straight(model, spec, output, PICTURE)).max() <= 1.0


def test_own_file_without_sizes_gets_one() -> None:
    network = load_network(verified(nets.brightness_net(dynamic=True)), "cpu").network
    assert (network.width, network.height) == (256, 144)


def test_results_do_not_share_memory() -> None:
    segmenter = Segmenter(verified(nets.brightness_net()), "cpu")
    first = segmenter.alpha(np.zeros_like(PICTURE))
    segmenter.alpha(np.full_like(PICTURE, 255))
    assert first.max() <= 1


def test_smoothing_belongs_to_the_segmenter() -> None:
    network = load_network(verified(nets.brightness_net()), "cpu").network
    one, other = Segmenter(network), Segmenter(network)
    one.alpha(PICTURE, smoothing=1.0)
    flat = np.full_like(PICTURE, 255)
    assert other.alpha(flat, smoothing=1.0).min() >= 254


Refusal = Callable[[], VerifiedModel]
LOGITS = OutputSpec(None, "logits", "NCHW", 0)
MISFITS: dict[str, tuple[Refusal, str]] = {
    "another size": (
        lambda: verified(nets.brightness_net(width=32), PLAIN, LOGITS),
        "model.input_shape",
    ),
    "another layout": (
        lambda: verified(nets.brightness_net(layout="NHWC"), PLAIN, LOGITS),
        "model.input_shape",
    ),
    "another input's name": (
        lambda: verified(nets.brightness_net(), dataclasses.replace(PLAIN, tensor="other"), LOGITS),
        "model.input_shape",
    ),
    "another output's name": (
        lambda: verified(nets.brightness_net(), PLAIN, dataclasses.replace(LOGITS, tensor="other")),
        "model.output_shape",
    ),
    "too few channels": (
        lambda: verified(nets.brightness_net(), PLAIN, dataclasses.replace(LOGITS, channel=3)),
        "model.output_shape",
    ),
    "no such operator set": (lambda: verified(nets.unknown_operator()), "model.operator"),
}


@pytest.mark.parametrize(("make", "code"), MISFITS.values(), ids=MISFITS)
def test_misfit_is_refused(make: Refusal, code: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        load_network(make(), "cpu")
    assert refused.value.code == code
    assert refused.value.params["file"] == "net.onnx"


def test_a_frame_like_the_one_before_costs_no_inference() -> None:
    segmenter = Segmenter(trust.read_model(load_catalog()[default_model_id()]), "cpu")
    rng = np.random.default_rng(7)
    frames = [rng.integers(0, 256, (144, 256, 4), np.uint8) for _ in range(2)]
    results = [segmenter.segment(frames[number].copy(), 1, Refinement()) for number in (0, 0, 1, 0)]
    assert [result.is_repeat for result in results] == [False, True, False, False]


def test_the_same_frame_for_another_kind_of_mask_is_looked_at_again() -> None:
    segmenter = Segmenter(trust.read_model(load_catalog()[default_model_id()]), "cpu")
    frame = np.random.default_rng(7).integers(0, 256, (144, 256, 4), np.uint8)
    wanted = Refinement(), Refinement(sharp_edges=True), Refinement(sharp_edges=True), Refinement()
    results = [segmenter.segment(frame, 1, each) for each in wanted]
    assert [result.is_repeat for result in results] == [False, False, True, False]
    assert [result.mask.shape for result in results] == [(144, 256), (72, 128, 4), (72, 128, 4), (144, 256)]


def test_half_a_mask_is_the_whole_one_halved() -> None:
    """An output of half the size is not enlarged where half will do: the same but for the sigmoid's curve."""
    decoder = AlphaDecoder(LOGITS, 64, 48)
    logits = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 5, (24, 32)).astype(np.float32), (5, 5), 0)
    whole = decoder.decode(logits[None, None]).copy()
    half = decoder.decode(logits[None, None], may_be_half=True)
    assert whole.shape == (48, 64) and half.shape == (24, 32)
    assert np.mean((half > 50) & (half < 205)) * 100 > 5  # many are in between
    assert np.abs(halved(whole).astype(int) - half).max() <= 8


def test_an_output_of_the_whole_size_stays_whole() -> None:
    logits = np.zeros((1, 1, 48, 64), np.float32)
    assert AlphaDecoder(LOGITS, 64, 48).decode(logits, may_be_half=True).shape == (48, 64)
