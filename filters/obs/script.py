# SPDX-License-Identifier: GPL-2.0-or-later
"""What the script does in Tools, Scripts: load, unload, its properties.

The module outlives reloads of the top script, and with it the engine host, the registration and a running installation.
The settings keys ``model``, ``own_model_file``, ``device`` and ``log_level`` are stored in users' scene collections:
they never change. Those of :mod:`.own_file` only carry its answers from the dialog to where they are kept.
"""

import functools
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...models import trust
from ...models.catalog import default_model_id, find_model
from ...models.choices import load_choices, save_choices
from .. import VERSION
from ..bridge.messages import AUTOMATIC, DEVICES, LOG_LEVELS
from ..bridge.problems import Problem
from ..environment.build import engine_python
from ..locale import set_language, text
from .engine_host import EngineHost
from .installation import Installation
from .libobs import LOG_INFO, LOG_WARNING, libobs
from .model_list import FILE, catalogue_choices
from .own_file import Facts, answered, facts_of, questions
from .registration import FILTER_ID, Registration
from .words import describe

OWN_FILE = "own"
# How soon a thread of ours, or of another script, gives the interpreter to a callback of OBS that waits for it.
SWITCH_INTERVAL_S = 0.0005


class Script:
    """The one instance in an OBS. ``obspython`` is OBS's module; it works only inside the script's own hooks."""

    def __init__(self, obspython: Any) -> None:
        self._obspython = obspython
        self._obs = libobs()
        set_language((self._obs.obs_get_locale() or b"en-US").decode())
        self._host = EngineHost(self._obs)
        self._registration = Registration(self._obs, self._host)
        self._installation = Installation(self._host)
        self._settings: Any = None  # of the script, from the first update on
        self._own_model_file, self._is_own = "", False
        self._is_result_awaited = False
        self._answers: tuple[str, dict[str, str]] = ("", {})  # the digest that was asked about, and what stands there
        self._shown: tuple[str, str | None] = ("", None)  # the own file that the dialog showed, and its digest

    def description(self) -> str:
        """The rich text above the properties."""
        return text("script.description", version=VERSION)

    def load(self) -> None:
        """The script was loaded, or loaded again."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
        ignore_broken_pipes()
        self._obs.obs_enable_source_type(FILTER_ID, True)
        self._obs.log(LOG_INFO, f"version {VERSION} loaded, Python {sys.version.split()[0]}")

    def unload(self) -> None:
        """The script was removed, or is about to be reloaded, or OBS ends. Living filters go on."""
        self._settings = None
        self._obs.obs_enable_source_type(FILTER_ID, False)

    def defaults(self, settings: Any) -> None:
        """Declare the defaults of the script's properties."""
        set_default = self._obspython.obs_data_set_default_string
        set_default(settings, "model", default_model_id())
        set_default(settings, "own_model_file", "")
        set_default(settings, "device", "auto")
        set_default(settings, "log_level", "info")

    def update(self, settings: Any) -> None:
        """The properties changed: tell the engine."""
        get = functools.partial(self._obspython.obs_data_get_string, settings)
        model, self._own_model_file = get("model"), get("own_model_file")
        self._settings, self._is_own = settings, model == OWN_FILE
        self._take_answers(get)
        model = f"{FILE}{self._own_model_file}" if model == OWN_FILE else self._present_id(settings, model)
        device, log_level = get("device"), get("log_level")
        self._host.configure(
            model,
            device if device in DEVICES else "auto",
            log_level if log_level in LOG_LEVELS else "info",
        )

    def _present_id(self, settings: Any, model: str) -> str:
        """The model that an id means: another may have replaced it, and then the setting names that from now on."""
        if model == AUTOMATIC:
            return model
        entry = find_model(model)
        if entry is None:
            return default_model_id()
        if entry.id != model:
            self._obspython.obs_data_set_string(settings, "model", entry.id)
        return entry.id

    def properties(self) -> Any:
        """The dialog in Tools, Scripts."""
        obs = self._obspython
        properties = obs.obs_properties_create()
        self._add_list(properties, "model", [*catalogue_choices(), (OWN_FILE, text("script.model.own"))])
        own = obs.obs_properties_add_path(
            properties, "own_model_file", text("script.own_model_file.label"), obs.OBS_PATH_FILE, "ONNX (*.onnx)", ""
        )
        obs.obs_property_set_long_description(own, text("script.own_model_file.tooltip"))
        found, digest, facts = self._own_file_words()
        if digest:
            obs.obs_properties_add_text(properties, "own_model_digest", digest, obs.OBS_TEXT_INFO)
        self._add_button(properties, "trust", text("script.trust.label"), self._trust_pressed)
        if facts:
            obs.obs_properties_add_text(properties, "own_model_facts", facts, obs.OBS_TEXT_INFO)
        if found and self._is_own and self._settings is not None:
            self._add_questions(properties, found)
        self._add_list(properties, "device", [(device, text(f"script.device.{device}")) for device in DEVICES])
        obs.obs_properties_add_text(properties, "suggestion", self._suggestion_words(), obs.OBS_TEXT_INFO)
        self._add_button(properties, "measure", text("script.measure.label"), self._measure_pressed)
        self._add_button(properties, "install", self._installation.label(), self._install_pressed)
        levels = [(level, text(f"script.log_level.{level}")) for level in LOG_LEVELS]
        self._add_list(properties, "log_level", levels)
        obs.obs_properties_add_text(properties, "version", self._version_words(), obs.OBS_TEXT_INFO)
        return properties

    def _add_list(self, properties: Any, key: str, choices: list[tuple[str, str]], more_words: str = "") -> None:
        obs = self._obspython
        made = obs.obs_properties_add_list(
            properties, key, text(f"script.{key}.label"), obs.OBS_COMBO_TYPE_LIST, obs.OBS_COMBO_FORMAT_STRING
        )
        for value, words in choices:
            obs.obs_property_list_add_string(made, words, value)
        obs.obs_property_set_long_description(made, f"{text(f'script.{key}.tooltip')} {more_words}".strip())

    def _add_button(self, properties: Any, key: str, label: str, pressed: Any) -> None:
        # obspython silently drops a callback that is not a plain function, such as a bound method.
        made = self._obspython.obs_properties_add_button(properties, key, label, lambda *words: pressed(*words))
        self._obspython.obs_property_set_long_description(made, text(f"script.{key}.tooltip"))

    def _add_questions(self, properties: Any, found: Facts) -> None:
        """The lists that correct what was guessed about the user's own file, in a group of their own."""
        obs = self._obspython
        try:
            chosen = load_choices(found.sha256)
        except trust.ModelRefused as refusal:
            words = describe(Problem(refusal.code, refusal.params))
            obs.obs_properties_add_text(properties, "own_choices_problem", words, obs.OBS_TEXT_INFO)
            return
        asked = questions(found.ports, self._host.guesses.get(found.sha256, []), chosen)
        group = obs.obs_properties_create()
        for question in asked:
            obs.obs_data_set_string(self._settings, question.key, question.answer)
            self._add_list(group, question.key, question.entries, question.why)
        label = text("script.own_choices.label")
        obs.obs_properties_add_group(properties, "own_choices", label, obs.OBS_GROUP_NORMAL, group)
        self._answers = found.sha256, {question.key: question.answer for question in asked}

    def _take_answers(self, get: Callable[[str], str]) -> None:
        """Keep what the user answered about the file that the dialog shows, and have it loaded so."""
        sha256, before = self._answers
        now = {key: get(key) for key in before}
        if now == before or not self._is_own or self._shown != (self._own_model_file, sha256):
            return
        self._answers = sha256, now
        try:
            changed = {key: answer for key, answer in now.items() if answer != before[key]}
            save_choices(sha256, answered(changed, load_choices(sha256)))
        except trust.ModelRefused as refusal:
            self._obs.log(LOG_WARNING, describe(Problem(refusal.code, refusal.params)))
        else:
            self._host.reload_model()

    def _own_file_words(self) -> tuple[Facts | None, str, str]:
        """What a user should see before they trust their own file: its digest, and size, inputs and outputs.

        For a file that may not run whoever trusts it: no digest, and why. Nothing where no file is set.
        """
        self._shown = ("", None)
        if not self._own_model_file:
            return None, "", ""
        try:
            found = facts_of(Path(self._own_model_file))
        except trust.ModelRefused as refusal:
            return None, "", describe(Problem(refusal.code, refusal.params))
        self._shown = (self._own_model_file, found.sha256)
        # In groups that a narrow dialog can wrap.
        sha256 = " ".join(found.sha256[start : start + 16] for start in range(0, 64, 16))
        inputs, outputs = (", ".join(map(str, ports)) for ports in found.ports[:2])
        words = text("script.own_model_facts", size_mb=f"{found.size / 1e6:.1f}", inputs=inputs, outputs=outputs)
        return found, text("script.digest", sha256=sha256), words

    def _trust_pressed(self, properties: Any, button: Any) -> bool:
        """The user vouches for the file that is set as own model: for the bytes that the dialog showed, if it did."""
        path, shown_sha256 = self._shown
        try:
            record = trust.trust_file(
                Path(self._own_model_file), shown_sha256 if path == self._own_model_file else None
            )
        except trust.ModelRefused as error:
            self._obs.log(LOG_WARNING, describe(Problem(error.code, error.params)))
            return True
        self._obs.log(LOG_INFO, f"trusted by the user: {record.name}, SHA-256 {record.sha256}")
        self._host.reload_model()
        return True

    def _install_pressed(self, properties: Any, button: Any) -> bool:
        """Start the installation; while it runs, show how far it is (OBS redraws the dialog only for a press)."""
        self._installation.start()
        obs = self._obspython
        obs.obs_property_set_description(button, self._installation.label())
        version = obs.obs_properties_get(properties, "version")
        obs.obs_property_set_description(version, self._version_words())
        return True

    def _measure_pressed(self, properties: Any, button: Any) -> bool:
        """Measure the models, or tell how that went (OBS redraws the dialog only for a press)."""
        if not self._is_result_awaited:
            self._host.measure()
        self._is_result_awaited = self._host.is_measuring
        obs = self._obspython
        line = obs.obs_properties_get(properties, "suggestion")
        obs.obs_property_set_description(line, self._suggestion_words())
        return True

    def _suggestion_words(self) -> str:
        if self._host.is_measuring:
            return text("script.suggestion.measuring")
        model = self._host.suggestion
        if model is None:
            return text("script.suggestion.unknown")
        entry = find_model(model) if model else None
        return text("script.suggestion.best", model=entry.name) if entry else text("script.suggestion.none")

    def _version_words(self) -> str:
        return text("script.version", version=VERSION, engine=self._engine_words())

    def _engine_words(self) -> str:
        if self._installation.is_running:
            return self._installation.progress()
        if self._installation.failure:
            return text("script.engine.failed", detail=self._installation.failure)
        if engine_python() is None:
            return text("script.engine.none")
        onnxruntime = self._host.hello.get("onnxruntime")
        return text("script.engine.running", onnxruntime=onnxruntime) if onnxruntime else text("script.engine.idle")


def ignore_broken_pipes() -> None:
    """A write to an engine that has died must be an error, not the end of OBS. Python sees to that by itself unless
    OBS starts it without signal handlers; only the main thread may mend it."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


@functools.cache
def the_script(obspython: Any) -> Script:
    """The instance; made when the script is first loaded."""
    return Script(obspython)
