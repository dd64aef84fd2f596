# SPDX-License-Identifier: GPL-2.0-or-later
"""Models that must not run: refused, named in the log and the status, the room hidden, the model before runs on."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from background_filter.models.catalog import load_catalog
from background_filter.tests.obs.harness import Obs
from background_filter.tests.obs.models import constant_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    PLAIN,
    Picture,
    alpha_of,
    assert_clean_exit,
    astronaut_mask,
    background_filter,
    filter_obs,
    iou,
    portrait_source,
    wait_until,
)

# The overlap with the hand-made mask that each network of ../shared/models reached here, less .03.
FLOORS = {
    "bodypix": 0.83,
    "deeplab_aiseg": 0.89,
    "deeplabv3": 0.80,
    "extremec3": 0.91,
    "mediapipe_general": 0.93,
    "mediapipe_landscape": 0.94,
    "portrait_mnv3": 0.94,
    "prisma": 0.94,
    "rvm_mobilenetv3_tf": 0.96,
    "sinet_224": 0.91,
    "sinet_320": 0.94,
}

Make = Callable[[Path], Path]


def changed_by_a_byte(folder: Path) -> Path:
    """A trusted file, then one byte of its weights flipped."""
    path = constant_model(folder / "changed.onnx", 1.0)
    trusted_in(folder, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


def truncated(folder: Path) -> Path:
    """A trusted file of which the end is missing."""
    path = constant_model(folder / "truncated.onnx", 1.0)
    trusted_in(folder, path)
    path.write_bytes(path.read_bytes()[:-20])
    return path


def swapped(folder: Path) -> Path:
    """Another valid network under a trusted file's name."""
    path = constant_model(folder / "swapped.onnx", 1.0)
    trusted_in(folder, path)
    return constant_model(path, 0.9)


def not_onnx(folder: Path) -> Path:
    """A trusted text file."""
    path = folder / "text.onnx"
    path.write_text("This is no network.")
    trusted_in(folder, path)
    return path


def external_data(folder: Path) -> Path:
    """A trusted network whose weights lie in another file."""
    model = onnx.load(constant_model(folder / "external.onnx", 1.0))
    onnx.save_model(
        model, folder / "external.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    trusted_in(folder, folder / "external.onnx")
    return folder / "external.onnx"


def custom_domain(folder: Path) -> Path:
    """A trusted network with an operator of an unknown domain."""
    model = onnx.load(constant_model(folder / "custom.onnx", 1.0))
    model.graph.node[0].domain = "evil.example"
    model.opset_import.append(helper.make_opsetid("evil.example", 1))
    onnx.save(model, folder / "custom.onnx")
    trusted_in(folder, folder / "custom.onnx")
    return folder / "custom.onnx"


def wrong_input(folder: Path) -> Path:
    """A trusted network that takes a vector."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["vector"], ["result"])],
        "vector",
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 10])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 10])],
    )
    path = folder / "vector.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    trusted_in(folder, path)
    return path


def never_trusted(folder: Path) -> Path:
    """A good network that the user has not vouched for."""
    return constant_model(folder / "stranger.onnx", 1.0)


def missing(folder: Path) -> Path:
    """No file at all."""
    return folder / "nowhere.onnx"


REFUSED: list[tuple[Make, str]] = [
    (changed_by_a_byte, "It was not loaded"),
    (truncated, "It was not loaded"),
    (swapped, "It was not loaded"),
    (not_onnx, "is not an ONNX model"),
    (external_data, "outside its file"),
    (custom_domain, "evil.example"),
    (wrong_input, "takes no picture"),
    (never_trusted, "is unknown, so it was not loaded"),
    (missing, "is not there"),
]


@pytest.mark.parametrize("make, words", REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_a_bad_model_is_refused_and_nothing_is_shown(tmp_path: Path, make: Make, words: str) -> None:
    path = make(tmp_path)
    settings = {"model": "own", "own_model_file": str(path)}
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter()])], settings) as obs:
        obs.wait_for_log("refused, model")
        line = wait_until(
            "the words of refusal", lambda: next((line for line in obs.log.splitlines() if words in line), None)
        )
        alpha = alpha_of(obs)
    assert_clean_exit(obs)
    assert path.name in line
    assert alpha.max() == 0


def test_a_running_model_runs_on_when_its_file_is_swapped(tmp_path: Path) -> None:
    """A second filter asks for the file after the swap and is refused; the first keeps the bytes that were verified."""
    path = constant_model(tmp_path / "own.onnx", 1.0)
    trusted_in(tmp_path, path)
    settings = {"model": "own", "own_model_file": str(path)}
    second = portrait_source(tmp_path, name="Second")
    with filter_obs(tmp_path, [portrait_source(tmp_path, [background_filter("One")]), second], settings) as obs:
        wait_until("her picture", lambda: True if alpha_of(obs).min() == 255 else None)
        constant_model(path, 0.9)
        obs.add_filter("Second", "Two")
        obs.wait_for_log("It was not loaded")
        assert alpha_of(obs, "Second").max() == 0
        assert alpha_of(obs).min() == 255
    assert_clean_exit(obs)


def test_every_network_at_hand_runs_through_its_catalogue_entry(tmp_path: Path, shared_folder: Path) -> None:
    """One OBS, switched through them all; between two of them a network that shows everything, so that each mask that
    is looked at is of the network that was asked for."""
    entries = {entry.file: entry for entry in load_catalog().values()}
    folder = tmp_path / "models"
    folder.mkdir()
    names = []
    for path in sorted((shared_folder / "models").glob("*/*.onnx")):
        trusted_in(tmp_path, Path(shutil.copy(path, folder)))
        names.append(entries[path.name].id)
    everything = constant_model(tmp_path / "everything.onnx", 1.0, (192, 192))
    trusted_in(tmp_path, everything)
    between = f"file:{everything}"
    settings: dict[str, Any] = {**PLAIN, "model": between}
    camera = portrait_source(tmp_path, [background_filter(**settings)])
    overlaps = {}
    with filter_obs(tmp_path, [camera]) as obs:
        for name in names:
            wait_until("everything", lambda: True if small_alpha(obs).min() == 255 else None)
            obs.ws.set_source_filter_settings(CAMERA, "Room", {"model": name}, True)
            obs.wait_for_log(f"ready, model {name} on", 40.0)
            alpha = wait_until(f"a mask of {name}", functools.partial(masked, obs), 30.0)
            overlaps[name] = iou(alpha, astronaut_mask((320, 180)))
            obs.ws.set_source_filter_settings(CAMERA, "Room", {"model": between}, True)
    assert_clean_exit(obs)
    assert set(overlaps) == set(FLOORS)
    assert {name: overlap for name, overlap in overlaps.items() if overlap < FLOORS[name]} == {}


def small_alpha(obs: Obs) -> Picture:
    """The alpha that the camera shows now, in a quarter of its size: uint8 H x W."""
    return obs.screenshot(CAMERA, 320, 180)[..., 3]


def masked(obs: Obs) -> Picture | None:
    """The alpha, once it is neither empty nor everything."""
    alpha = small_alpha(obs)
    return alpha if 0.05 < (alpha > 127).mean() < 0.95 else None
