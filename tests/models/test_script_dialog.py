# SPDX-License-Identifier: GPL-2.0-or-later
"""What the script's dialog shows of models and what its button trusts, with a stand-in for OBS's module."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from background_filter.filters.obs import own_file as own_file_questions
from background_filter.filters.obs import script as script_module
from background_filter.filters.obs.script import Script
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.models.choices import Chosen, load_choices, save_choices, store_path
from background_filter.models.onnx_ports import Port, Ports
from background_filter.models.places import user_models_folder
from background_filter.tests.models.product import GOOD, OTHER, own_file, sha256


class StandIn:
    """Takes the place of ``obspython``, of libobs and of the engine: remembers what is shown, said and set."""

    is_running, failure = False, ""
    suggestion: str | None = None
    is_measuring = False

    def __init__(self) -> None:
        self.guesses: dict[str, list[own_file_questions.Guess]] = {}
        self.lists: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.hello: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.said: list[str] = []
        self.settings: dict[str, str] = {}
        self.configured: tuple[str, ...] = ()

    def obs_properties_add_text(self, properties: Any, key: str, words: str, kind: Any) -> None:
        self.texts[key] = words

    def obs_properties_add_list(self, properties: Any, key: str, *rest: Any) -> str:
        return key

    def obs_property_list_add_string(self, made: str, words: str, value: str) -> None:
        self.lists.setdefault(made, {})[value] = words
        if made == "model":
            self.models[value] = words

    def obs_data_get_string(self, settings: Any, key: str) -> str:
        return self.settings.get(key, "")

    def obs_data_set_string(self, settings: Any, key: str, value: str) -> None:
        self.settings[key] = value

    def configure(self, *arguments: str) -> None:
        self.configured = arguments

    def reload_model(self) -> None:
        self.asked.append("reload")

    def measure(self) -> None:
        self.asked.append("measure")
        self.is_measuring = True

    def obs_property_set_long_description(self, made: str, words: str) -> None:
        self.texts[f"about {made}"] = words

    def obs_property_set_description(self, made: str, words: str) -> None:
        self.texts[made] = words

    def obs_properties_get(self, properties: Any, key: str) -> str:
        return key

    def log(self, level: int, words: str) -> None:
        self.said.append(words)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: ""


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def script(stand_in: StandIn) -> Script:
    """A script that was never in an OBS."""
    one = Script.__new__(Script)
    one._obspython = one._obs = one._host = one._installation = stand_in  # type: ignore[assignment]
    one._own_model_file, one._shown, one._is_own = "", ("", None), False
    one._settings, one._answers, one._is_result_awaited = None, ("", {}), False
    return one


def test_digest_size_inputs_and_outputs_are_shown_before_the_button_is_pressed(
    script: Script, stand_in: StandIn, tmp_path: Path
) -> None:
    script._own_model_file = str(own_file(tmp_path))
    script.properties()
    assert sha256(OTHER) in stand_in.texts["own_model_digest"].replace(" ", "")
    facts = stand_in.texts["own_model_facts"]
    assert "picture float [1, 3, 4, 4]" in facts and "mask float [1, 1, 4, 4]" in facts
    assert trust.trust_records() == []
    script._trust_pressed(None, None)
    assert [record.sha256 for record in trust.trust_records()] == [sha256(OTHER)]


def test_a_file_that_changed_since_it_was_shown_is_not_trusted(
    script: Script, stand_in: StandIn, tmp_path: Path
) -> None:
    path = own_file(tmp_path)
    script._own_model_file = str(path)
    script.properties()
    path.write_bytes(GOOD)
    script._trust_pressed(None, None)
    assert trust.trust_records() == []
    assert sha256(GOOD) in stand_in.said[0]
    script.properties()
    script._trust_pressed(None, None)
    assert [record.sha256 for record in trust.trust_records()] == [sha256(GOOD)]


def test_what_may_not_run_is_said_instead_of_a_digest(script: Script, stand_in: StandIn, tmp_path: Path) -> None:
    script._own_model_file = str(own_file(tmp_path, b"hello"))
    script.properties()
    assert "own_model_digest" not in stand_in.texts
    assert "not an ONNX model" in stand_in.texts["own_model_facts"]


def test_only_models_that_are_there_can_be_chosen(script: Script, stand_in: StandIn) -> None:
    script.properties()
    assert default_model_id() in stand_in.models and "own" in stand_in.models
    assert "u2netp" not in stand_in.models
    user_models_folder().mkdir(parents=True)
    (user_models_folder() / "u2netp.onnx").write_bytes(GOOD)
    script.properties()
    assert stand_in.models["u2netp"] == load_catalog()["u2netp"].name


def test_a_setting_with_a_former_id_runs_and_names_the_model_that_replaced_it(
    script: Script, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = dataclasses.replace(load_catalog()["u2netp"], id="new", replaces=("old",))
    monkeypatch.setattr(script_module, "find_model", {"old": new, "new": new}.get)
    for chosen, expected in (("old", "new"), ("new", "new"), ("nonsense", default_model_id())):
        stand_in.settings = {"model": chosen}
        script.update(None)
        assert stand_in.configured[0] == expected
        assert stand_in.settings["model"] == ("nonsense" if chosen == "nonsense" else "new")


def test_automatic_is_offered_and_passed_on(script: Script, stand_in: StandIn) -> None:
    stand_in.settings = {"model": "auto"}
    script.update(None)
    assert stand_in.configured[0] == "auto"
    script.properties()
    assert "auto" in stand_in.models


def test_what_suits_the_computer_is_told_without_choosing_it(script: Script, stand_in: StandIn) -> None:
    script.properties()
    assert stand_in.texts["suggestion"].startswith("Not measured yet")
    for suggestion, words in (("", "none of the measured models"), ("u2netp", load_catalog()["u2netp"].name)):
        for _ in range(2):
            script._measure_pressed(None, None)
            assert stand_in.texts["suggestion"].startswith("Measuring")
        stand_in.is_measuring, stand_in.suggestion = False, suggestion
        script._measure_pressed(None, None)
        assert words in stand_in.texts["suggestion"]
    assert stand_in.asked == ["measure", "measure"]
    assert stand_in.configured == () and stand_in.settings == {}


def show_own(script: Script, stand_in: StandIn, path: Path) -> str:
    """The dialog with this file as model; its digest."""
    stand_in.settings |= {"model": "own", "own_model_file": str(path)}
    script.update("settings")
    script.properties()
    return sha256(path.read_bytes())


def test_what_was_guessed_is_shown_and_can_be_corrected(script: Script, stand_in: StandIn, tmp_path: Path) -> None:
    path = own_file(tmp_path)
    digest = sha256(path.read_bytes())
    formula = f"(x * {1 / 255:.4g} - {[0.0] * 3}) / {[1.0] * 3}"
    stand_in.guesses[digest] = [
        own_file_questions.Guess("colours", "RGB", "usual"),
        own_file_questions.Guess("values", formula, "usual"),
    ]
    assert show_own(script, stand_in, path) == digest
    assert stand_in.lists["own_colours"][""] == "as guessed (RGB)"
    assert stand_in.lists["own_values"][""] == "as guessed (0 to 1)"
    assert "nothing in the file tells" in stand_in.texts["about own_colours"]
    assert {stand_in.settings[key] for key in own_file_questions.KEYS if key in stand_in.settings} == {""}
    stand_in.settings |= {"own_colours": "BGR", "own_person": "not 0"}
    script.update("settings")
    assert load_choices(digest) == {"input": {"channels": "BGR"}, "output": {"channel": 0, "inverted": True}}
    assert stand_in.asked == ["reload"]
    stand_in.settings["own_colours"] = ""
    script.update("settings")
    assert load_choices(digest) == {"output": {"channel": 0, "inverted": True}}


def test_answers_to_another_file_are_no_answers(script: Script, stand_in: StandIn, tmp_path: Path) -> None:
    """As at the start of OBS, whose settings remember what the dialog showed last."""
    stand_in.settings["own_colours"] = "BGR"
    show_own(script, stand_in, own_file(tmp_path))
    assert stand_in.settings["own_colours"] == "" and not store_path().exists()
    stand_in.settings |= {"own_model_file": str(own_file(tmp_path, GOOD, "good.onnx")), "own_colours": "BGR"}
    script.update("settings")
    assert stand_in.asked == [] and not store_path().exists()


@pytest.mark.parametrize(
    "key, answer",
    [("own_size", "0x0"), ("own_size", "large"), ("own_values", "x"), ("own_person", "-1"), ("own_kind", "magic")],
)
def test_nonsense_is_refused_in_words(script: Script, stand_in: StandIn, tmp_path: Path, key: str, answer: str) -> None:
    digest = show_own(script, stand_in, own_file(tmp_path))
    script._answers[1].setdefault(key, "")
    stand_in.settings[key] = answer
    script.update("settings")
    assert "can't be used" in stand_in.said[-1]
    assert load_choices(digest) == {} and stand_in.asked == []


def test_choices_that_cannot_be_read_are_said_and_kept(script: Script, stand_in: StandIn, tmp_path: Path) -> None:
    store_path().parent.mkdir(parents=True)
    store_path().write_text("{")
    show_own(script, stand_in, own_file(tmp_path))
    assert "choices.json" in stand_in.texts["own_choices_problem"]
    assert "own_colours" not in stand_in.lists
    assert store_path().read_text() == "{"


OPEN = Ports(
    (Port("x", "float", (1, None, None, None)),),
    (Port("a", "float", (1, 144, 256, 2)), Port("b", "float", (1, 21, 18, 32))),
    17,
    "",
)


def test_every_entry_comes_back_as_the_answer_it_gave() -> None:
    asked = own_file_questions.questions(OPEN, [], {})
    assert [question.key for question in asked] == list(own_file_questions.KEYS)
    digest = "ab" * 32
    for question in asked:
        assert question.answer == ""
        for value, _ in question.entries:
            save_choices(digest, own_file_questions.answered({question.key: value}, {}))
            again = own_file_questions.questions(OPEN, [], load_choices(digest))
            assert {each.key: each.answer for each in again if each.answer} == ({question.key: value} if value else {})


@pytest.mark.parametrize(
    ("shape", "orders"),
    [
        ((1, 4, 144, 256), ["RGBM", "BGRM"]),
        ((1, 144, 256, 4), ["RGBM", "BGRM"]),
        ((1, 3, 144, 256), ["RGB", "BGR"]),
        ((1, None, None, None), ["RGB", "BGR", "RGBM", "BGRM"]),
    ],
)
def test_the_order_of_planes_is_asked_where_there_is_a_choice(shape: tuple[int | None, ...], orders: list[str]) -> None:
    ports = OPEN._replace(inputs=(Port("x", "float", shape),))
    asked = {question.key: question for question in own_file_questions.questions(ports, [], {})}
    assert [value for value, _ in asked["own_colours"].entries] == ["", *orders]
    assert ("own_size" in asked, "own_layout" in asked) == (None in shape, None in shape)


def test_what_models_preview_set_stays_until_it_is_corrected() -> None:
    chosen: Chosen = {"input": {"scale": 0.5, "width": 100}, "output": {"channel": 3}}
    answers = {each.key: each.answer for each in own_file_questions.questions(OPEN, [], chosen)}
    assert {key: answer for key, answer in answers.items() if answer} == {
        "own_size": "other",
        "own_values": "other",
        "own_person": "3",
    }
    assert own_file_questions.answered({"own_size": "other", "own_values": "other"}, chosen) == chosen
    assert own_file_questions.answered({"own_size": ""}, chosen) == {**chosen, "input": {"scale": 0.5}}


def test_what_the_graph_says_is_not_asked() -> None:
    fixed = Ports((Port("x", "float", (1, 3, 144, 256)),), (Port("y", "float", (1, 1, 144, 256)),), 17, "")
    asked = {question.key for question in own_file_questions.questions(fixed, [], {})}
    assert asked == {"own_colours", "own_values", "own_kind", "own_person"}


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, looks = own_file(tmp_path), []
    look_at = trust.look_at

    def look(path: Path) -> trust.Candidate:
        looks.append(path)
        return look_at(path)

    monkeypatch.setattr(trust, "look_at", look)
    for _ in range(3):
        assert own_file_questions.facts_of(path).sha256 == sha256(OTHER)
    assert len(looks) == 1
    path.write_bytes(GOOD)
    assert own_file_questions.facts_of(path).sha256 == sha256(GOOD)
