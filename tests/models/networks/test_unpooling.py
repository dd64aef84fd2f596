# SPDX-License-Identifier: GPL-2.0-or-later
"""SegNet's unpooling, written without the operator that ONNX lacks, equals PyTorch's own."""

import pytest
import torch
from torch.nn import functional

from background_filter.models.networks.segnet import pool, unpool


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 12), (9, 5), (1, 3)])
def test_it_equals_pytorch_s(height: int, width: int) -> None:
    features = functional.relu(torch.randn(2, 3, height, width))  # with windows that are zero everywhere
    pooled, indices = pool(features)
    values = torch.randn_like(pooled)
    expected = functional.max_unpool2d(values, indices, [2, 2], output_size=(height, width))
    torch.testing.assert_close(unpool(values, indices, features), expected)


def test_the_gradient_reaches_the_unpooled_values_once() -> None:
    features = torch.randn(1, 1, 4, 4)
    pooled, indices = pool(features)
    values = torch.ones_like(pooled, requires_grad=True)
    unpool(values, indices, features).sum().backward()
    assert values.grad is not None and torch.equal(values.grad, torch.ones_like(values))
