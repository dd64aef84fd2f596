# SPDX-License-Identifier: GPL-2.0-or-later
"""``models`` and ``trust``: what may run, and why not."""

from pathlib import Path

from ...models.catalog import CatalogError, ModelEntry, default_model_id, load_catalog
from ...models.trust import ModelRefused, read_model, user_models_folder
from ...models.trust import trust_file as remember_trust
from ..locale import text
from .errors import CommandError


def list_models() -> int:
    """Print every model of the catalogue: id, name, and whether it may run."""
    try:
        entries = load_catalog()
    except CatalogError as error:
        raise CommandError(f"The catalogue of models is damaged: {error}") from error
    for entry in entries.values():
        default = " (default)" if entry.id == default_model_id() else ""
        print(f"{entry.id}{default}\n    {entry.name}, {entry.license}\n    {_state(entry)}")
    print(f"Files of models that do not ship belong in {user_models_folder()}")
    return 0


def _state(entry: ModelEntry) -> str:
    try:
        model = read_model(entry)
    except ModelRefused as refusal:
        return f"not usable: {words(refusal)}"
    return f"verified, {model.name}, {len(model.data):,} bytes, SHA-256 {model.sha256}"


def trust_file(path: Path) -> int:
    """Trust a file as it is now, and say whether it can run."""
    try:
        record = remember_trust(path)
        print(f"Trusted: {record.name}, {record.size:,} bytes\nSHA-256 {record.sha256}")
        read_model(path.absolute())
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal
    print("In OBS: Tools, Scripts, OBS Background Filter, Model “Own file…”.")
    return 0


def words(refusal: ModelRefused) -> str:
    """A refusal in the user's words."""
    return text(f"problem.{refusal.code}", **refusal.params)
