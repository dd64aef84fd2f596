# SPDX-License-Identifier: GPL-2.0-or-later
"""What a file says of itself counts more than its entry and our guesses, less than the user's word, and is checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.filters.engine.network import Network, load_network
from background_filter.filters.engine.ports import as_choices
from background_filter.models import feeding
from background_filter.models.catalog import ModelEntry, load_catalog
from background_filter.models.choices import Chosen
from background_filter.models.refusal import ModelRefused
from background_filter.models.training.teachers import Teacher, from_catalogue
from background_filter.models.trust import VerifiedModel, digest
from background_filter.tests.engine import shaped_nets

SAID: Chosen = {
    "input": {"channels": "BGR", "scale": 0.5, "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]},
    "output": {"kind": "softmax_logits", "channel": 0},
}


def verified(model: onnx.ModelProto, entry: ModelEntry | None = None) -> VerifiedModel:
    data = model.SerializeToString()
    return VerifiedModel(data, digest(data), "user", "net.onnx", entry)


def saying(text: Chosen | str) -> onnx.ModelProto:
    """A network of two channels that says this of itself."""
    model = shaped_nets.softmaxed()
    said = {feeding.KEY: text} if isinstance(text, str) else feeding.metadata(text)
    onnx.helper.set_model_props(model, said)
    return model


def load(model: onnx.ModelProto, chosen: Chosen | None = None, entry: ModelEntry | None = None) -> Network:
    return load_network(verified(model, entry), "cpu", chosen).network


def test_an_own_file_is_fed_as_it_says_and_the_reason_is_told() -> None:
    ports = load(saying(SAID)).ports
    assert (ports.input.channels, ports.input.scale, ports.input.mean) == ("BGR", 0.5, (1, 2, 3))
    assert (ports.output.kind, ports.output.channel) == ("softmax_logits", 0)
    reasons = {guess.about: guess.reason for guess in ports.guesses}
    assert [about for about, reason in reasons.items() if reason == "said"] == ["colours", "values", "kind", "person"]
    assert reasons["size"] == "graph"


def test_the_user_s_word_counts_more() -> None:
    ports = load(saying(SAID), {"input": {"channels": "RGB"}}).ports
    assert (ports.input.channels, ports.input.scale) == ("RGB", 0.5)
    assert {guess.about: guess.reason for guess in ports.guesses}["colours"] == "chosen"


def test_its_word_counts_more_than_its_entry_s() -> None:
    entry = load_catalog()["pp_humanseg"]
    entry = replace(entry, input=replace(entry.input, width=48, height=48))
    told, silent = load(saying(SAID), entry=entry).ports, load(shaped_nets.softmaxed(), entry=entry).ports
    assert silent.input == entry.input and silent.output == entry.output
    assert told.input == replace(entry.input, channels="BGR", scale=0.5, mean=(1, 2, 3), std=(4, 5, 6))
    assert told.output == replace(entry.output, kind="softmax_logits", channel=0)


def test_a_teacher_goes_by_its_word_too(tmp_path: Path) -> None:
    path, entry = tmp_path / "net.onnx", load_catalog()["pp_humanseg"]
    onnx.save(saying(SAID), path)
    found = Teacher(path, from_catalogue(entry)).description
    assert found.input == replace(entry.input, channels="BGR", scale=0.5, mean=(1, 2, 3), std=(4, 5, 6))
    assert (found.output.kind, found.output.channel) == ("softmax_logits", 0)
    onnx.save(saying("{"), path)
    with pytest.raises(CommandError, match="says of how it is fed"):
        Teacher(path, from_catalogue(entry))


def test_all_of_it_survives_the_way_into_a_file_and_back() -> None:
    network = load(shaped_nets.softmaxed(), {"input": {"mean": (0.1, 0.2, 1 / 3)}})
    said = as_choices(network.ports)
    again = load(saying(said))
    assert as_choices(again.ports) == said
    frame = np.random.default_rng(0).integers(0, 256, (48, 48, 4), np.uint8)
    assert np.array_equal(again.prepare(frame), network.prepare(frame))


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, ""),
        ("[]", "expected an object"),
        ('{"inputs": {}}', "inputs: unknown"),
        ('{"input": {"width": 100000}}', "input.width: expected 1 to 1024"),
        ('{"input": {"scale": NaN}}', "input.scale: expected a number"),
        ('{"input": {"std": [0, 1, 1]}}', "expected more than 0"),
        ('{"output": {"channel": -1}}', "output.channel"),
    ],
)
def test_what_can_t_be_used_is_refused(text: str, detail: str) -> None:
    for entry in (None, load_catalog()["pp_humanseg"]):
        with pytest.raises(ModelRefused) as refused:
            load(saying(text), entry=entry)
        assert refused.value.code == "model.feeding"
        assert refused.value.params["file"] == "net.onnx" and detail in str(refused.value.params["detail"])


def test_what_the_graph_does_not_confirm_is_refused() -> None:
    entry = load_catalog()["pp_humanseg"]
    entry = replace(entry, input=replace(entry.input, width=48, height=48))
    for said, code in (
        ({"input": {"tensor": "y"}}, "model.input_shape"),
        ({"input": {"width": 50}}, "model.input_shape"),
        ({"output": {"channel": 2}}, "model.output_shape"),
    ):
        with pytest.raises(ModelRefused) as refused:
            load(saying(said), entry=entry)
        assert refused.value.code == code
