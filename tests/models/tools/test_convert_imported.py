# SPDX-License-Identifier: GPL-2.0-or-later
"""Published PyTorch weights, converted, imported as the catalogue's model, in a real engine: masks against others'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from background_filter.filters.bridge.status import State
from background_filter.filters.cli import commands
from background_filter.models import networks
from background_filter.models.catalog import load_catalog
from background_filter.models.networks.rvm import RobustVideoMatting
from background_filter.models.training.pictures import read_picture, resize
from background_filter.tests.engine.running import RunningEngine, RunningStream
from background_filter.tests.models.networks.published_rvm import take_weights
from background_filter.tests.models.reference import SHARED, open_plainly, person_in

PICTURES = 2  # of each set


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One user's folder for the module: the engine looks there as long as it runs."""
    folder = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(folder))
        yield folder


@pytest.fixture(scope="module")
def engine(config: Path) -> Iterator[RunningEngine]:
    running = RunningEngine()
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture(autouse=True)
def same_config(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the fixture of all tests of models, which gives each test a folder of its own."""
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(config))


def typed(*words: object) -> None:
    assert commands.run(["models", *map(str, words)]) == 0, words


def convert_and_import(weights: Path, architecture: str | None, model: str, *more: object) -> None:
    """The two commands of docs/models.md."""
    out = weights.parent / f"{model}_own.onnx"
    named = ("--as", model) if architecture is None else ("--architecture", architecture)
    typed("--here", "convert", weights, out, *named, *more)
    typed("import", out, "--as", model, "--trust")


def photographs(shared_folder: Path) -> list[NDArray[np.uint8]]:
    """Photographs of people, RGB."""
    folders = (shared_folder / "data" / "dev" / kind / "img" for kind in ("portraits", "street"))
    paths = [path for folder in folders for path in sorted(folder.iterdir())[:PICTURES]]
    return [np.asarray(read_picture(path)[..., ::-1]) for path in paths]


def masks_of(engine: RunningEngine, model: str, pictures: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """The engine's alpha of each picture, squeezed to the model's size; a network with a memory sees a cut before."""
    entry = load_catalog()[model]
    size = entry.input.width, entry.input.height
    stream = RunningStream(engine, 1 + list(load_catalog()).index(model), model, "cpu")
    masks = []
    try:
        status = stream.wait_for_state(State.READY)
        assert (status.model, status.problem) == (model, None)
        for picture in pictures:
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            frame = np.dstack([small, np.full(small.shape[:2], 255, np.uint8)])
            if entry.recurrence:
                stream.alpha_of(np.full_like(frame, 0 if small.mean() > 127 else 255))
            masks.append(np.array(stream.alpha_of(frame)))
    finally:
        stream.close()
    return masks


def assert_same_people(
    masks: list[NDArray[np.uint8]], pictures: list[NDArray[np.uint8]], file: str, shared_folder: Path, share: float
) -> None:
    """The overlap with the masks of the plain script that runs the file of others."""
    reference = next(each for each in SHARED if each.file == file)
    session = open_plainly(shared_folder / "models" / f"{file}.onnx")
    both = either = 0
    for mask, picture in zip(masks, pictures, strict=True):
        found = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 127
        expected = person_in(picture, reference, session)
        assert expected.mean() > 0.02
        both, either = both + int((found & expected).sum()), either + int((found | expected).sum())
    print(f"{file}: overlap {both / either:.4f}")
    assert both / either > share


@pytest.mark.parametrize(("name", "model"), [("sinet", "sinet_224"), ("extremec3", "extremec3")])
def test_naver_s_weights_are_not_normalised_twice(
    name: str, model: str, shared_folder: Path, tmp_path: Path, engine: RunningEngine
) -> None:
    weights = tmp_path / "published.pth"
    weights.symlink_to(shared_folder / "models" / name / f"{name}_224.pth")
    convert_and_import(weights, name, model)
    pictures = photographs(shared_folder)
    masks = masks_of(engine, model, pictures)
    assert_same_people(masks, pictures, f"{name}/{name}_224", shared_folder, 0.98)


def test_robust_video_matting_by_its_published_weights(
    shared_folder: Path, tmp_path: Path, engine: RunningEngine
) -> None:
    """But for the refinement's, which the TensorFlow version lacks: with zeros it blurs the matte over three pixels."""
    network, file = RobustVideoMatting().eval(), "rvm/rvm_mobilenetv3"
    take_weights(network, onnx.load(shared_folder / "models" / f"{file}.onnx"))
    last = network.refiner.conv[-1]
    assert isinstance(last, torch.nn.Conv2d) and last.bias is not None
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    weights = tmp_path / "rvm_mobilenetv3.pth"
    torch.save(network.state_dict(), weights)
    convert_and_import(weights, None, "rvm_mobilenetv3")
    pictures = photographs(shared_folder)
    masks = masks_of(engine, "rvm_mobilenetv3", pictures)
    assert_same_people(masks, pictures, file, shared_folder, 0.97)


def person_of(logits: torch.Tensor) -> torch.Tensor:
    """The person's probability of one logit, or of those of Pascal VOC's classes."""
    return logits.sigmoid()[:, 0] if logits.shape[1] == 1 else logits.softmax(dim=1)[:, 15]


@pytest.mark.parametrize(
    ("name", "model"), [("modnet", "modnet"), ("u2net_light", "u2netp"), ("deeplabv3_mnv3", "deeplabv3_mnv3")]
)
def test_random_weights_of_published_networks_at_a_size_of_one_s_own(
    name: str, model: str, shared_folder: Path, tmp_path: Path, engine: RunningEngine
) -> None:
    torch.manual_seed(0)
    network: Any = networks.create_any(name)
    small = [resize(picture, (96, 64)) for picture in photographs(shared_folder)[:2]]
    tensors = torch.tensor(np.stack(small).transpose(0, 3, 1, 2), dtype=torch.float32) / 255
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None  # statistics of these very pictures
        network.train()(tensors)
        network.eval()
        if name == "deeplabv3_mnv3":  # a person about as likely as all other classes together
            network.head.weight *= torch.eye(21)[15].view(21, 1, 1, 1) * 10
            network.head.bias.copy_(torch.eye(21)[15] * 3)
        expected = person_of(torch.cat([network(tensor[None]) for tensor in tensors])).numpy() * 255
    weights = tmp_path / "published.ckpt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, weights)
    convert_and_import(weights, name, model, "--size", "96x64")
    stream = RunningStream(engine, 100 + len(name), model, "cpu")
    try:
        assert stream.wait_for_state(State.READY).problem is None
        for picture, wanted in zip(small, expected):
            alpha = stream.alpha_of(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))
            assert alpha.shape == wanted.shape
            assert wanted.std() > 3
            np.testing.assert_allclose(alpha.astype(float), wanted, atol=3)
    finally:
        stream.close()
