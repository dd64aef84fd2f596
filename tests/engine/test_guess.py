# SPDX-License-Identifier: GPL-2.0-or-later
"""Own files: what is guessed and why, what the user can say instead, and refusals in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from background_filter.filters import locale
from background_filter.filters.engine.guess import in_words, planes_of
from background_filter.filters.engine.library import is_up_to_date
from background_filter.filters.engine.network import Network, load_network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.models import choices
from background_filter.models.catalog import InputSpec
from background_filter.models.trust import ModelRefused
from background_filter.tests.engine import nets, shaped_nets
from background_filter.tests.engine.shaped_nets import FLOAT, SAME, UINT8, net, node, weights
from background_filter.tests.engine.test_network import PICTURE, verified

Make = Callable[[], onnx.ModelProto]


@pytest.fixture(autouse=True)
def own_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a user's folder of its own."""
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path))
    return tmp_path / "choices.json"


def reasons_of(network: Network) -> dict[str, tuple[str, str]]:
    """Value and reason of each guess."""
    return {guess.about: (guess.value, guess.reason) for guess in network.ports.guesses}


def load(model: onnx.ModelProto, chosen: choices.Chosen | None = None) -> Network:
    """An own file's network."""
    return load_network(verified(model), "cpu", chosen).network


def refusal(model: onnx.ModelProto, chosen: choices.Chosen | None = None) -> ModelRefused:
    """Why an own file does not run."""
    with pytest.raises(ModelRefused) as refused:
        load(model, chosen)
    assert refused.value.params["file"]
    return refused.value


# Guesses


def test_every_guess_has_its_reason() -> None:
    assert reasons_of(load(shaped_nets.u2net())) == {
        "input": ("input.1", "only_picture"),
        "layout": ("NCHW", "three_colours"),
        "size": ("64x64", "graph"),
        "colours": ("RGB", "usual"),
        "values": ("(x * 0.003922 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]", "u2net"),
        "output": ("1959", "largest_mask"),
        "kind": ("saliency", "u2net"),
        "person": ("0", "one_channel"),
    }
    found = reasons_of(load(shaped_nets.rvm()))
    assert found["size"] == ("256x144", "first_that_works")
    assert found["output"] == ("pha", "only_mask")
    assert found["remembers"] == ("r4i, r4o", "names")
    assert found["constant"] == ("downsample_ratio 1.0", "known_name")
    found = reasons_of(load(shaped_nets.with_its_mask()))
    assert (found["layout"], found["colours"]) == (("NCHW", "colours_and_mask"), ("RGBM", "colours_and_mask"))


EXAMPLES: dict[str, Make] = {
    "U2-Net": shaped_nets.u2net,
    "MODNet": shaped_nets.modnet,
    "RVM": shaped_nets.rvm,
    "its last mask": shaped_nets.with_its_mask,
    "VOC": lambda: shaped_nets.classes(21),
    "MediaPipe": lambda: shaped_nets.classes(6),
    "Cityscapes": lambda: shaped_nets.classes(19),
    "ADE20K": lambda: shaped_nets.classes(150),
    "two numbers": lambda: shaped_nets.numbers_of_classes(2),
    "numbers": lambda: shaped_nets.numbers_of_classes(21),
    "bytes": shaped_nets.bytes_to_bytes,
    "softmaxed": shaped_nets.softmaxed,
    "logits": nets.brightness_net,
}


@pytest.mark.parametrize("language", sorted(locale.languages()))
@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_every_guess_can_be_said(make: Make, language: str) -> None:
    texts = locale.load(language)
    for guess in load(make()).ports.guesses:
        assert f"guess.about.{guess.about}" in texts and f"guess.reason.{guess.reason}" in texts
        assert guess.value in in_words(guess) and "guess." not in in_words(guess)


def beside(name: str, channels: int, side: int = 48) -> onnx.ModelProto:
    """A network with a picture and two equal masks, the second called ``name``, and an output of ``channels``."""
    nodes = [node("Conv", "x w", "first", **SAME), node("Conv", "x w", name, **SAME), node("Conv", "x v", "o", **SAME)]
    planes = [1, 1, side, side]
    outputs = {"first": (FLOAT, planes), name: (FLOAT, planes), "o": (FLOAT, [1, channels, side, side])}
    constants = {"w": weights(1, 1), "v": weights(2, channels)}
    return net(nodes, {"x": (FLOAT, [1, 3, side, side])}, outputs, constants)


def test_an_output_called_like_a_mask_comes_before_others() -> None:
    assert reasons_of(load(beside("alpha", 3)))["output"] == ("alpha", "called_mask")
    assert reasons_of(load(beside("other", 3)))["output"] == ("first", "largest_mask")


SQUARE = InputSpec(None, 257, 257, "NHWC", "RGB", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "planes"),
    [
        ((1, 33, 33, 1), ("NHWC", 1)),
        ((1, 1, 33, 33), ("NCHW", 1)),
        ((1, 257, 257), ("NCHW", 1)),
        ((257, 257), ("NCHW", 1)),
        ((257, 257, 2), ("NHWC", 2)),
        ((1, 21, 65, 65), ("NCHW", 21)),
        ((1, 1, 257, 128), None),
        ((2, 1, 257, 257), None),
        ((1, 1000), None),
        ((1, 1280, 1, 1), None),
        ((), None),
    ],
)
def test_what_can_be_a_mask(shape: tuple[int, ...], planes: tuple[str, int] | None) -> None:
    assert planes_of(shape, SQUARE) == planes


# What the user says instead


def test_a_choice_takes_the_place_of_a_guess_and_says_so() -> None:
    chosen: choices.Chosen = {"input": {"channels": "BGR"}, "output": {"channel": 0}}
    network = load(shaped_nets.softmaxed(), chosen)
    assert (network.ports.input.channels, network.ports.output.channel) == ("BGR", 0)
    found = reasons_of(network)
    assert found["colours"] == ("BGR", "chosen") and found["person"] == ("0", "chosen")
    assert found["kind"][1] != "chosen"


def test_a_choice_makes_a_mask_of_what_no_rule_knows() -> None:
    model = shaped_nets.classes(7)
    assert refusal(model).code == "model.no_mask"
    network = load(model, {"output": {"channel": 3}})
    assert (network.ports.output.channel, network.ports.output.kind) == (3, "softmax_logits")
    assert Segmenter(network).alpha(np.zeros((64, 64, 4), np.uint8)).shape == (64, 64)


def test_a_size_can_be_chosen_where_the_graph_leaves_it_open() -> None:
    network = load(shaped_nets.modnet(), {"input": {"width": 128, "height": 96}})
    assert (network.width, network.height) == (128, 96)


def test_choices_are_kept_for_these_bytes_alone(own_choices: Path) -> None:
    model, other = shaped_nets.softmaxed(48), shaped_nets.softmaxed(56)
    choices.save_choices(verified(model).sha256, {"input": {"channels": "BGR", "mean": [1, 2, 3]}})
    network = load(model)
    assert (network.ports.input.channels, network.ports.input.mean) == ("BGR", (1.0, 2.0, 3.0))
    assert load(other).ports.input.channels == "RGB"
    choices.save_choices(verified(model).sha256, {})
    assert json.loads(own_choices.read_text())["choices"] == {}
    assert load(model).ports.input.channels == "RGB"


def test_a_new_choice_makes_a_new_network() -> None:
    model = verified(nets.brightness_net())
    network = load_network(model, "cpu").network
    assert is_up_to_date(network, model)
    choices.save_choices(model.sha256, {"output": {"inverted": True}})
    assert not is_up_to_date(network, model)
    inverted = load_network(model, "cpu").network
    assert is_up_to_date(inverted, model)
    both = Segmenter(network).alpha(PICTURE).astype(int) + Segmenter(inverted).alpha(PICTURE)
    assert np.abs(both - 255).max() <= 1


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("input.channels=BGR", {"input": {"channels": "BGR"}}),
        ("input.mean=0.5, 0.5, 0.5", {"input": {"mean": (0.5, 0.5, 0.5)}}),
        ("output.channel=15", {"output": {"channel": 15}}),
        ("output.inverted=true", {"output": {"inverted": True}}),
        ("output.tensor=d0", {"output": {"tensor": "d0"}}),
    ],
)
def test_a_choice_as_a_person_writes_it(text: str, chosen: choices.Chosen) -> None:
    assert choices.parse_choice(text) == chosen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "channels=BGR",
        "input.colour=BGR",
        "input.channels=BGRA",
        "input.mean=1",
        "output.channel=-1",
        "input.width=9e9",
    ],
)
def test_a_choice_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        choices.parse_choice(text)
    assert refused.value.code == "model.choices"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"format": 2, "choices": {}}',
        b'{"format": 1, "choices": {"00": {"input": {"width": 0}}}}',
        b'{"format": 1, "choices": {"00": {"inputs": {}}}}',
        b'{"format": 1, "choices": {"00": 1}}',
        b"\xff",
    ],
)
def test_a_damaged_store_is_refused(own_choices: Path, content: bytes) -> None:
    own_choices.write_bytes(content)
    found = refusal(nets.brightness_net())
    assert (found.code, found.params["file"]) == ("model.choices", "choices.json")


def test_a_choice_that_does_not_fit_is_refused() -> None:
    assert refusal(shaped_nets.softmaxed(), {"output": {"channel": 2}}).code == "model.choices"
    assert refusal(shaped_nets.softmaxed(), {"input": {"tensor": "y"}}).code == "model.input_shape"
    assert refusal(shaped_nets.softmaxed(), {"output": {"tensor": "y"}}).code == "model.no_mask"


# Refusals


def takes(shape: list[object], kind: int = FLOAT) -> onnx.ModelProto:
    """A network that takes this and gives it back as floats."""
    return net([node("Cast", "x", "mask", to=FLOAT)], {"x": (kind, shape)}, {"mask": (FLOAT, shape)}, {})


def needs_100() -> onnx.ModelProto:
    """A network that says any size, and takes only multiples of 100."""
    nodes = [
        node("AveragePool", "x", "small", kernel_shape=[100, 100], strides=[100, 100]),
        node("Resize", "small times", "large", mode="nearest"),
        node("Add", "x large", "sum"),
        node("ReduceMean", "sum", "mask", axes=[1], keepdims=1),
    ]
    nodes[1].input.insert(1, "")
    times = {"times": np.array([1, 1, 100, 100], np.float32)}
    return net(nodes, {"x": (FLOAT, [1, 3, "h", "w"])}, {"mask": (FLOAT, [1, 1, "h", "w"])}, times)


def newer(opset: int | None = None, ir_version: int | None = None) -> onnx.ModelProto:
    made = nets.brightness_net()
    made.opset_import[0].version = opset or 17
    made.ir_version = ir_version or 9
    return made


REFUSED: dict[str, tuple[Make, str, str]] = {
    "no picture but a row": (lambda: takes([1, 1000]), "model.input_rank", "[1, 1000]"),
    "a batch is missing": (lambda: takes([3, 32, 32]), "model.input_rank", "[3, 32, 32]"),
    "one colour": (lambda: takes([1, 1, 32, 32]), "model.input_shape", "[1, 1, 32, 32]"),
    "two pictures at once": (lambda: takes([2, 3, 32, 32]), "model.input_shape", "[2, 3, 32, 32]"),
    "doubles": (lambda: takes([1, 3, 32, 32], onnx.TensorProto.DOUBLE), "model.input_type", "double"),
    "signed bytes": (lambda: takes([1, 3, 32, 32], onnx.TensorProto.INT8), "model.input_type", "int8"),
    "a picture comes out": (lambda: takes([1, 3, 32, 32], UINT8), "model.no_mask", "mask float [1, 3, 32, 32]"),
    "a number comes out": (nets.no_mask, "model.no_mask", "number"),
    "two pictures": (nets.two_inputs, "model.more_inputs", "b float"),
    "no size fits": (needs_100, "model.open_size", "256x144"),
    "an operator that nobody has": (nets.unknown_operator, "model.operator", "Imaginary"),
    "a newer operator set": (lambda: newer(opset=99), "model.opset", "99"),
    "a newer format": (lambda: newer(ir_version=99), "model.ir_version", "99"),
}


@pytest.mark.parametrize(("make", "code", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("language", sorted(locale.languages()))
def test_refusal_in_words(make: Make, code: str, said: str, language: str) -> None:
    found = refusal(make())
    assert found.code == code
    words = locale.load(language)[f"problem.{code}"].format(**found.params)
    assert said in words and "net.onnx" in words
    assert "onnxruntime" not in words.lower().replace("onnx runtime", "") and "\n" not in words


def test_bytes_go_in_as_they_are() -> None:
    network = load(shaped_nets.bytes_to_bytes())
    frame = np.random.default_rng(3).integers(0, 256, (48, 48, 4), dtype=np.uint8)
    tensor = network.prepare(frame)
    assert tensor.dtype == np.uint8 and np.array_equal(tensor[0], frame[..., :3])
    flipped = load(shaped_nets.bytes_to_bytes(), {"input": {"channels": "BGR"}})
    assert np.array_equal(flipped.prepare(frame)[0], frame[..., 2::-1])
