# SPDX-License-Identifier: GPL-2.0-or-later
"""Mixing weights: their mean by share, the size of the first, and words for what can't be mixed."""

from pathlib import Path

import pytest
import torch

from background_filter.filters.cli.errors import CommandError
from background_filter.models import networks
from background_filter.models.training import mix
from background_filter.models.training.checkpoint import restore
from background_filter.tests.models.training.people import step

OPTIONS = {"channels": [16, 16, 16, 16], "dilations": [1], "eighth_blocks": 1}


def checkpoint(path: Path, value: float, width: int = 64, name: str = "person_unet") -> Path:
    """A network all of whose weights have one value."""
    options = OPTIONS if name == "person_unet" else {}
    average = {
        key: torch.full_like(weights, value) for key, weights in networks.create(name, **options).state_dict().items()
    }
    architecture = {"name": name, "options": options, "width": width, "height": 32}
    torch.save({"average": average, "architecture": architecture}, path)
    return path


def test_weights_are_mixed_by_share(tmp_path: Path) -> None:
    tuned, start = checkpoint(tmp_path / "tuned.pt", 3.0, width=96), checkpoint(tmp_path / "start.pt", 1.0)
    for share, value in ((0.75, 2.5), (0.0, 1.0), (1.0, 3.0)):
        assert step(mix, tuned, start, "--share", share, "--out", tmp_path / "mixed.pt") == 0
        restored = restore(tmp_path / "mixed.pt")
        assert (restored.width, restored.height) == (96, 32)
        assert all((weights == value).all() for weights in restored.network.parameters())
        assert all(
            bool((buffer == (3 if name.endswith("num_batches_tracked") else value)).all())
            for name, buffer in restored.network.named_buffers()
            if "running" in name or "num_batches" in name
        )


def test_what_can_not_be_mixed_is_said(tmp_path: Path) -> None:
    ours = checkpoint(tmp_path / "ours.pt", 1.0)
    other = checkpoint(tmp_path / "other.pt", 1.0, name="sinet")
    with pytest.raises(CommandError, match=r"Only networks that are alike can be mixed: .*unet.* is not .*sinet"):
        step(mix, ours, other, "--out", tmp_path / "mixed.pt")
    with pytest.raises(CommandError, match="expected a number from 0 to 1"):
        step(mix, ours, ours, "--share", 1.5, "--out", tmp_path / "mixed.pt")
    assert not (tmp_path / "mixed.pt").exists()
