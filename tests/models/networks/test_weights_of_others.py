# SPDX-License-Identifier: GPL-2.0-or-later
"""Files with torchvision's and U2-Net's parameter names load; what does not fit is refused by name."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from background_filter.models.networks import create, create_any
from background_filter.models.networks.backbones import BACKBONES, ResNet, build_backbone
from background_filter.models.tools.convert.torch_weights import renamed

State = dict[str, torch.Tensor]


def bottleneck_keys(prefix: str, first: bool) -> Iterator[str]:
    for number in (1, 2, 3):
        yield f"{prefix}.conv{number}.weight"
        yield from (f"{prefix}.bn{number}.{part}" for part in BATCH_NORM)
    if first:
        yield f"{prefix}.downsample.0.weight"
        yield from (f"{prefix}.downsample.1.{part}" for part in BATCH_NORM)


BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def test_resnet50_has_torchvision_s_names() -> None:
    expected = ["conv1.weight", *(f"bn1.{part}" for part in BATCH_NORM)]
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            expected += bottleneck_keys(f"layer{stage}.{block}", block == 0)
    assert sorted(build_backbone("resnet50").state_dict()) == sorted(expected)


def test_resnet18_has_torchvision_s_names_and_shapes() -> None:
    state = build_backbone("resnet18").state_dict()
    assert not any(key.startswith("layer1.0.downsample") for key in state)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    assert len(state) == 120  # of 122 in torchvision's file, two being fc's


def test_mobilenet_v2_has_torchvision_s_names_and_shapes() -> None:
    state = build_backbone("mobilenet_v2").state_dict()
    shapes = {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.0.1.running_var": (32,),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.1.conv.2.bias": (16,),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.2.conv.2.weight": (24, 96, 1, 1),
        "features.17.conv.3.weight": (320,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert len(state) == 314 - 8  # torchvision's file without features.18 (6) and the classifier (2)


def torchvision_file(name: str, path: Path) -> State:
    """A file as torchvision would have written it, random weights."""
    state = {key: torch.rand_like(weight.float()) for key, weight in build_backbone(name).state_dict().items()}
    state = {key: weight for key, weight in state.items() if not key.endswith("num_batches_tracked")}
    beyond = {"features.18.0.weight": (2, 2), "classifier.1.weight": (2, 2)} if "mobile" in name else {"fc.bias": (2,)}
    torch.save(state | {key: torch.rand(shape) for key, shape in beyond.items()}, path)
    return state


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_torchvision_file_loads_whatever_the_dilation(name: str, stride: int, tmp_path: Path) -> None:
    state = torchvision_file(name, tmp_path / "weights.pth")
    backbone = build_backbone(name, stride)
    backbone.load_torchvision(tmp_path / "weights.pth")
    loaded = backbone.state_dict()
    assert all(torch.equal(loaded[key], weight) for key, weight in state.items())


@pytest.mark.parametrize("name", ["bisenet", "deeplabv3", "deeplabv3plus", "segnet"])
def test_the_networks_with_a_backbone_take_it(name: str, tmp_path: Path) -> None:
    network: Any = create(name)
    state = torchvision_file(network.backbone.name, tmp_path / "weights.pth")
    network.backbone.load_torchvision(tmp_path / "weights.pth")
    key = next(iter(state))
    assert torch.equal(network.backbone.state_dict()[key], state[key])


def change_shape(state: State) -> None:
    state["layer3.0.conv1.weight"] = torch.zeros(1)


def remove(state: State) -> None:
    del state["layer3.0.conv1.weight"]


def add(state: State) -> None:
    state["layer5.0.conv1.weight"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_shape, r"layer3.0.conv1.weight should be \[256, 128, 3, 3\], found \[1\]"),
        (remove, "layer3.0.conv1.weight is missing"),
        (add, "which has no layer5.0.conv1.weight"),
    ],
)
def test_a_file_of_something_else_is_refused_and_changes_nothing(change, message: str, tmp_path: Path) -> None:
    path, backbone = tmp_path / "weights.pth", ResNet("resnet18")
    state = torchvision_file("resnet18", path)
    change(state)
    torch.save(state, path)
    before = backbone.conv1.weight.clone()
    with pytest.raises(ValueError, match=f"expected the weights of torchvision's resnet18.*{message}"):
        backbone.load_torchvision(path)
    assert torch.equal(backbone.conv1.weight, before)


class Attack:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_is_no_file_of_weights_is_refused_and_nothing_in_it_runs(tmp_path: Path) -> None:
    backbone, path, trap = build_backbone("resnet18"), tmp_path / "weights.pth", tmp_path / "trap"
    with pytest.raises(ValueError, match=r"weights\.pth.*can't be read"):
        backbone.load_torchvision(path)
    path.write_bytes(b"not weights")
    with pytest.raises(ValueError, match="can't be read"):
        backbone.load_torchvision(path)
    torch.save({"conv1.weight": 1}, path)
    with pytest.raises(ValueError, match="named tensors"):
        backbone.load_torchvision(path)
    for write in (
        lambda: torch.save(Attack(trap), path),
        lambda: path.write_bytes(pickle.dumps(Attack(trap), protocol=2)),
    ):
        write()
        with pytest.raises(ValueError, match="can't be read"):
            backbone.load_torchvision(path)
    assert not trap.exists()


@pytest.mark.parametrize("name", BACKBONES)
def test_dilated_stages_keep_their_resolution(name: str) -> None:
    for stride in (8, 16, 32):
        maps = build_backbone(name, stride).to("meta")(torch.zeros(2, 3, 96, 160, device="meta"))
        assert [96 // each.shape[-2] for each in maps] == [min(step, stride) for step in (4, 8, 16, 32)]
    dilations = {layer.dilation[0] for layer in build_backbone(name, 8).modules() if isinstance(layer, nn.Conv2d)}
    assert dilations == {1, 2, 4}


def test_torchvision_s_deeplabv3_has_its_names_and_shapes() -> None:
    network: Any = create_any("deeplabv3_mnv3")
    shapes = {
        "backbone.0.0.weight": (16, 3, 3, 3),
        "backbone.4.block.2.fc1.weight": (24, 72, 1, 1),
        "backbone.16.1.running_var": (960,),
        "classifier.0.convs.0.0.weight": (256, 960, 1, 1),
        "classifier.0.convs.3.0.weight": (256, 960, 3, 3),
        "classifier.0.convs.4.1.weight": (256, 960, 1, 1),
        "classifier.0.convs.4.2.bias": (256,),
        "classifier.0.project.0.weight": (256, 1280, 1, 1),
        "classifier.1.weight": (256, 256, 3, 3),
        "classifier.2.running_mean": (256,),
        "classifier.4.bias": (21,),
        "aux_classifier.0.weight": (10, 40, 3, 3),
        "aux_classifier.1.weight": (10,),
        "aux_classifier.4.weight": (21, 10, 1, 1),
    }
    published = {name: torch.empty(shape) for name, shape in shapes.items()}
    state = network.state_dict()
    for name, tensor in renamed(published, network.published_names).items():
        assert state[name].shape == tensor.shape, name
    dilations = [layer.dilation[0] for layer in network.pyramid.modules() if isinstance(layer, nn.Conv2d)]
    assert dilations == [1, 12, 24, 36, 1, 1]


def test_u2net_has_the_names_and_shapes_of_the_published_files() -> None:
    state = create("u2net").state_dict()
    shapes = {
        "stage1.rebnconvin.conv_s1.weight": (64, 3, 3, 3),
        "stage1.rebnconvin.conv_s1.bias": (64,),
        "stage1.rebnconv7.bn_s1.running_var": (32,),
        "stage1.rebnconv6d.conv_s1.weight": (32, 64, 3, 3),
        "stage2.rebnconv1d.conv_s1.weight": (128, 64, 3, 3),
        "stage5.rebnconv4.conv_s1.weight": (256, 256, 3, 3),
        "stage5d.rebnconvin.conv_s1.weight": (512, 1024, 3, 3),
        "stage1d.rebnconv1.conv_s1.weight": (16, 64, 3, 3),
        "side1.weight": (1, 64, 3, 3),
        "side6.bias": (1,),
        "outconv.weight": (1, 6, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    rebnconvs = 2 * (14 + 12 + 10 + 8 + 8) + 8  # RSU-7 to RSU-4F twice, and stage 6
    assert len(state) == 7 * rebnconvs + 7 * 2
    assert {key.split(".")[0] for key in state} == (
        {f"stage{number}" for number in range(1, 7)}
        | {f"stage{number}d" for number in range(1, 6)}
        | {f"side{number}" for number in range(1, 7)}
        | {"outconv"}
    )
