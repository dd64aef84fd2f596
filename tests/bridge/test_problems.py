# SPDX-License-Identifier: GPL-2.0-or-later
"""Problems: codes and parameters that fit a sentence, however long they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_filter.filters.bridge.problems import (
    BridgeError,
    Problem,
    problem_from_dict,
    problem_from_json,
)

VALUES = st.text(max_size=60) | st.integers(-(2**60), 2**60) | st.floats(-1e18, 1e18)


@given(
    params=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda n: n != "code"), VALUES, max_size=6
    )
)
def test_a_problem_that_fits_comes_back_as_it_was(params: dict[str, str | float]) -> None:
    problem = Problem("engine.start_failed", params)
    back = problem_from_json(problem.to_json(10_000))
    expected = {name: _utf8(value) for name, value in params.items()}
    assert (back.code, back.params) == (problem.code, expected)


def _utf8(value: str | float) -> str | float:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@given(
    params=st.dictionaries(st.sampled_from(["file", "detail", "reason", "found"]), st.text() | st.integers(-99, 99)),
    size=st.integers(120, 1024),
    times=st.integers(1, 500),
)
def test_whatever_does_not_fit_is_cut_and_still_a_problem(params: dict[str, str | int], size: int, times: int) -> None:
    problem = Problem("model.load_failed", {name: value * times for name, value in params.items()})
    line = problem.to_json(size)
    assert len(line) <= size
    back = problem_from_json(line)
    assert back.code == problem.code
    assert back.params.keys() == problem.params.keys()


def test_too_many_names_leave_only_the_code() -> None:
    problem = Problem("a.b", {f"name_{letter}": "x" for letter in "abcdefghijklmnop"})
    assert problem_from_json(problem.to_json(40)) == Problem("a.b")


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"code": 1},
        {"code": "x"},
        {"code": "A.B"},
        {"code": "a.b "},
        {"code": "a." + "b" * 100},
        {"code": "a.b", "x": None},
        {"code": "a.b", "x": True},
        {"code": "a.b", "x": [1]},
        {"code": "a.b", "x": {}},
        {"code": "a.b", "x": float("nan")},
        {"code": "a.b", "x": 10**400},
        {"code": "a.b", "X": 1},
        {"code": "a.b", "": 1},
        {"code": "a.b", "x!r": 1},
    ],
)
def test_what_is_no_problem_is_refused(values: object) -> None:
    with pytest.raises(BridgeError) as refusal:
        problem_from_dict(values)
    assert refusal.value.params["field"] == "problem"
    with pytest.raises(BridgeError):
        problem_from_json(json.dumps(values).encode())


@pytest.mark.parametrize("line", [b"", b"\xff", b"{", b"[" * 100_000, b'{"code":"a.b","x":Infinity}'])
def test_what_is_no_json_is_refused(line: bytes) -> None:
    with pytest.raises(BridgeError):
        problem_from_json(line)
