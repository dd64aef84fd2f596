# SPDX-License-Identifier: GPL-2.0-or-later
"""SINet and ExtremeC3Net: how they are fed, what makes them what they are, and the names of their weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from background_filter.filters.engine.prepare import make_preparer
from background_filter.models.catalog import load_catalog
from background_filter.models.networks import CONVERTIBLE, create_any
from background_filter.models.networks.blocks import PortraitInput
from background_filter.models.networks.extremec3 import dilated_view
from background_filter.models.networks.sinet import shuffle
from background_filter.models.tools.convert.torch_weights import renamed


@pytest.mark.parametrize("entry", ["sinet_224", "sinet_320", "extremec3"])
def test_the_input_is_what_the_catalogue_says_of_the_published_files(entry: str) -> None:
    spec = load_catalog()[entry].input
    frame = np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 4), np.uint8)
    expected = torch.from_numpy(np.array(make_preparer(spec, np.float32).fill(frame)))
    picture = torch.from_numpy(frame[None, ..., :3].transpose(0, 3, 1, 2) / np.float32(255))
    torch.testing.assert_close(PortraitInput()(picture), expected, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_a_file_with_our_names_is_left_as_it_is(name: str) -> None:
    with torch.device("meta"):
        network = create_any(name)
    assert list(renamed(network.state_dict(), network.published_names)) == list(network.state_dict())


def test_the_channels_of_both_halves_take_turns() -> None:
    features = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 3, 5)
    assert shuffle(features)[1, :, 2, 4].tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("dilation", [2, 3, 8])
def test_what_a_dilated_convolution_skips_is_gathered_before(dilation: int) -> None:
    """Every pixel of the square that the view spans counts; without the gathering 9 of them would."""
    view = dilated_view(1, 1, dilation).eval()
    for layer in view.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    side = 4 * dilation - 1  # the dilated kernel's 2 * dilation + 1, and half of what is gathered on both sides
    picture = torch.zeros(1, 1, side + 4, side + 4, requires_grad=True)
    centre = side // 2 + 2
    view(picture)[0, 0, centre, centre].backward()
    assert picture.grad is not None
    seen = picture.grad[0, 0] > 0
    assert seen.sum() == side**2
    assert seen[2:-2, 2:-2].all()


def test_detail_counts_only_where_the_coarse_logits_are_unsure() -> None:
    network: Any = create_any("sinet").eval()
    sure = torch.tensor([-20.0, 20.0])
    with torch.no_grad():
        network.coarse_head.weight.zero_()  # so that the normalisation's bias is all that the coarse logits are
        pictures = torch.rand(2, 3, 64, 64)
        unsure_answers = network(pictures)
        network.normalise_quarter.bias.copy_(sure)
        sure_answers = network(pictures)
    assert (unsure_answers[0] - unsure_answers[1]).abs().max() > 1e-6
    torch.testing.assert_close(sure_answers[0], sure_answers[1], atol=1e-6, rtol=0)
