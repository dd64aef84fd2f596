# SPDX-License-Identifier: GPL-2.0-or-later
"""An earlier mask is carried to where its person is now, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.carry import MAX_AGE_S, Carrier, Reference
from background_filter.tests.engine.moving import FRAME_MS, FRAME_NS, mad, scene

LATE = 6  # frames that the network takes


def run(lefts_px: list[float]) -> tuple[list[float], list[float]]:
    """The errors of carried and of held masks in each frame of a person at these places, with a slow network."""
    carrier, pictures = Carrier(), [scene(left_px, number) for number, left_px in enumerate(lefts_px)]
    carried_errors, held_errors = [], []
    for number, (alpha, frame_rgba) in enumerate(pictures):
        known = max((number // LATE - 1) * LATE, 0)
        held, known_rgba = pictures[known]
        if number % LATE == 0:
            carrier.refer(Reference(held, known_rgba, known * FRAME_NS))
        carried = carrier.carried(frame_rgba, number * FRAME_NS)
        assert carried is not None
        carried_errors.append(mad(carried, alpha))
        held_errors.append(mad(held, alpha))
    return carried_errors, held_errors


@pytest.mark.parametrize("step_px", [1.0, 4.0])
def test_who_moves_evenly_is_followed(step_px: float) -> None:
    carried, held = run([20 + step_px * number for number in range(28)])
    assert np.mean(carried) < 0.1 * np.mean(held)


def test_who_turns_is_followed() -> None:
    carried, held = run([70 - abs(number % 20 - 10) * 4.0 for number in range(40)])
    assert np.mean(carried) < 0.15 * np.mean(held)


def test_who_stands_still_stays() -> None:
    carried, _ = run([70.0] * 14)
    assert max(carried) < 0.003


def test_ahead_of_the_frame() -> None:
    carrier = Carrier()
    for number in range(3):
        alpha, frame_rgba = scene(60 + 4 * number, number)
        if number == 0:
            carrier.refer(Reference(alpha, frame_rgba, 0))
        ahead = carrier.carried(frame_rgba, number * FRAME_NS, 2 * FRAME_MS)
    later, _ = scene(60 + 4 * 4)
    assert ahead is not None and mad(ahead, later) < 0.15 * mad(alpha, later)


def test_a_mask_of_half_the_size_is_carried_alike() -> None:
    carrier = Carrier()
    (alpha, frame_rgba), (later, later_rgba) = scene(60), scene(66)
    carrier.refer(Reference(alpha[::2, ::2], frame_rgba, 0))
    carried = carrier.carried(later_rgba, FRAME_NS)
    assert carried is not None and mad(carried, later[::2, ::2]) < 0.2 * mad(alpha, later)


def test_nothing_is_carried_too_far_or_to_another_picture() -> None:
    carrier = Carrier()
    alpha, frame_rgba = scene(60)
    assert carrier.carried(frame_rgba, FRAME_NS) is None
    carrier.refer(Reference(alpha, frame_rgba, 10**9))
    assert carrier.carried(frame_rgba, 10**9 + FRAME_NS) is not None
    assert carrier.carried(frame_rgba, 10**9 + int(MAX_AGE_S * 1e9) + 1) is None
    assert carrier.carried(frame_rgba, 10**9 - 1) is None
    assert carrier.carried(frame_rgba[::2, ::2].copy(), 10**9 + FRAME_NS) is None
    assert carrier.carried(255 - frame_rgba, 10**9 + FRAME_NS) is None


def test_nobody_is_carried_nowhere() -> None:
    carrier = Carrier()
    (_, frame_rgba), (_, later_rgba) = scene(60), scene(66)
    carrier.refer(Reference(np.zeros(frame_rgba.shape[:2], np.uint8), frame_rgba, 0))
    carried: NDArray[np.uint8] | None = carrier.carried(later_rgba, FRAME_NS)
    assert carried is not None and not carried.any()
