# SPDX-License-Identifier: GPL-2.0-or-later
"""The presets of one filter's dialog: the list, and what saves, loads and removes the user's own.

Three keys of the settings carry what the user chose or typed: ``preset``, ``preset_name``, ``preset_file``. They are no
settings of the filter: what a preset holds is written into the filter's settings once, when it is chosen.

All of it happens on OBS's main thread, from within a dialog's widgets, which must outlive the call: so nothing here
redraws the dialog, but asks for it to be done on the next tick.
"""

import time
from collections.abc import Callable
from pathlib import Path

from ..locale import text
from ..presets import (
    BUILT_IN,
    DEFAULT_PRESET,
    Preset,
    PresetError,
    as_preset,
    free_name,
    legal_name,
    load_own,
    names_of_own,
    read_preset_file,
    remove_own,
    save_own,
)
from .libobs import LibObs
from .model_list import AS_IN_SCRIPT
from .settings import FilterSettings, read_settings, write_settings

PRESET, NAME, FILE = b"preset", b"preset_name", b"preset_file"
CUSTOM, OWN = "", "own:"
# A dialog that is opened later says nothing of it any more.
SAID_FOR_S = 30.0


class PresetRows:
    """``source`` is the filter's own; ``redraw`` asks for a redrawn dialog. What is to be said of the last thing
    that was done stands in ``list_note`` or ``own_note``, beside where it was done, and ``to_remove`` is the preset
    that the next press of the button removes; both for a while."""

    def __init__(self, obs: LibObs, source: int, redraw: Callable[[], None]) -> None:
        self._obs, self._source, self._redraw = obs, source, redraw
        self._chosen = CUSTOM
        self._preset: Preset | None = None
        self.list_note = self.own_note = self.to_remove = ""
        self._said_until_s = 0.0

    def settle(self, data: int) -> None:
        """The dialog is about to be made: from here on the list says what the settings in ``data`` are."""
        if time.monotonic() > self._said_until_s:
            self.list_note = self.own_note = self.to_remove = ""
        stored = self._get(data, PRESET)
        try:
            preset = _find(stored) if stored else None
        except PresetError:  # removed meanwhile
            preset = None
        if preset and not preset.is_in(read_settings(self._obs, data)):
            preset = None
        self._preset, self._chosen = preset, stored if preset else CUSTOM
        self._set(data, PRESET, self._chosen)
        self._set(data, FILE, "")

    def is_outdated(self, settings: FilterSettings) -> bool:
        """Whether the list names a preset that these settings no longer are."""
        preset = self._preset
        return preset is not None and not preset.is_in(settings)

    def choices(self) -> list[tuple[str, str]]:
        """The entries of the list: values and words."""
        custom = [(CUSTOM, text("preset.custom"))] if self._chosen == CUSTOM else []
        built_in = [(preset, text(f"preset.{preset}")) for preset in BUILT_IN]
        return [*custom, *built_in, *((f"{OWN}{name}", name) for name in names_of_own())]

    @property
    def own_name(self) -> str:
        """The name of the preset that is chosen, if it is one of the user's own."""
        return self._chosen.removeprefix(OWN) if self._chosen.startswith(OWN) else ""

    def chosen(self, data: int) -> None:
        """The list was touched, or a dialog opened."""
        stored = self._get(data, PRESET)
        if stored in (self._chosen, CUSTOM):
            return
        self._done()
        try:
            self._use(data, stored)
        except PresetError as error:
            self._set(data, PRESET, self._chosen)
            self.list_note = str(error)

    def save_pressed(self) -> None:
        """Keep the settings as they are under the name that was typed."""
        self._done()
        data = self._obs.obs_source_get_settings(self._source)
        try:
            self.own_note = self._save(data)
        except PresetError as error:
            self.own_note = str(error)
        finally:
            self._obs.obs_data_release(data)

    def remove_pressed(self) -> None:
        """Remove the own preset that is chosen, at the second press; the settings stay."""
        name, asked_for = self.own_name, self.to_remove
        self._done()
        if asked_for != name:
            self.to_remove = name
            return
        try:
            self.own_note = text("preset.removed", name=remove_own(name))
        except PresetError as error:
            self.own_note = str(error)

    def file_chosen(self, data: int) -> None:
        """Copy a preset's file to the user's own and use it."""
        path = self._get(data, FILE)
        if not path:
            return
        self._set(data, FILE, "")
        self._done()
        try:
            preset, notes = read_preset_file(Path(path))
            name = free_name(preset.name)
            save_own(Preset(name, preset.values))
            self._use(data, f"{OWN}{name}")
            self.own_note = " ".join([text("preset.loaded", name=name), *notes])
        except PresetError as error:
            self.own_note = str(error)

    def _done(self) -> None:
        """Something is being done: what was said before is past, and the dialog shows it."""
        self.list_note = self.own_note = self.to_remove = ""
        self._said_until_s = time.monotonic() + SAID_FOR_S
        self._redraw()

    def _use(self, data: int, choice: str) -> None:
        """Write a preset's values into the filter's settings."""
        preset = _find(choice)
        values = dict(preset.values)
        settings, before = read_settings(self._obs, data), self._preset
        # A model that a preset has chosen leaves with it.
        if before and "model" not in values and before.values.get("model") == settings.model:
            values["model"] = AS_IN_SCRIPT
        write_settings(self._obs, data, values)
        self._set(data, PRESET, choice)
        self._preset, self._chosen = preset, choice
        self._obs.obs_source_update(self._source, None)

    def _save(self, data: int) -> str:
        """Save; gives what to say of it."""
        typed = self._get(data, NAME)
        if not typed.strip():
            return text("preset.no_name")
        preset, notes = as_preset(legal_name(typed), read_settings(self._obs, data))
        file = save_own(preset, may_replace=True)
        self._set(data, PRESET, f"{OWN}{file.stem}")
        self._set(data, NAME, "")
        return " ".join([text("preset.saved", file=file), *notes])

    def _get(self, data: int, key: bytes) -> str:
        return (self._obs.obs_data_get_string(data, key) or b"").decode(errors="replace")

    def _set(self, data: int, key: bytes, value: str) -> None:
        if self._get(data, key) != value:  # what is as by default is not stored
            self._obs.obs_data_set_string(data, key, value.encode())


def set_default_preset(obs: LibObs, data: int) -> None:
    """The preset that a new filter has, by name: its values are the settings' defaults."""
    obs.obs_data_set_default_string(data, PRESET, DEFAULT_PRESET.encode())


def _find(choice: str) -> Preset:
    """The preset that a value of the list means; PresetError."""
    if choice in BUILT_IN:
        return BUILT_IN[choice]
    return load_own(choice.removeprefix(OWN))[0]
