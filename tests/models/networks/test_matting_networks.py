# SPDX-License-Identifier: GPL-2.0-or-later
"""MODNet and Robust Video Matting: published files' names, what makes them what they are, RVM with real weights."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch

from background_filter.models.networks import create, create_any
from background_filter.models.networks.mobilenet_v3 import rounded_quarter
from background_filter.models.networks.modnet import HalfNormalise
from background_filter.models.networks.rvm import RobustVideoMatting
from background_filter.models.places import ROOT
from background_filter.models.tools.convert.torch_weights import fill
from background_filter.tests.models.networks.published_rvm import take_weights

Shapes = dict[str, tuple[int, ...]]
ZERO = torch.zeros(1, 1, 1, 1)


def normalised(prefix: str, channels: int) -> Shapes:
    """Batch normalisation."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{prefix}.{part}": (channels,) for part in parts} | {f"{prefix}.num_batches_tracked": ()}


def convolved(prefix: str, shape: tuple[int, ...], bias: bool = False) -> Shapes:
    return {f"{prefix}.weight": shape} | ({f"{prefix}.bias": shape[:1]} if bias else {})


def modnet_as_published() -> Shapes:
    """The published file's names and shapes, not taken from our network."""
    backbone: Shapes = {}

    def pair(place: str, number: int, shape: tuple[int, ...]) -> None:
        """Convolution and normalisation, one after the other in a list."""
        backbone.update(convolved(f"{place}{number}", shape) | normalised(f"{place}{number + 1}", shape[0]))

    pair("features.0.", 0, (32, 3, 3, 3))
    pair("features.1.conv.", 0, (32, 1, 3, 3))
    pair("features.1.conv.", 3, (16, 32, 1, 1))
    layer, inputs = 2, 16
    for outputs, count in ((24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)):
        for _ in range(count):
            pair(f"features.{layer}.conv.", 0, (6 * inputs, inputs, 1, 1))
            pair(f"features.{layer}.conv.", 3, (6 * inputs, 1, 3, 3))
            pair(f"features.{layer}.conv.", 6, (outputs, 6 * inputs, 1, 1))
            layer, inputs = layer + 1, outputs
    pair("features.18.", 0, (1280, 320, 1, 1))
    found = {
        f"{place}.model.{key}": shape for key, shape in backbone.items() for place in ("backbone", "lr_branch.backbone")
    }
    found |= {"lr_branch.se_block.fc.0.weight": (320, 1280), "lr_branch.se_block.fc.2.weight": (1280, 320)}
    for name, shape in {
        "lr_branch.conv_lr16x": (96, 1280, 5, 5), "lr_branch.conv_lr8x": (32, 96, 5, 5),
        "hr_branch.tohr_enc2x": (32, 16, 1, 1), "hr_branch.conv_enc2x": (32, 35, 3, 3),
        "hr_branch.tohr_enc4x": (32, 24, 1, 1), "hr_branch.conv_enc4x": (64, 64, 3, 3),
        "hr_branch.conv_hr4x.0": (64, 99, 3, 3), "hr_branch.conv_hr4x.1": (64, 64, 3, 3),
        "hr_branch.conv_hr4x.2": (32, 64, 3, 3), "hr_branch.conv_hr2x.0": (64, 64, 3, 3),
        "hr_branch.conv_hr2x.1": (32, 64, 3, 3), "hr_branch.conv_hr2x.2": (32, 32, 3, 3),
        "hr_branch.conv_hr2x.3": (32, 32, 3, 3), "hr_branch.conv_hr.0": (32, 35, 3, 3),
        "f_branch.conv_lr4x": (32, 32, 5, 5), "f_branch.conv_f2x": (32, 64, 3, 3), "f_branch.conv_f.0": (16, 35, 3, 3),
    }.items():  # fmt: skip
        found |= convolved(f"{name}.layers.0", shape, bias=True)
        found |= normalised(f"{name}.layers.1.bnorm", shape[0] // 2)
    for name, shape in {
        "lr_branch.conv_lr": (1, 32, 3, 3), "hr_branch.conv_hr.1": (1, 32, 1, 1), "f_branch.conv_f.1": (1, 16, 1, 1),
    }.items():  # fmt: skip
        found |= convolved(f"{name}.layers.0", shape, bias=True)
    return found


def test_modnet_takes_a_file_with_the_published_names() -> None:
    torch.manual_seed(1)
    state = {f"module.{key}": torch.rand(shape) for key, shape in modnet_as_published().items()}
    for key in state:  # the backbone stands there twice, and is one
        state[key] = state[key.replace("module.lr_branch.backbone.", "module.backbone.")]
    network = create("modnet")
    fill(network, state, Path("modnet.ckpt"), "modnet")
    ours = network.state_dict()
    assert len(ours) == len([key for key in state if not key.startswith("module.lr_branch.backbone.")])
    for ours_name, theirs in {
        "backbone.features.17.conv.3.running_var": "backbone.model.features.17.conv.7.running_var",
        "backbone.features.1.conv.1.weight": "backbone.model.features.1.conv.3.weight",
        "low.weigh.2.weight": "lr_branch.se_block.fc.2.weight",
        "high.at_half.3.1.bnorm.bias": "hr_branch.conv_hr2x.3.layers.1.bnorm.bias",
        "fusion.head.1.0.bias": "f_branch.conv_f.1.layers.0.bias",
    }.items():
        assert torch.equal(ours[ours_name], state[f"module.{theirs}"]), theirs


def test_half_of_the_channels_are_normalised_within_each_picture() -> None:
    layer = HalfNormalise(4).eval()
    features = torch.rand(2, 4, 8, 8) * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1)
    found = layer(features)
    torch.testing.assert_close(found[:, :2], features[:, :2], rtol=1e-4, atol=1e-4)  # by statistics of nothing yet
    torch.testing.assert_close(found[:, 2:].std(dim=(2, 3), correction=0), torch.ones(2, 2), rtol=1e-3, atol=1e-3)


def test_rvm_has_the_names_and_shapes_of_the_published_file() -> None:
    state = create_any("rvm_mobilenetv3").state_dict()
    shapes = {
        "backbone.features.0.0.weight": (16, 3, 3, 3),
        "backbone.features.1.block.0.0.weight": (16, 1, 3, 3),
        "backbone.features.4.block.2.fc1.bias": (24,),
        "backbone.features.13.block.2.fc2.weight": (672, 168, 1, 1),
        "backbone.features.16.1.running_mean": (960,),
        "aspp.aspp1.0.weight": (128, 960, 1, 1),
        "aspp.aspp2.1.weight": (128, 960, 1, 1),
        "decoder.decode4.gru.ih.0.weight": (128, 128, 3, 3),
        "decoder.decode3.conv.0.weight": (80, 171, 3, 3),
        "decoder.decode1.gru.hh.0.bias": (16,),
        "decoder.decode0.conv.4.weight": (16,),
        "project_mat.conv.weight": (4, 16, 1, 1),
        "project_seg.conv.bias": (1,),
        "refiner.box_filter.weight": (4, 1, 3, 3),
        "refiner.conv.6.weight": (4, 16, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert {rounded_quarter(channels) for channels in (72, 120, 480, 672, 960)} == {24, 32, 120, 168, 240}


def test_rvm_begins_with_zeros_and_remembers() -> None:
    torch.manual_seed(0)
    network = RobustVideoMatting().eval()
    picture = torch.rand(1, 3, 40, 72)
    with torch.no_grad():
        first = network(picture)
        by_zeros = network(picture, ZERO, ZERO, ZERO, ZERO, torch.ones(1))
        second = network(picture, *first[2:])
        small = network(picture, downsample_ratio=torch.tensor([0.5]))
    assert [tuple(each.shape[1:]) for each in first] == [
        (3, 40, 72), (1, 40, 72), (16, 20, 36), (20, 10, 18), (40, 5, 9), (64, 3, 5)]  # fmt: skip
    for one, other in zip(first, by_zeros):
        torch.testing.assert_close(one, other)
    assert not torch.equal(first[2], second[2])
    assert [tuple(each.shape[2:]) for each in small[:3]] == [(40, 72), (40, 72), (10, 18)]


def test_rvm_with_published_weights_answers_as_the_tensorflow_version_does(shared_folder: Path) -> None:
    """That version has no refinement at a ratio of 1: compared are the small picture's matte and all four states."""
    path = shared_folder / "models" / "rvm" / "rvm_mobilenetv3.onnx"
    network = RobustVideoMatting().eval()
    take_weights(network, onnx.load(path))
    found = cv2.imread(str(ROOT / "tests" / "pictures" / "astronaut.png"))
    assert found is not None
    picture = cv2.resize(found, (256, 144), interpolation=cv2.INTER_AREA)[None, ..., ::-1].astype(np.float32) / 255
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    states: list[torch.Tensor] = [ZERO] * 4
    for _ in range(3):
        feed = {f"r{number}i:0": state.numpy().transpose(0, 2, 3, 1) for number, state in enumerate(states, 1)}
        expected = dict(zip(names, session.run(names, {"src": picture, **feed})))
        with torch.no_grad():
            signals, _, states = network.small_signals(torch.tensor(picture.transpose(0, 3, 1, 2)), tuple(states))
        matte = signals[:, 3:].clamp(0, 1).numpy()
        assert 0.2 < matte.mean() < 0.6
        np.testing.assert_allclose(matte, expected["pha"].transpose(0, 3, 1, 2), atol=3e-3)
        for number, state in enumerate(states, 1):
            np.testing.assert_allclose(state.numpy(), expected[f"r{number}o"].transpose(0, 3, 1, 2), atol=1e-2)
