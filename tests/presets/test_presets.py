# SPDX-License-Identifier: GPL-2.0-or-later
"""What a preset may hold and what it may not, its files, and garbage in their place."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_filter.filters import locale, presets
from background_filter.filters.obs.settings import DEFAULTS, SETTINGS, FilterSettings, legal
from background_filter.filters.presets import BUILT_IN, DEFAULT_PRESET, LEAST, MOST, NEVER, ONLY, Preset, PresetError
from background_filter.filters.presets.preset import MAX_BYTES, from_json, legal_preset

BY_KEY = {setting.key: setting for setting in SETTINGS}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of our own; gives that of the presets, which does not exist yet."""
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path / "config"))
    locale.set_language("en-US")
    return tmp_path / "config" / "presets"


def file_of(path: Path, **content: Any) -> Path:
    """A preset's file with some of its fields."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": 1, "settings": {}, **content}))
    return path


def test_a_new_filter_has_the_default_preset() -> None:
    assert BUILT_IN[DEFAULT_PRESET].is_in(DEFAULTS)
    assert not any(preset.is_in(DEFAULTS) for name, preset in BUILT_IN.items() if name != DEFAULT_PRESET)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_comes_with_the_filter_is_legal_and_has_words(name: str) -> None:
    preset, notes = legal_preset(name, BUILT_IN[name].values)
    assert (dict(preset.values), notes) == (dict(BUILT_IN[name].values), [])
    for language in locale.languages():
        assert locale.load(language)[f"preset.{name}"] and locale.load(language)[f"preset.{name}.about"]


def test_from_preset_to_preset_nothing_of_the_one_before_is_left() -> None:
    """Those that say what stands behind you say all of it; the others leave that alone, and so do not differ in it."""
    complete = [preset.values for preset in BUILT_IN.values() if "background" in preset.values]
    others = [preset.values for preset in BUILT_IN.values() if "background" not in preset.values]
    quality = set(others[0]) - {"model"}
    assert all(quality == set(values) - {"model"} for values in others)
    assert all(quality < set(values) for values in complete)
    assert len({frozenset(set(values) - {"blur_strength"}) for values in complete}) == 1


def reveals(settings: FilterSettings) -> bool:
    """Whether these settings show the room as it is, or a name that means something else elsewhere."""
    return (
        settings.without_mask == "source"
        or settings.invert
        or settings.preview_mask
        or settings.blur_strength < LEAST["blur_strength"]
        or settings.blur_falloff > MOST["blur_falloff"]
        or settings.threshold < LEAST["threshold"]
        or settings.background_source != ""
        or settings.model.startswith("file:")
    )


REVEALING: dict[str, Any] = {
    "without_mask": "source",
    "invert": True,
    "preview_mask": True,
    "blur_strength": 0.0,
    "blur_falloff": 1.0,
    "threshold": 0.0,
    "background_source": "Camera",
    "model": "file:/home/me/own.onnx",
}


@pytest.mark.parametrize("key", REVEALING)
def test_no_preset_shows_the_room_by_surprise(key: str, tmp_path: Path) -> None:
    saved, words = presets.as_preset("Mine", dataclasses.replace(DEFAULTS, **{key: REVEALING[key]}))
    read, _ = presets.read_preset_file(file_of(tmp_path / "theirs.json", settings={key: REVEALING[key]}))
    for preset in (saved, read):
        assert not reveals(dataclasses.replace(DEFAULTS, **preset.values))
    assert reveals(dataclasses.replace(DEFAULTS, **{key: REVEALING[key]}))
    assert key == "background_source" or words


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab/{", max_size=5)
)
json_values = plain | st.lists(plain, max_size=3) | st.dictionaries(st.sampled_from(["format", "settings"]), plain)


@given(st.dictionaries(st.sampled_from([*BY_KEY, "other", "../x"]), json_values))
def test_whatever_stands_in_a_file_only_legal_values_come_out(values: dict[str, Any]) -> None:
    preset, _ = legal_preset("Any", values)
    assert not set(preset.values) & NEVER
    for key, value in preset.values.items():
        assert type(value) is type(BY_KEY[key].default)
        assert legal(BY_KEY[key], value) == value
        assert value in ONLY.get(key, (value,))
    assert not reveals(dataclasses.replace(DEFAULTS, **preset.values))


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(PresetError) as caught:
        from_json(raw, "x.json")
    assert "x.json" in str(caught.value) and "{" not in str(caught.value).replace("'{", "")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not_a_preset"),
        (b"\xff\xfe", "not_a_preset"),
        (b"[" * 5000, "not_a_preset"),
        (b'{"format": 1, "settings": [1]}', "not_a_preset"),
        (b'{"format": 1, "settings": {"threshold": NaN}}', "not_a_preset"),
        (b'{"format": 2, "settings": {}}', "newer"),
        (b'{"settings": {}}', "newer"),
        (b" " * (MAX_BYTES + 1), "too_large"),
    ],
)
def test_each_kind_of_garbage_has_its_words(tmp_path: Path, raw: bytes, code: str) -> None:
    (tmp_path / "bad.json").write_bytes(raw)
    with pytest.raises(PresetError) as caught:
        presets.read_preset_file(tmp_path / "bad.json")
    assert caught.value.problem.code == f"preset.{code}"
    assert "bad.json" in str(caught.value)


def test_what_is_no_file_is_refused_and_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("pipe.json", "", "none.json", "null\0.json"):
        with pytest.raises(PresetError) as caught:
            presets.read_preset_file(tmp_path / name)
        assert caught.value.problem.code == "preset.unreadable"


def test_unknown_and_out_of_range_are_told_and_the_rest_is_used(tmp_path: Path) -> None:
    settings = {"threshold": 7, "smoothing": 0.25, "glitter": 1, "timing": "yesterday", "sharp_edges": "yes"}
    preset, words = presets.read_preset_file(file_of(tmp_path / "x.json", name="Theirs", settings=settings))
    assert preset == Preset("Theirs", {"threshold": 1.0, "smoothing": 0.25})
    assert "glitter" in words[0] and "Timing" in words[1] and "Sharp edges" in words[1] and "Threshold" in words[2]


@pytest.mark.parametrize(
    "name",
    ["", " ", "..", "../up", "a/b", "a\\b", "C:x", ".hidden", "x" * 41, "con", "LPT1.txt", "a\0b", "a\nb\x1b", "a."],
)
def test_a_name_is_no_path(name: str, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(PresetError):
        presets.legal_name(name)
    with pytest.raises(PresetError):
        presets.save_own(Preset(name, {}))
    with pytest.raises(PresetError):
        presets.remove_own(name)
    with pytest.raises(PresetError):
        presets.read_preset_file(file_of(tmp_path / "x.json", name=name or "/"))
    assert not folder.exists()


def test_saved_listed_read_replaced_and_removed(folder: Path) -> None:
    before, _ = presets.as_preset(
        "Mein Zimmer, Süden", dataclasses.replace(DEFAULTS, smoothing=0.75, background="blur")
    )
    file = presets.save_own(before)
    assert file == folder / "Mein Zimmer, Süden.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert presets.names_of_own() == ["Mein Zimmer, Süden"]
    assert presets.find_preset("mein  zimmer, SÜDEN") == (before, [])
    with pytest.raises(PresetError, match="already"):
        presets.save_own(Preset("MEIN ZIMMER, SÜDEN", {}))
    assert presets.free_name("Mein Zimmer, Süden") == "Mein Zimmer, Süden 2"
    presets.save_own(Preset("MEIN ZIMMER, SÜDEN", {"smoothing": 0.5}), may_replace=True)
    assert presets.load_own("Mein Zimmer, Süden")[0].values == {"smoothing": 0.5}
    assert presets.remove_own("mein zimmer, süden") == "Mein Zimmer, Süden"
    assert presets.names_of_own() == [] == os.listdir(folder)


def test_those_that_come_with_the_filter_keep_their_names() -> None:
    for name in ("meeting", "Meeting", "Low light", "slow-computer"):
        with pytest.raises(PresetError, match="already"):
            presets.save_own(Preset(name, {}), may_replace=True)
        assert presets.find_preset(name)[0] in BUILT_IN.values()
    assert presets.free_name("Meeting") == "Meeting 2"


def test_other_files_in_the_folder_are_no_presets(folder: Path) -> None:
    for name in ("good.json", ".good.json.x.unfinished", ".hidden.json", "readme.txt", "a\nb.json"):
        file_of(folder / name)
    assert presets.names_of_own() == ["good"]


def test_a_name_whose_accents_stand_apart_is_the_same_name(folder: Path) -> None:
    together, apart = "S\u00fcden", "Su\u0308den"
    file_of(folder / f"{together}.json")
    assert presets.find_preset(apart)[0].name == together
    assert presets.legal_name(apart) == together


def test_a_model_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    settings = {"model": "no_such_model", "smoothing": 0.1}
    preset, words = presets.read_preset_file(file_of(tmp_path / "x.json", settings=settings))
    assert preset.values == {"smoothing": 0.1} and "Model" in words[0]
