# SPDX-License-Identifier: GPL-2.0-or-later
"""Measuring in turns: nobody is first for long, and the first run of each turn does not count."""

import time
from collections.abc import Callable

import pytest

from background_filter.models.tools.turns import LEAST_RUNS, Row, in_turns, medians


def test_everyone_has_its_turn_in_every_round_and_the_first_run_is_dropped() -> None:
    order: list[str] = []

    def step(name: str) -> Callable[[], Row]:
        def run() -> Row:
            is_first = order[-1:] != [name]
            order.append(name)
            return (1000.0 if is_first else 2.0, 1000.0 if is_first else 1.0)

        return run

    parts: list[float] = []
    found = in_turns({"a": step("a"), "b": step("b")}, rounds=3, report=parts.append)
    assert found == {"a": [(2.0, 1.0)] * 3, "b": [(2.0, 1.0)] * 3}
    assert order == (["a"] * (LEAST_RUNS + 1) + ["b"] * (LEAST_RUNS + 1)) * 3
    assert parts == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])


def test_a_turn_lasts_as_long_as_it_should() -> None:
    runs = 0

    def step() -> Row:
        nonlocal runs
        runs += 1
        time.sleep(0.001)
        return (float(runs),)

    ((median,),) = in_turns({"only": step}, rounds=1, slice_s=0.5)["only"]
    assert runs > LEAST_RUNS + 1
    assert median == pytest.approx((runs + 2) / 2)  # of 2, 3, ... runs


def test_medians_are_of_each_figure() -> None:
    assert medians([(1.0, 30.0), (2.0, 20.0), (9.0, 10.0)]) == (2.0, 20.0)
