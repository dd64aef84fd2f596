# SPDX-License-Identifier: GPL-2.0-or-later
"""The rooms inside OBS as far as they work without one: prototypes, settings, pacing, words, the pipe to the engine."""

import ctypes
import dataclasses
import os
import re
import string
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_filter.filters import locale
from background_filter.filters.bridge.messages import STEPS
from background_filter.filters.bridge.problems import Problem
from background_filter.filters.bridge.status import State, Status
from background_filter.filters.obs import libobs, words
from background_filter.filters.obs.dialog import Dialog
from background_filter.filters.obs.engine_process import make_non_blocking
from background_filter.filters.obs.frames import MAX_DELAY_FRAMES, MIN_DELAY_FRAMES, Pacing
from background_filter.filters.obs.hotkeys import ORDER, next_background, without_blur
from background_filter.filters.obs.registration import SourceInfo
from background_filter.filters.obs.settings import DEFAULTS, GROUPS, SETTINGS, FilterSettings
from background_filter.filters.obs.stream import Stream

HEADERS = Path("/usr/include/obs")
ROOT = Path(__file__).resolve().parents[2]
# What a C type is in the tables; every pointer but char* is a void*.
C_TYPES = {
    "void": None,
    "bool": ctypes.c_bool,
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "size_t": ctypes.c_size_t,
    "uint8_t": ctypes.c_uint8,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "long": ctypes.c_longlong,  # as "long long": no function takes a plain long
    "obs_property_modified_t": ctypes.c_void_p,
    "obs_property_modified2_t": ctypes.c_void_p,
    "obs_property_clicked_t": ctypes.c_void_p,
    "obs_hotkey_func": ctypes.c_void_p,
    "obs_task_t": ctypes.c_void_p,
    "obs_hotkey_id": ctypes.c_size_t,
}


@pytest.fixture(scope="module")
def headers() -> str:
    """All headers of libobs, without comments."""
    if not HEADERS.is_dir():
        pytest.skip("needs the headers of libobs (Debian and Ubuntu: apt install libobs-dev)")
    text = "".join(path.read_text(errors="replace") for path in HEADERS.rglob("*.h"))
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def c_type(declaration: str, has_name: bool) -> object:
    """The ctypes type of a result or a parameter in C."""
    if "*" in declaration:
        is_text = re.search(r"\bchar\s*\*(?!\s*\*)", declaration)
        return ctypes.c_char_p if is_text else ctypes.c_void_p
    parts = [part for part in declaration.split() if part not in ("const", "EXPORT", "static", "inline")]
    if has_name:
        parts = parts[:-1]
    return ctypes.c_int if parts[0] == "enum" else C_TYPES[parts[-1]]


def same(ours: object, theirs: object) -> bool:
    """Whether two types are passed alike; a pointer is a pointer."""
    pointers = (ctypes.c_void_p, ctypes.c_char_p)
    is_pointer = ours in pointers or (isinstance(ours, type) and issubclass(ours, ctypes._Pointer))
    return ours is theirs or (is_pointer and theirs in pointers)


@pytest.mark.parametrize("name", sorted({**libobs.QUICK, **libobs.BLOCKING}))
def test_each_prototype_is_the_headers(headers: str, name: str) -> None:
    found = re.search(rf"(?:EXPORT|static inline)([^;{{}}()]*?)\b{name}\s*\(([^;{{]*?)\)\s*[;{{]", headers, re.DOTALL)
    if name == "obs_enable_source_type":
        pytest.skip("exported by libobs and used by its modules, but declared in an internal header")
    assert found, f"{name} is not in the headers"
    taken = re.sub(r"\w+ \(\*(\w+)\)\([^()]*\)", r"void *\1", found[2])  # a pointer to a function is a pointer
    result, arguments = {**libobs.QUICK, **libobs.BLOCKING}[name]
    parameters = [part.strip() for part in taken.replace("\n", " ").split(",") if part.strip() not in ("void", "...")]
    if name == "blog":
        parameters.append("const char *text")  # variadic: we always give the format "%s" and one text
    assert same(result, c_type(found[1].strip() or "void", has_name=False))
    assert len(arguments) == len(parameters)
    for ours, declaration in zip(arguments, parameters, strict=True):
        assert same(ours, c_type(declaration, has_name=True)), declaration


def test_the_struct_is_a_prefix_of_the_headers(headers: str) -> None:
    body = re.search(r"struct obs_source_info \{(.*?)\n\};", headers, re.DOTALL)
    assert body
    names = re.findall(r"\(\*(\w+)\)\(|\b(\w+);", re.sub(r"\)\(.*?\);", ")(", body[1], flags=re.DOTALL))
    declared = [first or second for first, second in names]
    ours = [name for name, *_ in SourceInfo._fields_]
    assert ours == declared[: len(ours)]


unit = st.floats(0, 1)


@given(unit, unit)
def test_the_ramp_keeps_what_is_sure(threshold: float, edge_softness: float) -> None:
    low, high = dataclasses.replace(DEFAULTS, threshold=threshold, edge_softness=edge_softness).ramp()
    assert 0.0 <= low < high <= 1.0
    assert high - low >= 1 / 256


def test_the_middle_of_the_sliders_draws_the_mask_as_it_is() -> None:
    assert dataclasses.replace(DEFAULTS, threshold=0.5, edge_softness=1.0).ramp() == (0.0, 1.0)


def test_each_setting_is_declared_once() -> None:
    keys = [setting.key for setting in SETTINGS]
    assert keys == [field.name for field in dataclasses.fields(FilterSettings)]
    assert len(set(keys)) == len(keys)


def test_each_setting_stands_in_one_group_of_the_dialog() -> None:
    grouped = [key for keys in GROUPS.values() for key in keys]
    assert sorted(grouped) == sorted(setting.key for setting in SETTINGS)


def test_keys_that_users_have_stored_never_change() -> None:
    frozen = {"threshold", "edge_softness", "smoothing", "feather_px", "grow_px", "without_mask", "preview_mask"}
    frozen |= {"background", "blur_strength", "background_color", "background_source", "background_fit", "invert"}
    frozen |= {"model", "sharp_edges", "remove_specks", "timing", "despill", "blur_falloff"}
    assert frozen <= {setting.key for setting in SETTINGS}


def test_the_delay_is_the_fewest_frames_that_hold() -> None:
    pacing = Pacing()
    for age in [2] * 200:
        pacing.note(age)
    assert pacing.delay_frames == 2
    for age in [3, 2, 3, 2, 3]:
        pacing.note(age)
    assert pacing.delay_frames == 3
    for age in [2] * 200:
        pacing.note(age)
    assert pacing.delay_frames == 2


def test_a_single_late_mask_does_not_change_the_delay() -> None:
    pacing = Pacing()
    for age in [2] * 50 + [9] + [2] * 50:
        pacing.note(age)
    assert pacing.delay_frames == 2


@given(st.lists(st.integers(0, 1000), max_size=300))
def test_the_delay_stays_in_its_bounds(ages: list[int]) -> None:
    pacing = Pacing()
    for age in ages:
        pacing.note(age)
    assert MIN_DELAY_FRAMES <= pacing.delay_frames <= MAX_DELAY_FRAMES


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", sorted(locale.languages()))
def test_every_language_has_every_text_with_the_same_placeholders(language: str) -> None:
    english, texts = locale.load(locale.FALLBACK), locale.load(language)
    assert set(texts) == set(english)
    for key, text in texts.items():
        assert placeholders(text) == placeholders(english[key]), key


def test_every_text_that_the_code_asks_for_is_there() -> None:
    english = locale.load(locale.FALLBACK)
    for path in (ROOT / "filters" / "obs").glob("*.py"):
        for key in re.findall(r'\btext\("([\w.]+)"', path.read_text()):
            assert key in english, (path.name, key)
    for setting in SETTINGS:
        for part in ("label", "tooltip", *setting.choices, *(["none"] if setting.offers == "sources" else [])):
            assert f"setting.{setting.key}.{part}" in english


def test_every_problem_code_has_words() -> None:
    english = locale.load(locale.FALLBACK)
    code = re.compile(
        r'(?:Problem|BridgeError|ModelRefused|PresetError|refuse|_refused?)\(\s*"((?:bridge|model|device|engine|effect|background|preset)\.\w+)"'
    )
    found = set()
    for path in [*(ROOT / "filters").rglob("*.py"), *(ROOT / "models").glob("*.py")]:
        found |= set(code.findall(path.read_text()))
    assert len(found) > 15
    assert {f"problem.{each}" for each in found} <= set(english)


def test_words_for_every_state() -> None:
    locale.set_language("en-US")
    for state in State:
        status = Status(state=state, input_width=256, input_height=144, model="auto:person")
        for loading in (None, *(words.Loading("own.onnx", step) for step in STEPS if step)):
            shown = words.figures(status, 66.0, loading)
            assert "{" not in shown and "=" not in shown
            assert loading is None or state is State.STARTING or "own.onnx" in shown
    assert words.figures(None, 0.0) == "the engine is starting"
    said = words.describe(Problem("model.untrusted", {"file": "x.onnx", "found": "ab12"}))
    assert "x.onnx" in said and "ab12" in said


def test_an_unknown_text_and_a_missing_parameter_do_no_harm() -> None:
    assert locale.text("no.such.key", detail="x") == "no.such.key detail=x"
    assert "{file}" in locale.text("problem.model.missing")


def test_a_full_pipe_never_blocks_the_writer() -> None:
    reading, writing = os.pipe()
    make_non_blocking(writing)
    done = threading.Event()

    def fill() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            while pipe.write(b"\n" * 4096) is not None:
                pass
        done.set()

    threading.Thread(target=fill, daemon=True).start()
    assert done.wait(10.0)
    os.close(reading)


def test_the_backgrounds_go_round_and_the_blur_goes_back() -> None:
    for is_source_there, number in ((False, 3), (True, 4)):
        seen = ["transparent"]
        for _ in range(number):
            seen.append(next_background(dataclasses.replace(DEFAULTS, background=seen[-1]), is_source_there))
        assert seen == [*ORDER[:number], "transparent"]
    gone = dataclasses.replace(DEFAULTS, background="source")
    assert next_background(gone, is_source_there=False) == "transparent"
    assert [without_blur(before) for before in ("color", "source", "blur", "", "x")] == [
        "color",
        "source",
        *["transparent"] * 3,
    ]


class OpenDialog:
    """What a dialog asks of libobs, of the host and of its filter."""

    def __init__(self) -> None:
        self.redrawn = 0
        self.source, self.delay_ms, self.problem, self.settings = 1, 66.0, None, DEFAULTS
        self.stream = Stream(1, status=Status(state=State.READY, model="before", input_width=256, input_height=144))

    def obs_source_update_properties(self, source: int) -> None:
        self.redrawn += 1

    def background_problem(self) -> None:
        return None


def test_a_chosen_model_is_told_of_at_once_and_a_slider_is_left_in_the_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("background_filter.filters.obs.dialog.time.monotonic", lambda: now_s)
    stand_in = OpenDialog()
    open_windows: list[str] = []
    monkeypatch.setattr("background_filter.filters.obs.dialog.may_be_open", lambda: bool(open_windows))
    dialog = Dialog(stand_in, stand_in, stand_in, lambda work: work(1))  # type: ignore[arg-type]
    dialog.shown()
    now_s += 10.0
    stand_in.stream.loading = words.Loading("next.onnx", "checking")
    dialog.touched(is_other_model=False)
    now_s += 1.0
    dialog.refresh()
    assert stand_in.redrawn == 0
    dialog.touched(is_other_model=True)
    now_s += 1.0
    open_windows.append("of a colour")
    dialog.refresh()
    assert stand_in.redrawn == 0
    open_windows.clear()
    now_s += 1.0
    dialog.refresh()
    assert stand_in.redrawn == 1
    assert "checking next.onnx" in dialog.shown().figures and "before" in dialog.shown().figures
