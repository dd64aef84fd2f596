# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guard lets through and what it refuses, on real ONNX files, mutated ones and third-party networks."""

import os
import tracemalloc
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from background_filter.models import onnx_guard
from background_filter.models.onnx_guard import check
from background_filter.models.onnx_ports import read_ports
from background_filter.models.refusal import ModelRefused
from background_filter.tests.models.files import (
    branch,
    constant_node,
    conv_node,
    external,
    function_of,
    good_model,
    graph_of,
    model_of,
    subgraph_node,
    weights,
)

SHARED_MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
GOOD = good_model().SerializeToString()


def refusal_of(data: bytes) -> ModelRefused:
    with pytest.raises(ModelRefused) as refusal:
        check(data, "x.onnx")
    assert refusal.value.params["file"] == "x.onnx"
    return refusal.value


def test_a_plain_model_passes() -> None:
    check(GOOD)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_known_domains_pass(domain: str) -> None:
    check(model_of(graph_of([conv_node(domain)])).SerializeToString())


def test_functions_and_subgraphs_as_such_pass() -> None:
    inner = branch([constant_node(weights())])
    model = model_of(graph_of([subgraph_node(inner)]), functions=[function_of([conv_node()], "ai.onnx")])
    check(model.SerializeToString())


def test_the_newest_opset_passes_and_the_next_does_not() -> None:
    check(model_of(graph_of([conv_node()]), opset=onnx_guard.MAX_OPSET).SerializeToString())
    refusal = refusal_of(model_of(graph_of([conv_node()]), opset=25).SerializeToString())
    assert (refusal.code, refusal.params["expected"], refusal.params["found"]) == ("model.opset", 24, 25)


def test_an_opset_hidden_by_another_name_or_a_repetition_is_found() -> None:
    model = good_model()
    model.opset_import.add(domain="ai.onnx", version=99)
    assert refusal_of(model.SerializeToString()).code == "model.opset"
    twice = bytes([0x42, 4, 0x10, 99, 0x10, 17])  # one opset_import that gives its version twice: the last one wins
    assert refusal_of(GOOD + twice).code == "model.opset"
    function = function_of([conv_node()])
    function.opset_import[0].version = 25
    model = model_of(graph_of([conv_node()]), functions=[function])
    assert refusal_of(model.SerializeToString()).code == "model.opset"


def sparse(outside: bool) -> onnx.SparseTensorProto:
    """A sparse tensor, with its indices in another file if ``outside``."""
    found = onnx.SparseTensorProto(dims=[4])
    found.values.CopyFrom(weights("values"))
    found.indices.CopyFrom(external(weights("indices")) if outside else weights("indices"))
    return found


def external_models() -> dict[str, onnx.ModelProto]:
    outside = external(weights())
    inner = branch([constant_node(outside)])
    models = {
        "initializer": model_of(graph_of([conv_node()], [outside])),
        "attribute": model_of(graph_of([constant_node(outside)])),
        "initializer of a subgraph": model_of(graph_of([subgraph_node(branch([conv_node()], [outside]))])),
        "attribute in a subgraph": model_of(graph_of([subgraph_node(inner)])),
        "subgraph of a subgraph": model_of(graph_of([subgraph_node(branch([subgraph_node(inner)]))])),
        "function": model_of(graph_of([conv_node()]), functions=[function_of([constant_node(outside)])]),
        "subgraph in a function": model_of(graph_of([conv_node()]), functions=[function_of([subgraph_node(inner)])]),
    }
    listed = helper.make_node("Constant", [], ["mask"], values=[weights("first"), outside])
    models["list of tensors"] = model_of(graph_of([listed]))
    graphs = helper.make_node("Own", [], ["mask"], bodies=[branch([]), inner])
    models["list of graphs"] = model_of(graph_of([graphs]))
    model = good_model()
    model.graph.sparse_initializer.append(sparse(outside=True))
    models["sparse initializer"] = model
    models["sparse attribute"] = model_of(
        graph_of([helper.make_node("Constant", [], ["mask"], sparse_value=sparse(outside=True))])
    )
    model = good_model()
    model.training_info.add().algorithm.CopyFrom(graph_of([conv_node()], [outside]))
    models["training"] = model
    function = function_of([conv_node()])
    function.attribute_proto.append(helper.make_attribute("default", outside))
    models["default of a function"] = model_of(graph_of([conv_node()]), functions=[function])
    only_flag = external(weights())
    only_flag.ClearField("external_data")
    models["location without entries"] = model_of(graph_of([conv_node()], [only_flag]))
    only_entries = external(weights())
    only_entries.ClearField("data_location")
    models["entries without location"] = model_of(graph_of([conv_node()], [only_entries]))
    address = external(weights(), "*/_ORT_MEM_ADDR_/*")
    models["memory address"] = model_of(graph_of([conv_node()], [address]))
    return models


@pytest.mark.parametrize("place", external_models())
def test_data_outside_the_file_is_found_wherever_it_hides(place: str) -> None:
    refusal = refusal_of(external_models()[place].SerializeToString())
    assert refusal.code == "model.external_data"
    assert refusal.params["where"] in ("weights", "indices")


def test_sparse_tensors_as_such_pass() -> None:
    model = good_model()
    model.graph.sparse_initializer.append(sparse(outside=False))
    check(model.SerializeToString())


def test_a_location_that_a_later_one_hides_is_found() -> None:
    tensor = weights().SerializeToString()
    for location in (b"\x70\x01\x70\x00", b"\x70\x81\x80\x80\x80\x10"):  # 1 and then 0; 2**32 + 1, cut to 1
        hidden = tensor + location
        graph = graph_of([conv_node()], []).SerializeToString() + b"\x2a" + bytes([len(hidden)]) + hidden
        data = b"\x08\x08\x3a" + bytes([len(graph) % 128 | 128, len(graph) // 128]) + graph
        assert refusal_of(data).code == "model.external_data"


def custom_models() -> dict[str, onnx.ModelProto]:
    node = conv_node("evil.ops")
    return {
        "node": model_of(graph_of([node])),
        "second node": model_of(graph_of([conv_node(), node])),
        "subgraph": model_of(graph_of([subgraph_node(branch([node]))])),
        "function's node": model_of(graph_of([conv_node()]), functions=[function_of([node])]),
        "function": model_of(graph_of([conv_node()]), functions=[function_of([conv_node()], "evil.ops")]),
    }


@pytest.mark.parametrize("place", custom_models())
def test_a_custom_domain_is_found_wherever_it_hides(place: str) -> None:
    refusal = refusal_of(custom_models()[place].SerializeToString())
    assert (refusal.code, refusal.params["domain"]) == ("model.custom_domain", "evil.ops")


@pytest.mark.parametrize("domain", ["ai.onnx\n", "AI.ONNX", " ", "com.microsoft.nchwc", "com.microsoft\u200b"])
def test_domains_that_only_look_alike_are_refused(domain: str) -> None:
    refusal = refusal_of(model_of(graph_of([conv_node(domain)])).SerializeToString())
    assert refusal.code == "model.custom_domain"
    assert str(refusal.params["domain"]).isprintable()


def test_an_operator_that_loads_other_files_is_refused() -> None:
    model = model_of(graph_of([conv_node("com.microsoft", "EPContext")]))
    assert refusal_of(model.SerializeToString()).code == "model.external_data"


def test_the_runtimes_own_format_is_refused() -> None:
    assert "own format" in str(refusal_of(b"\x20\x00\x00\x00ORTM" + bytes(64)).params["detail"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\x08",
        b"\x89PNG\r\n\x1a\n",
        b"<!DOCTYPE html><html>not found</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04",
        b"\0" * 1000,
        b"\xff" * 1000,
        b"\x3a\x00",
        b"\x08\x08\x38\x01",
        b"\x08\x08\x3b\x3c",
        b"\x0a\x00\x3a\x00",
    ],
)
def test_what_is_no_onnx_is_refused(data: bytes) -> None:
    assert refusal_of(data).code == "model.not_onnx"


def test_every_truncation_is_refused_or_still_a_model() -> None:
    """A file may end between two fields of the model and still be one: protobuf has no end mark."""
    passed = 0
    for size in range(len(GOOD)):
        try:
            check(GOOD[:size])
            passed += 1
        except ModelRefused as refusal:
            assert refusal.code == "model.not_onnx", size
    assert passed <= 1  # before the opset, the last field


def nested(levels: int) -> bytes:
    """Graphs within attributes of nodes of graphs, ``levels`` deep, as bytes: no library would build it."""
    data = b""
    for _ in range(levels):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # attribute.g, node.attribute, graph.node
            data = tag + varint(len(data)) + data
    return b"\x08\x08\x3a" + varint(len(data)) + data


def varint(number: int) -> bytes:
    raw = b""
    while number > 127:
        raw += bytes([number & 127 | 128])
        number >>= 7
    return raw + bytes([number])


def test_nesting_has_a_limit() -> None:
    check(nested(30))
    assert "deep" in str(refusal_of(nested(40)).params["detail"])
    assert "deep" in str(refusal_of(nested(20_000)).params["detail"])


@pytest.mark.parametrize("claimed", [2**20, 2**31, 2**40, 2**63 - 1, 2**64 - 1])
def test_a_size_that_is_only_claimed_costs_nothing(claimed: int) -> None:
    """A field that says it is longer than the file is refused before anything is copied or allocated."""
    for prefix in (b"\x08\x08\x3a", GOOD + b"\x12"):
        tracemalloc.start()
        refusal = refusal_of(prefix + varint(claimed) + b"\x0a\x00")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert "beyond its end" in str(refusal.params["detail"])
        assert peak < 2**20


def test_a_million_empty_messages_are_too_many() -> None:
    data = b"\x08\x08\x3a" + varint(2_000_000) + b"\x0a\x00" * 1_000_000
    assert "fields" in str(refusal_of(data).params["detail"])
    with pytest.raises(ModelRefused):
        read_ports(data)


def test_the_number_of_fields_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_guard, "MAX_FIELDS", 1000)
    check(GOOD)
    assert "fields" in str(refusal_of(GOOD + b"\x28\x01" * 1000).params["detail"])


@settings(max_examples=300)
@given(changes=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=6), st.integers(0, 6)), max_size=5))
def test_mutated_models_pass_or_are_refused_and_nothing_else(changes: list[tuple[int, bytes, int]]) -> None:
    data = GOOD
    for at, raw, removed in changes:
        data = data[:at] + raw + data[at + removed :]
    try:
        check(data)
    except ModelRefused as refusal:
        assert str(refusal)


@settings(max_examples=150)
@given(data=st.binary(max_size=300))
def test_random_bytes_pass_or_are_refused_and_nothing_else(data: bytes) -> None:
    try:
        check(data)
    except ModelRefused as refusal:
        assert refusal.code.startswith("model.")


@settings(max_examples=150)
@given(data=st.data())
def test_a_mutation_never_hides_outside_data_from_the_guard_but_not_from_onnx(data: st.DataObject) -> None:
    """Whatever the guard lets through, onnx's own parser sees no data outside the file in it."""
    raw = bytearray(external_models()["initializer"].SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        check(bytes(raw))
    except ModelRefused:
        return
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(raw))
    except Exception:  # protobuf refuses it itself: nothing can run
        return
    for tensor in model.graph.initializer:
        assert tensor.data_location != onnx.TensorProto.EXTERNAL
        assert not tensor.external_data


def shared_models() -> list[Path]:
    return sorted(SHARED_MODELS.rglob("*.onnx"))


def test_networks_of_other_projects_pass() -> None:
    if not shared_models():
        assert os.environ.get("REQUIRE_SHARED") != "1", f"{SHARED_MODELS} is missing"
        pytest.skip("needs ../shared/models beside the repository")
    for path in shared_models():
        check(path.read_bytes(), path.name)
