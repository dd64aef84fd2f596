# SPDX-License-Identifier: GPL-2.0-or-later
"""``models convert`` on whole networks that remember: TorchScript and exported programs with several inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from background_filter.filters.cli import commands
from background_filter.filters.engine.guess import guess_ports

Convert = Callable[..., tuple[int, str]]
HEIGHT, WIDTH, CHANNELS = 32, 64, 3


@pytest.fixture
def convert(capsys: pytest.CaptureFixture[str]) -> Convert:
    def run(*arguments: object) -> tuple[int, str]:
        code = commands.run(["models", "--here", "convert", "--trust", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


class Remembers(nn.Module):
    """Half of each answer is that of the frame before."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.mask = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, picture: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        after = torch.relu(self.see(picture)) + 0.5 * before
        return 9 * self.mask(after), after


class TwoMemories(Remembers):
    """With two states that may be left out, a number and a switch, as Robust Video Matting's TorchScript has it."""

    def __init__(self, first: float = 0.0) -> None:
        super().__init__()
        self.first = first

    def forward(  # type: ignore[override]
        self,
        src: torch.Tensor,
        r1: torch.Tensor | None = None,
        r2: torch.Tensor | None = None,
        strength: float = 0.5,
        is_inverted: bool = False,
    ) -> list[torch.Tensor]:
        seen = torch.relu(self.see(src))
        if r1 is None:
            r1 = torch.full_like(seen, self.first)
        if r2 is None:
            r2 = torch.zeros_like(seen[:, :, ::2, ::2])
        one = seen + strength * r1
        two = nn.functional.avg_pool2d(one, 2) + 0.25 * r2
        mask = 9 * self.mask(one) + two.mean()
        return [src, -mask if is_inverted else mask, one, two]


class TwoPictures(nn.Module):
    """Takes the empty room as well."""

    def forward(self, src: torch.Tensor, bgr: torch.Tensor) -> torch.Tensor:
        return (src - bgr).abs().sum(1, keepdim=True)


class Listed(nn.Module):
    """Takes its memory as a list, which TorchScript can't leave out."""

    def forward(self, src: torch.Tensor, states: list[torch.Tensor]) -> torch.Tensor:
        return src.sum(1, keepdim=True) + states[0]


class Nested(Remembers):
    """Takes its memory in a pair, and a number."""

    def forward(  # type: ignore[override]
        self, picture: torch.Tensor, strength: float, states: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        after = torch.relu(self.see(picture)) + strength * states[0]
        return 9 * self.mask(after), (after, states[1] * 0.5 + after.mean())


class Shrinks(Remembers):
    """Gives less than it takes."""

    def forward(self, picture: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask, after = super().forward(picture, before)
        return mask, after[:, :, ::2]


PICTURE, STATE = torch.zeros(1, 3, HEIGHT, WIDTH), torch.zeros(1, CHANNELS, HEIGHT, WIDTH)


def save_script(path: Path, module: nn.Module, *examples: torch.Tensor) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace(module.eval(), examples) if examples else torch.jit.script(module.eval())
        made.save(str(path))
    return path


def save_program(path: Path, module: nn.Module, *examples: object) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module.eval(), examples), str(path))
    return path


def frames(count: int = 3) -> list[torch.Tensor]:
    torch.manual_seed(5)
    return list(torch.rand(count, 1, 3, HEIGHT, WIDTH))


def run_onnx(path: Path) -> list[np.ndarray]:
    """The masks of three frames, each with what is remembered of the one before, as the engine does it."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ports = guess_ports(path.name, session, {})
    names = [port.name for port in session.get_outputs()]
    states = {state.input: state.start for state in ports.states}
    masks = []
    for frame in frames():
        answers = dict(zip(names, session.run(names, {ports.input_name: frame.numpy(), **states})))
        states = {state.input: answers[state.output] for state in ports.states}
        masks.append(answers[ports.output_name])
    return masks


def assert_remembered(found: list[np.ndarray], expected: list[torch.Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4)
    assert np.abs(found[1] - found[0]).max() > 0.1


@torch.no_grad()
def test_torchscript_whose_states_may_be_left_out(tmp_path: Path, convert: Convert) -> None:
    module = TwoMemories()
    path, out = save_script(tmp_path / "rvm.torchscript", module), tmp_path / "rvm.onnx"
    code, said = convert(path, out, "--size", f"{WIDTH}x{HEIGHT}")
    assert code == 0, said
    assert "r1_in float [1, 3, 32, 64], r2_in float [1, 3, 16, 32]" in said
    assert "r1_out" in said and "pixels flip" in said
    expected, states = [], (None, None)
    for frame in frames():
        _, mask, *states = module(frame, *states)
        expected.append(mask)
    assert_remembered(run_onnx(out), expected)


@torch.no_grad()
def test_torchscript_whose_state_must_be_given(tmp_path: Path, convert: Convert) -> None:
    module = Remembers()
    path, out = save_script(tmp_path / "net.torchscript", module, PICTURE, STATE), tmp_path / "net.onnx"
    size = ("--size", f"{WIDTH}x{HEIGHT}")
    code, said = convert(path, out, *size)
    assert code == 1
    assert "takes before besides the picture" in said and "--input before=1x16x36x64" in said
    code, said = convert(path, out, *size, "--input", f"before=1x{CHANNELS}x{HEIGHT}x{WIDTH}")
    assert code == 0, said
    expected, state = [], STATE
    for frame in frames():
        mask, state = module(frame, state)
        expected.append(mask)
    assert_remembered(run_onnx(out), expected)


@torch.no_grad()
def test_an_exported_program_says_all_shapes_itself(tmp_path: Path, convert: Convert) -> None:
    module = Nested()
    states = (STATE, torch.zeros(1, 1, 1, 1))
    path, out = save_program(tmp_path / "net.pt2", module, PICTURE, 0.5, states), tmp_path / "net.onnx"
    code, said = convert(path, out)
    assert code == 0, said
    expected = []
    for frame in frames():
        mask, states = module(frame, 0.5, states)
        expected.append(mask)
    assert_remembered(run_onnx(out), expected)


@pytest.mark.parametrize(
    ("module", "examples", "more", "words"),
    [
        (TwoPictures(), (PICTURE, PICTURE), ["--input", "bgr=1x3x32x64"], "can't be known"),
        (Shrinks(), (PICTURE, STATE), ["--input", "before=1x3x32x64"], "gives what it remembers last"),
        (Remembers(), (PICTURE, STATE), ["--input", "before=1x5x32x64"], "does not take [1, 3, 32, 64], [1, 5,"),
        (Remembers(), (PICTURE, STATE), ["--input", "after=1x3x32x64"], "no other input after. It has: before"),
        (Remembers(), (PICTURE, STATE), ["--input", "before=big"], "expected NAME=SHAPE"),
        (TwoMemories(first=1.0), (), [], "(r1, r2) does not begin with zeros"),
        (Listed(), (), [], "takes states (List[Tensor]), which is no tensor"),
    ],
)  # fmt: skip
def test_what_can_not_be_known_of_torchscript_is_said(
    module: nn.Module, examples: tuple[torch.Tensor, ...], more: list[str], words: str, tmp_path: Path, convert: Convert
) -> None:
    path, out = save_script(tmp_path / "net.torchscript", module, *examples), tmp_path / "net.onnx"
    code, said = convert(path, out, "--size", f"{WIDTH}x{HEIGHT}", *more)
    assert code in (1, 2)
    assert words in said, said
    assert not out.exists()


def test_what_can_not_be_known_of_a_program_is_said(tmp_path: Path, convert: Convert) -> None:
    path, out = save_program(tmp_path / "net.pt2", TwoPictures(), PICTURE, PICTURE), tmp_path / "net.onnx"
    code, said = convert(path, out)
    assert code == 1 and "takes bgr [1, 3, 32, 64] besides the picture" in said, said
    code, said = convert(path, out, "--input", "bgr=1x3x32x64")
    assert code == 2 and "--input is for TorchScript" in said
    code, said = convert(save_program(tmp_path / "one.pt2", Remembers(), PICTURE, STATE), out, "--size", "96x32")
    assert code == 1 and "does not take [1, 3, 32, 96]" in said, said
    assert not out.exists()
