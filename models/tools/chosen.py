# SPDX-License-Identifier: GPL-2.0-or-later
"""Which models a command that measures means: those named, or all that are there and may run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...filters.cli.errors import CommandError
from ...filters.cli.models import catalogue, files, find
from .. import store
from ..catalog import ModelEntry

HELP = "ids of the catalogue, names of files in your folder of models, or paths; without one, all that may run"


def chosen_models(names: Sequence[str]) -> dict[str, ModelEntry | Path]:
    """Entries of the catalogue and a user's own files, by id or file name; not read yet.

    CommandError for a name that means nothing, for two that mean the same, and if there is nothing to choose.
    """
    models = [find(name) for name in names] or runnable()
    found: dict[str, ModelEntry | Path] = {}
    for model in models:
        name = model.id if isinstance(model, ModelEntry) else model.name
        if name in found:
            raise CommandError(f"{name} is named twice, or two files are called so: the tables would mix them up.", 2)
        found[name] = model if isinstance(model, ModelEntry) else model.absolute()
    if not found:
        raise CommandError("No model is there that may run. To get one: models fetch MODEL.")
    return found


def runnable() -> list[ModelEntry | Path]:
    """Every model of the catalogue and every file in the user's folder that may run now."""
    entries = catalogue()
    known: list[ModelEntry | Path] = [*entries.values(), *store.own_files(files(entries))]
    return [model for model in known if store.state_of(model).vouched_by]
