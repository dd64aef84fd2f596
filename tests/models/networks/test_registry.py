# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks are made by name; what is unknown is refused with what is known; nothing heavy is imported early."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from background_filter.models.catalog import load_catalog
from background_filter.models.networks import CONVERTIBLE, NETWORKS, architecture_of, create

ROOT = Path(__file__).resolve().parents[3]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown network 'bisnet'; known are .*bisenet, deeplabv3"):
        create("bisnet")


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"bisenet has no option 'bakbone'; it has backbone, channels, classes"):
        create("bisenet", bakbone="resnet34")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bisenet", {"backbone": "vgg16"}, "unknown backbone 'vgg16'; known are resnet18"),
        ("segnet", {"backbone": "mobilenet_v2"}, "unknown ResNet 'mobilenet_v2'; known are resnet18"),
        ("deeplabv3", {"backbone_stride": 4}, "8, 16 or 32, found 4"),
        ("unet_light", {"channels": (16, 32)}, "five numbers"),
        ("segresnet", {"filters": 12}, "multiple of 8"),
        ("segresnet", {"blocks_up": (1, 1)}, "four and three"),
        ("u2net", {"outer": (64,)}, "six numbers"),
        ("sinet", {"channels": (12, 16, 48)}, "five numbers"),
        ("sinet", {"channels": (12, 15, 48, 48, 96)}, "all but the first even"),
        ("extremec3", {"channels": (24,)}, "three numbers"),
    ],
)
def test_values_that_can_not_be_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create(name, **options)


def test_options_replace_the_defaults_of_the_entry() -> None:
    deeplab: Any = create("deeplabv3", backbone="resnet18")
    bisenet: Any = create("bisenet", backbone="mobilenet_v2")
    assert (deeplab.backbone.name, bisenet.backbone.name) == ("resnet18", "mobilenet_v2")


def test_lists_from_a_configuration_file_do_as_tuples() -> None:
    assert create("segresnet", blocks_down=[1, 1, 1, 1], blocks_up=[1, 1, 1]).output_stride == 1


def test_each_entry_says_what_it_is_and_where_it_comes_from() -> None:
    for architecture in NETWORKS.values():
        assert "arXiv:" in architecture.paper and architecture.summary
        assert set(architecture.options) <= set(architecture.known_options())


def test_pictures_are_normalised_inside_and_the_constants_are_no_weights() -> None:
    network = create("unet_light")
    picture = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) + torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    torch.testing.assert_close(network.normalise(picture), torch.ones(1, 3, 1, 1))
    assert dict(network.named_buffers())["normalise.mean"].shape == (1, 3, 1, 1)
    assert not any(key.startswith("normalise") for key in network.state_dict())


def test_a_picture_without_three_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[N,3,H,W\], found \[1, 4, 64, 64\]"):
        create("unet_light")(torch.rand(1, 4, 64, 64))


def test_importing_the_registry_imports_neither_torch_nor_monai() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import obs_background_filter; "
        "import background_filter.models.networks as networks; print('torch' in sys.modules); "
        "networks.create('unet_light'); print('monai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(ROOT)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_architectures_name_models_of_the_catalogue_each_once() -> None:
    named = [model for architecture in CONVERTIBLE.values() for model in architecture.models]
    assert len(named) == len(set(named)) and set(named) <= set(load_catalog())
    assert architecture_of("sinet_224") == "sinet" and architecture_of("person_fast_256x144") is None
