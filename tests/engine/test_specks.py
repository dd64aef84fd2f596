# SPDX-License-Identifier: GPL-2.0-or-later
"""Small islands and holes go; a raised hand and a second person stay, from their first mask on."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.specks import SpeckRemover

SIZE = (144, 256)


def person(scale: float = 1.0, at: tuple[int, int] = (120, 144)) -> NDArray[np.uint8]:
    """Head and shoulders, standing on the point ``at`` (x, y)."""
    mask = np.zeros(SIZE, np.uint8)
    x, y = at
    cv2.ellipse(mask, (x, y), (round(55 * scale), round(60 * scale)), 0, 180, 360, 255, -1)
    cv2.circle(mask, (x, y - round(78 * scale)), round(26 * scale), 255, -1)
    return mask


def with_blob(mask: NDArray[np.uint8], centre: tuple[int, int], radius: int, value: int = 255) -> NDArray[np.uint8]:
    return np.asarray(cv2.circle(mask.copy(), centre, radius, value, -1), np.uint8)


def test_an_island_goes_with_its_soft_rim_and_a_hole_closes() -> None:
    spotted = with_blob(with_blob(person(), (20, 30), 3), (120, 120), 2, 0)
    spotted = np.asarray(cv2.GaussianBlur(spotted, (3, 3), 0), np.uint8)
    clean = SpeckRemover().remove(spotted)
    assert clean[15:45, 5:40].max() < 64
    assert clean[118:123, 118:123].min() == 255
    rest = np.ones(SIZE, bool)
    rest[15:45, 5:40] = rest[114:127, 114:127] = False
    assert (clean == spotted)[rest].all()


def test_a_hole_in_a_haze_becomes_haze() -> None:
    hazy = with_blob(with_blob(person(), (220, 60), 24, 90), (220, 60), 2, 20)
    clean = SpeckRemover().remove(hazy)
    assert (clean[30:90, 190:250].max(), clean[60, 220]) == (90, 90)


@pytest.mark.parametrize("radius", [7, 9])
def test_a_raised_hand_that_hangs_on_nothing_appears_in_its_first_mask(radius: int) -> None:
    remover = SpeckRemover()
    remover.remove(person())
    waving = with_blob(person(), (215, 40), radius)
    assert (remover.remove(waving) == waving).all()


def test_a_second_person_far_away_stays_and_one_alone_is_never_too_small() -> None:
    two = np.maximum(person(), person(0.25, (225, 100)))
    assert (SpeckRemover().remove(two) == two).all()
    alone = person(0.1, (225, 100))
    assert (SpeckRemover().remove(alone) == alone).all()


def test_what_was_shown_stays_until_it_is_half_as_large() -> None:
    limit = 0.015 * np.count_nonzero(person())
    radii = {
        name: int(np.sqrt(share * limit / np.pi)) for name, share in (("large", 1.4), ("middle", 0.85), ("small", 0.3))
    }
    remover = SpeckRemover()
    assert remover.remove(with_blob(person(), (215, 40), radii["middle"]))[40, 215] == 0
    for size, shown in (("large", 255), ("middle", 255), ("middle", 255), ("small", 0), ("middle", 0)):
        assert remover.remove(with_blob(person(), (215, 40), radii[size]))[40, 215] == shown, size


def test_the_gap_between_arm_and_body_stays_and_so_does_what_the_border_cuts() -> None:
    akimbo = with_blob(person(), (150, 125), 7, 0)
    assert (SpeckRemover().remove(akimbo) == akimbo).all()
    notched = person()
    notched[-2:, 118:122] = 0
    assert (SpeckRemover().remove(notched) == notched).all()


def test_nobody_stays_nobody_and_another_size_is_no_trouble() -> None:
    remover = SpeckRemover()
    empty = np.zeros(SIZE, np.uint8)
    assert not remover.remove(empty).any()
    assert remover.remove(np.full((10, 12), 255, np.uint8)).all()
    assert not remover.remove(empty).any()
