# SPDX-License-Identifier: GPL-2.0-or-later
"""The models that can be chosen: those whose file is there, by the value that settings store and the words shown."""

import re
from pathlib import Path

from ...models.catalog import CatalogError, ModelEntry, load_catalog
from ...models.places import find_file
from ...models.store import own_files
from ..bridge.messages import AUTOMATIC
from ..locale import text

FILE = "file:"  # and an absolute path: a model of the user's own
AS_IN_SCRIPT = ""
MAX_CHARACTERS = 500  # of a value; more would not fit into a message to the engine

Choices = list[tuple[str, str]]


def catalogue_choices() -> Choices:
    """The choice that leaves it to the engine, then the models of the catalogue that are there."""
    present = [(entry.id, entry.name) for entry in _entries() if find_file(entry)]
    return [(AUTOMATIC, text("script.model.auto")), *present]


def filter_choices(chosen: str) -> Choices:
    """What one filter may run, the files in the user's folder too. ``chosen`` is among them even if it is not there:
    OBS would set another in its place when it shows the list."""
    known = {entry.file for entry in _entries()}
    own = [(f"{FILE}{path}", path.name) for path in own_files(known)]
    choices = [(AS_IN_SCRIPT, text("setting.model.script")), *catalogue_choices(), *own]
    if chosen not in dict(choices):
        choices.append((chosen, text("setting.model.missing", model=name_of(chosen))))
    return choices


def _entries() -> list[ModelEntry]:
    """The catalogue; empty if it is damaged, which whoever loads a model is told."""
    try:
        return list(load_catalog().values())
    except CatalogError:
        return []


def name_of(model: str) -> str:
    """A model in one word: its id, or the name of its file."""
    return Path(model.removeprefix(FILE)).name if model.startswith(FILE) else model


def legal_choice(value: str) -> str:
    """A value that a filter may store; as in the script if it can't be one."""
    is_id = re.fullmatch(r"[a-z0-9_]{1,64}", value)
    is_file = value.startswith(FILE) and len(value) <= MAX_CHARACTERS and Path(value.removeprefix(FILE)).is_absolute()
    return value if is_id or is_file else AS_IN_SCRIPT
