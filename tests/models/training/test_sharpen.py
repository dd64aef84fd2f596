# SPDX-License-Identifier: GPL-2.0-or-later
"""Hesitant networks are made firmer, firm ones stay as they are, and the outline never moves."""

from dataclasses import replace

import pytest
import torch

from background_filter.models.training.sharpen import FACTORS, Sharpened, differences, sharpen
from background_filter.tests.models.training.chains import brightness_chain, people_samples


def test_a_hesitant_network_is_made_firmer_and_its_outline_stays() -> None:
    chain, samples = brightness_chain(), people_samples(4)
    hesitant = Sharpened(chain.network, 1 / 12)
    restored = sharpen(replace(chain, network=hesitant), samples)
    pictures = samples.pictures.float() / 255
    with torch.no_grad():
        before, after = hesitant(pictures), restored.network(pictures)
    factor = float(after.flatten()[0] / before.flatten()[0])
    assert factor in [pytest.approx(each) for each in FACTORS[1:]]
    assert torch.allclose(after, before * factor)
    assert ((before > 0) == (after > 0)).all()
    assert differences(restored.network, samples)[1.0] < 0.9 * differences(hesitant, samples)[1.0]


def test_a_firm_network_is_left_alone() -> None:
    chain, samples = brightness_chain(), people_samples(4)
    firm = replace(chain, network=Sharpened(chain.network, 100.0))
    assert sharpen(firm, samples) is firm
