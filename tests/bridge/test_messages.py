# SPDX-License-Identifier: GPL-2.0-or-later
"""The control line: what is allowed passes unchanged, anything else is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from background_filter.filters.bridge.messages import MAX_LINE, WAKE, decode, encode
from background_filter.filters.bridge.problems import BridgeError, Problem

NAME = "obs-background-filter-1-0123456789abcdef"
MODEL = {"model": "person_fast_256x144", "device": "auto"}
GOOD: list[dict[str, object]] = [
    {"op": "open", "stream": 1, "segment": NAME, **MODEL},
    {"op": "model", "stream": 2, "model": "file:/home/zoë/mein modell.onnx", "device": "openvino"},
    {"op": "close", "stream": 1},
    {"op": "video", "fps": 29.97},
    {"op": "measure", "device": "cpu"},
    {
        "event": "hello",
        "pid": 7,
        "version": "0.1.0",
        "onnxruntime": "1.31.0",
        "providers": ["CPUExecutionProvider"],
    },
    {"event": "opened", "stream": 1},
    {
        "event": "problem",
        "stream": 0,
        "problem": {"code": "device.unavailable", "device": "cuda", "reason": "none"},
    },
    {"event": "loading", "stream": 1, "model": "auto:person_fast_256x144", "step": "warming"},
    {"event": "guesses", "sha256": "ab" * 32, "guesses": [["size", "256x144", "graph"]]},
    {"event": "suggestion", "model": "person_fast_256x144", "fps": 60},
    {"event": "log", "level": "info", "text": "zwei\nZeilen"},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@pytest.mark.parametrize("message", GOOD, ids=lambda message: message.get("op") or message["event"])
def test_a_message_is_one_ascii_line_and_comes_back(message: dict[str, object]) -> None:
    line = encode(message)
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert decode(line) == message


def test_an_empty_line_is_a_wake_up() -> None:
    assert decode(WAKE) == decode(b"\r\n") == decode(b"") == {}


@pytest.mark.parametrize("message", GOOD, ids=lambda message: message.get("op") or message["event"])
@pytest.mark.parametrize("value", [None, True, -1, 0.5, "\N{SNOWMAN}?", [], {}, 2**70, ["x", 1]])
def test_a_field_of_another_kind_is_refused(message: dict[str, object], value: object) -> None:
    for field in message:
        if field == "text" or (field in ("version", "onnxruntime", "model") and isinstance(value, str)):
            continue
        if field == "providers" and value == []:
            continue
        with pytest.raises(BridgeError) as refusal:
            decode(json.dumps({**message, field: value}).encode())
        assert refusal.value.code == "bridge.message"


@pytest.mark.parametrize("message", GOOD, ids=lambda message: message.get("op") or message["event"])
def test_missing_and_unknown_fields_are_refused(message: dict[str, object]) -> None:
    for field in message:
        with pytest.raises(BridgeError):
            decode(json.dumps({name: value for name, value in message.items() if name != field}).encode())
    with pytest.raises(BridgeError):
        encode({**message, "more": 1})


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        '{"op":"ü"}'.encode(),
        b'{"op":"close","stream":NaN}',
        b'{"op":"close","stream":1' + b"0" * 3000 + b"}",
        b"[" * 3999,
        b'{"op":' * 600,
        b'{"op":"close","event":"opened","stream":1}',
        b" " * (MAX_LINE + 1),
        b'{"op":"open","stream":1,"segment":"../../etc/passwd","model":"m","device":"auto"}',
        b'{"op":"model","stream":1,"model":"file:","device":"auto"}',
        b'{"op":"model","stream":0,"model":"m","device":"auto"}',
    ],
)
def test_no_message_at_all(line: bytes) -> None:
    with pytest.raises(BridgeError) as refusal:
        decode(line)
    assert refusal.value.code == "bridge.message"


@given(line=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_random_lines_never_raise_anything_else(line: bytes) -> None:
    try:
        decode(line)
    except BridgeError as refusal:
        assert refusal.code == "bridge.message"


@settings(max_examples=50)
@given(changes=st.dictionaries(st.sampled_from(["op", "stream", "segment", "model", "device"]), JSON))
def test_random_fields_never_raise_anything_else(changes: dict[str, object]) -> None:
    try:
        decode(json.dumps({**GOOD[0], **changes}).encode())
    except BridgeError as refusal:
        assert refusal.code == "bridge.message"


@settings(max_examples=50)
@given(text=st.text(), times=st.integers(1, 3000))
def test_long_texts_of_the_log_are_cut(text: str, times: int) -> None:
    line = encode({"event": "log", "level": "error", "text": text * times})
    assert len(line) <= MAX_LINE
    assert (text * times).startswith(decode(line)["text"])


@settings(max_examples=50)
@given(text=st.text(), times=st.integers(1, 3000))
def test_long_problems_are_cut(text: str, times: int) -> None:
    problem = Problem("model.load_failed", {"file": "x.onnx", "detail": text * times})
    line = encode({"event": "problem", "stream": 1, "problem": problem})
    assert len(line) <= MAX_LINE
    assert decode(line)["problem"]["file"] == "x.onnx"


def test_a_line_that_can_not_be_cut_is_refused() -> None:
    with pytest.raises(BridgeError):
        encode({"op": "model", "stream": 1, "model": "file:/" + "ü" * 2900, "device": "auto"})
