# SPDX-License-Identifier: GPL-2.0-or-later
"""Batches of frames: their form, what teachers add to their targets, and the held-out pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training.batches import FrameBatches, laid_over, validation_batch
from background_filter.models.training.config import DistillSection, FramesSection
from background_filter.models.training.frames import KINDS
from background_filter.models.training.pack import Pack
from background_filter.models.training.pictures import Alpha, Picture
from background_filter.tests.models.training.test_frames import SIZE, make_pack


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return Pack(make_pack(tmp_path_factory.mktemp("batches")))


def sees_people_everywhere(picture_rgb: Picture) -> Alpha:
    assert picture_rgb.flags.c_contiguous
    return np.ones(picture_rgb.shape[:2], np.float32)


def first_targets(packed: Pack, kind: str, weight: float = 0.4, mixed: float = 0.0) -> torch.Tensor:
    """The targets of frames of one kind, of which that teacher has seen what it is shown."""
    section = DistillSection(teachers=["someone"], weight=weight, mixed=mixed)
    shares = FramesSection.model_validate({each: float(each == kind) for each in KINDS[:-1]})
    _, targets = next(iter(FrameBatches(packed, shares, SIZE, 12, 3, section, sees_people_everywhere)))
    return targets


def test_the_same_seed_makes_the_same_frames_and_another_does_not(packed: Pack) -> None:
    def first(seed: int | list[int]) -> torch.Tensor:
        pictures, targets = next(iter(FrameBatches(packed, FramesSection(), SIZE, 6, seed)))
        assert pictures.dtype == targets.dtype == torch.uint8
        assert pictures.shape == (6, 3, 36, 64)
        assert targets.shape == (6, 1, 36, 64)
        return torch.cat([pictures, targets], 1)

    assert torch.equal(first([1, 0, 0]), first([1, 0, 0]))
    assert not torch.equal(first([1, 0, 0]), first([1, 0, 1]))


def test_batches_are_rgb(packed: Pack) -> None:
    pictures, targets = validation_batch(packed, SIZE)
    assert len(pictures) == 2 * sum(entry.validation for entry in packed.entries) > 0
    assert torch.equal(pictures[:, 0], targets[:, 0])
    assert len(validation_batch(packed, SIZE, 3)[0]) == 2


@pytest.mark.parametrize("kind", ["crop", "plain", "inset", "grid"])
def test_teachers_have_a_share_of_the_target_but_not_the_last_word(packed: Pack, kind: str) -> None:
    targets = first_targets(packed, kind)
    assert targets.min() == round(0.4 * 255)
    assert targets.max() == 255
    without = first_targets(packed, kind, weight=0.0)
    assert without.min() == 0
    assert torch.equal(targets >= 128, without >= 43)  # .4 + .6 * alpha is above one half from alpha 1/6 on


def test_what_was_put_together_needs_no_teacher(packed: Pack) -> None:
    assert first_targets(packed, "empty").max() == 0
    assert first_targets(packed, "composite").min() == 0


def test_of_two_frames_in_one_only_the_teachers_know(packed: Pack) -> None:
    for kind in KINDS:
        assert first_targets(packed, kind, mixed=1.0).min() == 255


def test_two_frames_in_one_are_those_two(packed: Pack) -> None:
    rng = np.random.default_rng(1)
    dark, light = np.full((36, 64, 3), 40, np.uint8), np.full((36, 64, 3), 200, np.uint8)
    shares, whole = [], 0
    for _ in range(200):
        mixed = laid_over(dark, light, rng)
        assert (dark == 40).all()
        inside = (mixed != 40).all(axis=2)
        assert len(np.unique(mixed[inside])) <= 1, "one rectangle, everywhere alike"
        shares.append(inside.mean())
        whole += bool((mixed[inside] == 200).all())
    assert max(shares) > 0.5
    assert 60 < whole < 140


def test_without_held_out_pictures_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no held-out pictures"):
        validation_batch(Pack(make_pack(tmp_path, rooms=0, val_every=1000000)), SIZE)
