# SPDX-License-Identifier: GPL-2.0-or-later
"""``models`` as a person meets it: every action, from fetching to taking out, with a publisher on this machine."""

import dataclasses
import functools
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from background_filter.filters.cli import commands, models
from background_filter.models import trust
from background_filter.models.catalog import Download, ModelEntry, default_model_id, load_catalog
from background_filter.models.fetch import Patience
from background_filter.models.places import ROOT, originals_folder, shipped_models_folder, user_models_folder
from background_filter.tests.models.product import GOOD, OTHER, sha256
from background_filter.tests.models.server import Publisher, published

QUICK = Patience(attempts=2, first_pause_s=0.01, silence_s=2.0, schemes=("http",))
Catalogue = Callable[..., ModelEntry]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("OBS_BACKGROUND_FILTER_CONFIG", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return folder


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with published(GOOD) as one:
        yield one


@pytest.fixture
def known(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Puts a model "net" into the catalogue, with the download that a test wants."""

    def make(sha256: str | None = None, kind: str = "onnx", **more: Any) -> ModelEntry:
        download = Download(publisher.url, kind, "Nobody says why.", sha256)
        default = load_catalog()[default_model_id()]
        changes: dict[str, Any] = {"name": "Net", "file": "net.onnx", "is_default": False, "download": download, **more}
        entry = dataclasses.replace(default, id="net", **changes)
        entries = {**load_catalog(), "net": entry}
        monkeypatch.setattr(models, "load_catalog", lambda: entries)
        monkeypatch.setattr(models, "find_model", entries.get)
        monkeypatch.setattr(models, "fetch", functools.partial(models.fetch, patience=QUICK))
        return entry

    return make


class Typist(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str) -> int:
    return commands.run(["models", *arguments])


def test_without_an_action_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    short = capsys.readouterr().out
    assert run("list") == 0
    assert capsys.readouterr().out == short
    for entry in load_catalog().values():
        assert re.search(rf"^{entry.id} .*{re.escape(entry.name)}$", short, re.MULTILINE)
    assert re.search(rf"^{default_model_id()} \(default\) .* verified ", short, re.MULTILINE)
    assert len({line.find("NAME") for line in short.splitlines()[:1]}) == 1


def test_everything_about_each_model_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in load_catalog().values():
        assert run("info", entry.id) == 0
        shown = capsys.readouterr().out
        assert entry.license in shown and entry.source in shown
        assert all(state.input in shown for state in entry.recurrence)
        if entry.download:
            assert entry.download.url in shown
            assert (entry.download.sha256 or "not known to us") in shown


def test_a_former_id_is_understood(known: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    entry = known(replaces=("old_net",))
    monkeypatch.setattr(models, "find_model", {"old_net": entry}.get)
    assert run("info", "old_net") == 0
    assert re.search(r"^formerly +old_net$", capsys.readouterr().out, re.MULTILINE)


def test_a_slip_of_the_finger_is_answered_with_near_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "u2nett") == 1
    assert "Did you mean" in capsys.readouterr().err
    assert run("fetch", "something_else_entirely") == 1
    assert "models list" in capsys.readouterr().err


def test_a_fetched_file_with_its_publishers_digest_is_ready(known: Catalogue, capsys) -> None:
    entry = known(sha256(GOOD))
    assert run("fetch", "net") == 0
    said = capsys.readouterr()
    assert "Ready: net" in said.out and "100%" in said.err
    assert trust.read_model(entry).vouched_by == "project"
    assert trust.trust_records() == []
    assert run("fetch", "net") == 0
    assert "is there already" in capsys.readouterr().out


def test_another_file_than_the_publishers_is_deleted(known: Catalogue, capsys) -> None:
    known(sha256(OTHER))
    assert run("fetch", "net") == 1
    said = capsys.readouterr().err
    assert sha256(GOOD) in said and sha256(OTHER) in said
    assert not (user_models_folder() / "net.onnx").exists()


def test_without_a_digest_the_first_fetch_shows_and_waits(known: Catalogue, capsys) -> None:
    entry = known()
    assert run("fetch", "net") == 1
    said = capsys.readouterr()
    for shown in (sha256(GOOD), f"{len(GOOD):,} bytes", "picture float [1, 3, 4, 4]", "mask float [1, 1, 4, 4]"):
        assert shown in said.out
    assert "models trust net" in said.err
    assert trust.trust_records() == []
    assert run("verify") == 1
    assert "not trusted" in capsys.readouterr().out
    assert run("trust", "net") == 0
    assert trust.read_model(entry).vouched_by == "user"
    assert run("verify", "net") == 0


def test_trust_given_with_the_command_is_written_down_with_its_origin(
    known: Catalogue, publisher: Publisher, capsys
) -> None:
    known()
    assert run("fetch", "net", "--trust") == 0
    (record,) = trust.trust_records()
    assert (record.name, record.sha256, record.origin) == ("net.onnx", sha256(GOOD), publisher.url)
    assert run("info", "net") == 0
    shown = capsys.readouterr().out
    assert publisher.url in shown and "trusted by you" in shown and record.date in shown


@pytest.mark.parametrize("typed, code", [("yes\n", 0), ("YES\n", 0), ("no\n", 1), ("y\n", 1), ("\n", 1), ("", 1)])
def test_on_a_terminal_one_is_asked(known: Catalogue, monkeypatch, capsys, typed: str, code: int) -> None:
    known()
    monkeypatch.setattr("sys.stdin", Typist(typed))
    assert run("fetch", "net") == code
    assert (user_models_folder() / "net.onnx").exists() == (code == 0)
    assert len(trust.trust_records()) == (1 if code == 0 else 0)


def test_what_is_no_model_is_deleted(known: Catalogue, publisher: Publisher, capsys) -> None:
    known()
    publisher.data = b"\x89PNG\r\n\x1a\n" * 50
    assert run("fetch", "net", "--trust") == 1
    assert "not an ONNX model" in capsys.readouterr().err
    assert not (user_models_folder() / "net.onnx").exists()
    assert trust.trust_records() == []


def test_a_publisher_out_of_reach_is_told_in_words(known: Catalogue, publisher: Publisher, capsys) -> None:
    publisher.base = "http://127.0.0.1:9"
    known()
    assert run("fetch", "net") == 1
    assert "Are you online?" in capsys.readouterr().err


def test_a_file_to_be_converted_is_kept_apart(known: Catalogue, capsys) -> None:
    known(kind="tflite")
    assert run("fetch", "net") == 0
    said = capsys.readouterr().out
    assert "must be converted" in said and sha256(GOOD) in said
    assert f"models convert {originals_folder() / 'net--net.onnx'} net.onnx --as net\n" in said
    assert "models import net.onnx --as net\n" in said
    assert [path.name for path in originals_folder().iterdir() if path.suffix == ".onnx"] == ["net--net.onnx"]
    assert trust.trust_records() == []
    assert run("remove", "net") == 0


def test_a_file_that_convert_can_not_read_says_so(known: Catalogue, capsys) -> None:
    known(kind="tfjs")
    assert run("fetch", "net") == 0
    said = capsys.readouterr().out
    assert "a TensorFlow.js model" in said and "can't do that with this one" in said and "--as net" not in said


def test_the_commands_of_the_page_for_files(
    known: Catalogue, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    """docs/models.md as it stands, up to converting, and removing; every question is answered with yes."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    before, _, after = page.partition("## Converting")
    command = r"^python3 obs_background_filter\.py models ((?:fetch|trust|import|remove) .+)$"
    typed = re.findall(command, before, re.MULTILINE) + re.findall(command.replace("import|", ""), after, re.MULTILINE)
    assert len(typed) == 6
    known()
    fetched = load_catalog()["pp_humanseg"]
    download = Download(publisher.url, "onnx", "Theirs.", sha256(GOOD))
    changed = {**load_catalog(), fetched.id: dataclasses.replace(fetched, download=download)}
    monkeypatch.setattr(models, "load_catalog", lambda: changed)
    monkeypatch.setattr(models, "find_model", changed.get)
    monkeypatch.chdir(tmp_path)
    user_models_folder().mkdir(parents=True)
    (user_models_folder() / "u2netp.onnx").write_bytes(GOOD)
    Path("my_network.onnx").write_bytes(OTHER)
    Path("modnet.onnx").write_bytes(GOOD)
    for line in typed:
        monkeypatch.setattr("sys.stdin", Typist("yes\n"))
        assert run(*line.split()) == 0, (line, capsys.readouterr())
    kept = {path.name for path in user_models_folder().glob("*.onnx")}
    assert kept == {changed[fetched.id].file, "my_network.onnx", "modnet.onnx"}


def test_a_model_without_a_link_tells_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fetch", "modnet") == 1
    said = capsys.readouterr().err
    assert "models import FILE --as modnet" in said and "https://github.com/ZHKKKe/MODNet" in said


def test_a_file_that_lies_there_untrusted_is_not_fetched_over(known: Catalogue, capsys) -> None:
    known()
    assert run("fetch", "net") == 1
    capsys.readouterr()
    assert run("fetch", "net", "--trust") == 1
    assert "models remove net" in capsys.readouterr().err


def own_file(tmp_path: Path, data: bytes = OTHER, name: str = "own.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_a_file_of_ones_own_is_imported_and_taken_out_again(tmp_path: Path, capsys) -> None:
    path = own_file(tmp_path)
    assert run("import", str(path)) == 1
    assert "--trust" in capsys.readouterr().err
    assert run("import", str(path), "--trust") == 0
    kept = user_models_folder() / "own.onnx"
    assert kept.read_bytes() == OTHER
    assert trust.trust_records()[0].origin == str(path)
    assert "“Own file…”" in capsys.readouterr().out
    assert run() == 0
    assert re.search(r"^own\.onnx .*trusted by you +your own file$", capsys.readouterr().out, re.MULTILINE)
    kept.write_bytes(GOOD)
    assert run("verify", "own.onnx") == 1
    assert "CHANGED" in capsys.readouterr().out
    assert run("trust", "own.onnx") == 0
    assert run("verify", "own.onnx") == 0
    assert run("remove", "own.onnx") == 0
    assert not kept.exists()
    assert sha256(GOOD) not in {record.sha256 for record in trust.trust_records()}
    assert path.exists()


def test_a_file_can_be_imported_as_a_model_of_the_catalogue(tmp_path: Path, known: Catalogue, capsys) -> None:
    entry = known()
    assert run("import", str(own_file(tmp_path, name="downloaded (1).bin")), "--as", "net", "--trust") == 0
    assert trust.read_model(entry).data == OTHER
    assert run("import", str(own_file(tmp_path, GOOD)), "--as", "net", "--trust") == 1
    assert "models remove net.onnx" in capsys.readouterr().err


def test_what_its_publisher_describes_otherwise_is_not_imported(tmp_path: Path, known: Catalogue, capsys) -> None:
    known(sha256(GOOD))
    assert run("import", str(own_file(tmp_path)), "--as", "net", "--trust") == 1
    assert sha256(GOOD) in capsys.readouterr().err
    assert run("import", str(own_file(tmp_path, GOOD)), "--as", "net") == 0
    assert trust.trust_records() == []


def test_what_may_not_run_is_not_imported(tmp_path: Path, capsys) -> None:
    assert run("import", str(own_file(tmp_path, b"hello")), "--trust") == 1
    assert "not an ONNX model" in capsys.readouterr().err
    assert run("import", str(tmp_path / "none.onnx"), "--trust") == 1
    assert "is not there" in capsys.readouterr().err
    assert not user_models_folder().exists()


@pytest.mark.parametrize("name", ["../trusted.json", "/etc/passwd", "models/own.onnx", "nothing.onnx", "..", "."])
def test_only_files_in_the_users_folder_are_removed(name: str, capsys) -> None:
    assert run("remove", name) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert Path("/etc/passwd").exists()


def test_a_model_that_ships_is_not_removed(capsys: pytest.CaptureFixture[str]) -> None:
    entry = load_catalog()[default_model_id()]
    assert run("remove", entry.id) == 1
    assert (shipped_models_folder() / entry.file).exists()


def test_a_users_word_can_not_make_another_file_of_one_that_the_project_knows(known: Catalogue, capsys) -> None:
    known(sha256(GOOD))
    user_models_folder().mkdir(parents=True)
    (user_models_folder() / "net.onnx").write_bytes(OTHER)
    assert run("trust", "net") == 1
    assert sha256(GOOD) in capsys.readouterr().err
    assert trust.trust_records() == []


def test_a_damaged_list_of_trust_is_told_in_words(tmp_path: Path, config: Path, capsys) -> None:
    assert run("import", str(own_file(tmp_path)), "--trust") == 0
    (config / "trusted.json").write_text('{"format": 1, "trusted"')
    assert run("verify", "own.onnx") == 1
    assert "trusted.json.copy" in capsys.readouterr().out
    assert run("trust", "own.onnx") == 1
    assert "trusted.json" in capsys.readouterr().err


def test_the_folders_are_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("where") == 0
    shown = capsys.readouterr().out
    for path in (shipped_models_folder(), user_models_folder(), config / "trusted.json"):
        assert str(path) in shown
