# SPDX-License-Identifier: GPL-2.0-or-later
"""What the script does in Tools, Scripts: load, unload, its properties.

The module outlives reloads of the top script, and with it the engine host, the registration and a running installation.
The settings keys ``model``, ``own_model_file``, ``device`` and ``log_level`` are stored in users' scene collections:
they never change.
"""

import functools
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from ...models import trust
from ...models.catalog import default_model_id, load_catalog
from .. import VERSION
from ..bridge.messages import DEVICES, LOG_LEVELS
from ..bridge.problems import Problem
from ..environment.build import engine_python
from ..locale import set_language, text
from .engine_host import EngineHost
from .installation import Installation
from .libobs import LOG_INFO, LOG_WARNING, libobs
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
        self._own_model_file = ""

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
        if model == OWN_FILE:
            model = f"file:{self._own_model_file}"
        elif model not in load_catalog():
            model = default_model_id()
        device, log_level = get("device"), get("log_level")
        self._host.configure(
            model,
            device if device in DEVICES else "auto",
            log_level if log_level in LOG_LEVELS else "info",
        )

    def properties(self) -> Any:
        """The dialog in Tools, Scripts."""
        obs = self._obspython
        properties = obs.obs_properties_create()
        models = [(entry.id, entry.name) for entry in load_catalog().values()]
        models.append((OWN_FILE, text("script.model.own")))
        self._add_list(properties, "model", models)
        own = obs.obs_properties_add_path(
            properties, "own_model_file", text("script.own_model_file.label"), obs.OBS_PATH_FILE, "ONNX (*.onnx)", ""
        )
        obs.obs_property_set_long_description(own, text("script.own_model_file.tooltip"))
        digest = self._own_digest()
        if digest:
            words = text("script.digest", sha256=digest)
            obs.obs_properties_add_text(properties, "own_model_digest", words, obs.OBS_TEXT_INFO)
        self._add_button(properties, "trust", text("script.trust.label"), self._trust_pressed)
        self._add_list(properties, "device", [(device, text(f"script.device.{device}")) for device in DEVICES])
        self._add_button(properties, "install", self._installation.label(), self._install_pressed)
        levels = [(level, text(f"script.log_level.{level}")) for level in LOG_LEVELS]
        self._add_list(properties, "log_level", levels)
        obs.obs_properties_add_text(properties, "version", self._version_words(), obs.OBS_TEXT_INFO)
        return properties

    def _add_list(self, properties: Any, key: str, choices: list[tuple[str, str]]) -> None:
        obs = self._obspython
        made = obs.obs_properties_add_list(
            properties, key, text(f"script.{key}.label"), obs.OBS_COMBO_TYPE_LIST, obs.OBS_COMBO_FORMAT_STRING
        )
        for value, words in choices:
            obs.obs_property_list_add_string(made, words, value)
        obs.obs_property_set_long_description(made, text(f"script.{key}.tooltip"))

    def _add_button(self, properties: Any, key: str, label: str, pressed: Any) -> None:
        # obspython silently drops a callback that is not a plain function, such as a bound method.
        made = self._obspython.obs_properties_add_button(properties, key, label, lambda *words: pressed(*words))
        self._obspython.obs_property_set_long_description(made, text(f"script.{key}.tooltip"))

    def _own_digest(self) -> str:
        """The digest of the user's own file, in groups that a narrow dialog can wrap; empty if there is no file."""
        try:
            sha256 = trust.digest_file(Path(self._own_model_file)) if self._own_model_file else ""
        except (OSError, trust.ModelRefused):
            return ""
        return " ".join(sha256[start : start + 16] for start in range(0, len(sha256), 16))

    def _trust_pressed(self, properties: Any, button: Any) -> bool:
        """The user vouches for the file that is set as own model."""
        try:
            record = trust.trust_file(Path(self._own_model_file))
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
