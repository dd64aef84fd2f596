# SPDX-License-Identifier: GPL-2.0-or-later
"""``presets`` as a person meets it: all commands, and what is wrong in words."""

import argparse
import json
import re
from pathlib import Path

import pytest

from background_filter.filters.cli.commands import make_parser
from background_filter.filters.cli.media import settings_of
from background_filter.filters.presets import Preset, save_own
from background_filter.tests.cli.test_commands import run


def test_saved_shown_shared_and_removed(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    saved = run(
        "presets", "save", "My desk", "smoothing=0.7", "sharp_edges=off", "background_color=#102030", config=ours
    )
    assert (saved.returncode, saved.stderr) == (0, "")
    assert re.search(r"^My desk +yours +3 settings\.$", run("presets", config=ours).stdout, re.MULTILINE)
    assert re.search(
        r"^smoothing +0\.7 +Smoothing$", run("presets", "show", "my desk", config=ours).stdout, re.MULTILINE
    )
    exported = run("presets", "export", "My desk", str(tmp_path), config=ours)
    assert exported.stdout == f"Written: {tmp_path / 'My desk.json'}\n"
    content = json.loads((tmp_path / "My desk.json").read_text())
    assert content["settings"] == {"smoothing": 0.7, "sharp_edges": False, "background_color": 0xFF302010}
    taken = run("presets", "import", str(tmp_path / "My desk.json"), config=theirs)
    assert (taken.returncode, taken.stderr) == (0, "")
    again = run("presets", "save", "Second", "--from", str(tmp_path / "My desk.json"), "smoothing=0.1", config=theirs)
    assert again.returncode == 0
    second = json.loads((theirs / "presets" / "Second.json").read_text())
    assert second["settings"] == {**content["settings"], "smoothing": 0.1} and second["name"] == "Second"
    removed = run("presets", "remove", "my desk", config=theirs)
    assert (removed.returncode, removed.stdout) == (0, "Removed: My desk\n")
    assert [path.name for path in (theirs / "presets").iterdir()] == ["Second.json"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("show", "nothing"), 1, "error: There is no preset “nothing”. All presets: presets list\n"),
        (("save", "Meeting", "smoothing=1"), 1, "It comes with the filter: choose another name."),
        (("save", "Present", "smoothing=1"), 1, "error: There is a preset “Present” already. Replace it with --over"),
        (("save", "../x", "smoothing=1"), 1, "error: “../x” can't be a preset's name"),
        (("save", "x"), 2, "error: What shall it set?"),
        (("save", "x", "smoothing"), 2, "is no KEY=VALUE. Keys are threshold"),
        (("save", "x", "smoothing=much"), 2, "smoothing can't be “much” in a preset. It may be 0 to 1."),
        (("save", "x", "blur_strength=0.1"), 2, "It may be 0.3 to 1."),
        (("save", "x", "without_mask=source"), 2, "It may be hide, blur."),
        (("save", "x", "background_source=Camera"), 2, "A preset names no source"),
        (("import", "{folder}/none.json"), 1, "error: The preset none.json can't be read: No such file or directory."),
        (("import", "{folder}/bad.json"), 1, "error: bad.json is no preset: "),
        (("export", "Present", "{folder}/bad.json"), 1, "bad.json is there already. Replace it with --overwrite."),
        (("export", "Present", "{folder}/none/x.json"), 1, "can't be written: No such file or directory."),
        (("remove", "meeting"), 1, "error: There is no preset “meeting”."),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], exit_code: int, words: str, tmp_path: Path) -> None:
    present = tmp_path / "presets" / "Present.json"
    present.parent.mkdir()
    present.write_text('{"format": 1, "settings": {"smoothing": 0.2}}')
    (tmp_path / "bad.json").write_text("hello")
    result = run("presets", *(each.format(folder=tmp_path) for each in arguments), config=tmp_path)
    assert result.returncode == exit_code
    assert words in result.stderr and "Traceback" not in result.stderr
    assert [path.name for path in present.parent.iterdir()] == ["Present.json"]
    assert (tmp_path / "bad.json").read_text() == "hello"


def options_of(*arguments: str) -> argparse.Namespace:
    """What ``image`` understands."""
    return make_parser().parse_args(["image", *arguments])


def test_image_and_video_take_a_preset_and_what_stands_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(tmp_path))
    meeting = options_of("in.png", "--preset", "Meeting", "--smoothing", "0.1")
    assert (meeting.background, meeting.smoothing, meeting.sharp_edges) == ("blur", 0.1, True)
    low = options_of("--preset", "low_light", "in.png", "--background", "green")
    assert (low.background, low.sharp_edges, low.threshold) == ("green", True, 0.45)
    assert settings_of(low).feather_px == 1.0
    values = {"background": "color", "background_color": 0xFF302010, "model": "auto", "smoothing": 0.2}
    save_own(Preset("Mine", values))
    mine = settings_of(options_of("in.png", "--preset", "mine"))
    assert (mine.background, mine.background_color, mine.model, mine.smoothing) == ("color", 0xFF302010, "", 0.2)
    assert make_parser().parse_args(["video", "in.mp4", "--preset", "slow-computer"]).model == "person_fast_256x144"
    with pytest.raises(SystemExit) as ended:
        options_of("in.png", "--preset", "nothing")
    assert ended.value.code == 2
    assert "argument --preset: There is no preset “nothing”. All presets: presets list" in capsys.readouterr().err
