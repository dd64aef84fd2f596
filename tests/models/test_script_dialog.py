# SPDX-License-Identifier: GPL-2.0-or-later
"""What the script's dialog shows of models and what its button trusts, with a stand-in for OBS's module."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from background_filter.filters.obs import script as script_module
from background_filter.filters.obs.script import Script
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.models.places import user_models_folder
from background_filter.tests.models.product import GOOD, OTHER, own_file, sha256


class StandIn:
    """Takes the place of ``obspython``, of libobs and of the engine: remembers what is shown, said and set."""

    is_running, failure = False, ""

    def __init__(self) -> None:
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
        if made == "model":
            self.models[value] = words

    def obs_data_get_string(self, settings: Any, key: str) -> str:
        return self.settings.get(key, "")

    def obs_data_set_string(self, settings: Any, key: str, value: str) -> None:
        self.settings[key] = value

    def configure(self, *arguments: str) -> None:
        self.configured = arguments

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
    one._own_model_file, one._shown = "", ("", None)
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
