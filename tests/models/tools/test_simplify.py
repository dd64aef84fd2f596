# SPDX-License-Identifier: GPL-2.0-or-later
"""`models simplify` on real models: less to compute, the same mask, or nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.filters.cli.models_parser import run_tool
from background_filter.models import trust
from background_filter.models.tools import simplify
from background_filter.models.tools.compare import read_original
from background_filter.tests.models.tools.copies import install, mask_of, ports_as_own_file, typed_on_the_page


def simplified(model: str, out: Path) -> int:
    return run_tool("simplify", [model, str(out), "--rounds", "1"], here=True)


def test_a_copy_computes_the_same_with_less(
    shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/models.md has it typed."""
    monkeypatch.chdir(tmp_path)
    source = install(shared_folder, "deeplab_aiseg")
    [typed] = typed_on_the_page("simplify")
    out = Path(typed[1])
    assert typed[0] == "deeplab_aiseg" and simplified("deeplab_aiseg", out) == 0
    said = capsys.readouterr().out
    before, after = onnx.load(source), onnx.load(out)
    assert len(after.graph.node) < 0.8 * len(before.graph.node)
    assert len(before.graph.input) > len(after.graph.input) == 1, "weights are constants now"
    assert trust.digest_file(out) in said and "licence of the original: MIT" in said and f"models import {out}" in said
    told = {each.key: each.value for each in after.metadata_props}
    assert told["derived_from"] == f"{source.name}, SHA-256 {trust.digest_file(source)}"
    with pytest.raises(trust.ModelRefused, match=r"model\.untrusted"):
        trust.read_model(out)
    entry = read_original("deeplab_aiseg").version.ports
    own = ports_as_own_file(out)
    assert (own.input.mean, own.input.scale) == (entry.input.mean, entry.input.scale)
    assert np.abs(mask_of(str(out)).astype(int) - mask_of("deeplab_aiseg")).max() <= simplify.MASK_STEPS


def test_a_network_that_remembers_and_takes_any_size_stays_so(shared_folder: Path, tmp_path: Path) -> None:
    install(shared_folder, "rvm_mobilenetv3_tf")
    out = tmp_path / "rvm.onnx"
    assert simplified("rvm_mobilenetv3_tf", out) == 0
    own, entry = ports_as_own_file(out), read_original("rvm_mobilenetv3_tf").version.ports
    assert [(each.input, each.output) for each in own.states] == [(each.input, each.output) for each in entry.states]
    picture = next(each for each in onnx.load(out).graph.input if each.name == own.input_name)
    assert [side.dim_value for side in picture.type.tensor_type.shape.dim][1:3] == [0, 0]


def test_a_changed_mask_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that forgets half of the biases, since no simplifier at hand is wrong."""

    def wrong(model: onnx.ModelProto) -> onnx.ModelProto:
        for tensor in model.graph.initializer[::2]:
            values = onnx.numpy_helper.to_array(tensor)
            if values.dtype == np.float32 and values.ndim == 1:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(values), tensor.name))
        return model

    monkeypatch.setattr("onnxslim.slim", wrong)
    with pytest.raises(CommandError, match="mask must not change by more than 1 of 255, so nothing was written"):
        simplified("person_fast_256x144", tmp_path / "wrong.onnx")
    assert not (tmp_path / "wrong.onnx").exists()


def test_what_can_not_be_is_said_before_anything_takes_time(
    tmp_path: Path, shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = install(shared_folder, "sinet_224")
    digest = trust.digest_file(source)
    for out, words in (
        (tmp_path / "slim.bin", r"ends in \.onnx, found 'slim\.bin'"),
        (tmp_path / "nowhere" / "slim.onnx", "there is no folder"),
        (source, "is sinet_224 itself"),
    ):
        with pytest.raises(CommandError, match=words):
            simplified("sinet_224", out)
    untrusted = shared_folder / "models" / "extremec3" / "extremec3_224.onnx"
    with pytest.raises(CommandError, match="is unknown, so it was not loaded"):
        simplified(str(untrusted), tmp_path / "slim.onnx")
    with pytest.raises(CommandError, match=r"There is no model sinet_225\. Did you mean sinet_224"):
        simplified("sinet_225", tmp_path / "slim.onnx")
    assert trust.digest_file(source) == digest and not list(tmp_path.glob("*.onnx"))
    assert not capsys.readouterr().out
