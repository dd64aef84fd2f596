# SPDX-License-Identifier: GPL-2.0-or-later
"""What every network of the registry must do: fit its interface, learn, and leave PyTorch unchanged by the export."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]
from torch.nn import functional

from background_filter.models.networks import NETWORKS, create
from background_filter.models.networks.blocks import MaskNetwork
from background_filter.tests.models.networks.examples import discs, settle, small

every = pytest.mark.parametrize("name", NETWORKS)
OPSET = 17


def strides(network: MaskNetwork) -> tuple[int, int]:
    stride, divisor = network.output_stride, network.divisor
    assert stride in (1, 2, 4, 8) and divisor % stride == 0
    return stride, divisor


@every
def test_it_returns_one_tensor_of_logits_at_its_own_size_and_at_another(name: str) -> None:
    network, architecture = create(name).eval(), NETWORKS[name]
    stride, divisor = strides(network)
    assert architecture.width % divisor == 0 and architecture.height % divisor == 0
    for width, height in [(architecture.width, architecture.height), (96, 48), (64, 80)]:
        with torch.device("meta"):
            picture = torch.zeros(2, 3, height, width)
        logits = network.to("meta")(picture)
        assert logits.shape == (2, 1, height // stride, width // stride)


@every
def test_frames_of_the_engine_fit(name: str) -> None:
    assert 256 % create(name).divisor == 0 and 144 % create(name).divisor == 0


@every
def test_in_training_it_returns_a_list_and_every_parameter_gets_a_gradient(name: str) -> None:
    network = create(name).train()
    stride, _ = strides(network)
    outputs = network(torch.rand(2, 3, 64, 96))
    assert isinstance(outputs, list) and outputs[0].shape == (2, 1, 64 // stride, 96 // stride)
    assert all(output.shape[:2] == (2, 1) for output in outputs)
    torch.stack([output.square().mean() for output in outputs]).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@every
def test_a_size_that_does_not_divide_is_refused_with_one_that_does(name: str) -> None:
    network = create(name).eval()
    _, divisor = strides(network)
    if divisor == 1:
        assert network(torch.rand(1, 3, 37, 51)).shape == (1, 1, 37, 51)
        return
    with pytest.raises(ValueError, match=rf"multiples of {divisor}, found 97x64; choose for example 96x64"):
        network(torch.rand(1, 3, 64, 97))


@every
def test_it_learns_four_pictures_by_heart(name: str) -> None:
    network = small(name)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.5  # statistics follow within the few steps there are
    pictures, masks = discs()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    scores: list[float] = []
    for step in range(1, 81):
        train_step(network.train(), optimiser, pictures, masks)
        if step % 5 == 0:
            scores.append(iou(network.eval(), pictures, masks))
            if scores[-1] > 0.9:
                return
    pytest.fail(f"IoU after every fifth step: {[round(score, 2) for score in scores]}")


def train_step(
    network: nn.Module, optimiser: torch.optim.Optimizer, pictures: torch.Tensor, masks: torch.Tensor
) -> None:
    loss = torch.zeros(())
    for output in network(pictures):
        target = functional.adaptive_avg_pool2d(masks, output.shape[-2:])
        loss = loss + functional.binary_cross_entropy_with_logits(output, target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


@torch.no_grad()
def iou(network: nn.Module, pictures: torch.Tensor, masks: torch.Tensor) -> float:
    logits = functional.interpolate(network(pictures), masks.shape[-2:], mode="bilinear")
    seen, true = logits > 0, masks > 0.5
    return ((seen & true).sum() / (seen | true).sum()).item()


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning")
@every
def test_the_exported_file_computes_the_same(name: str, tmp_path: Path) -> None:
    network, path = small(name), tmp_path / "network.onnx"
    pictures = torch.rand(3, 3, 48, 80)
    settle(network, pictures)
    with warnings.catch_warnings():
        if name == "segresnet":  # PyTorch's own group normalisation looks at the batch size while it is traced
            warnings.filterwarnings("ignore", category=TracerWarning, module=r"torch\.nn\.functional")
        torch.onnx.export(
            network, (pictures[:1],), str(path), opset_version=OPSET, dynamo=False,
            input_names=["picture"], output_names=["logits"],
        )  # fmt: skip
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain for entry in model.opset_import} == {""}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"picture": pictures[1:2].numpy()})[0]
    with torch.no_grad():
        expected = network(pictures[1:2]).numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-3)
