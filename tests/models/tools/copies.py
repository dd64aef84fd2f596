# SPDX-License-Identifier: GPL-2.0-or-later
"""Real models in the user's folder, and copies of them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from background_filter.filters.engine.network import load_network
from background_filter.filters.engine.ports import Ports
from background_filter.models import store, trust
from background_filter.models.catalog import load_catalog
from background_filter.models.places import ROOT, user_models_folder
from background_filter.models.tools.compare import portrait, read_original


def install(shared_folder: Path, identity: str) -> Path:
    """Copy a model of the catalogue from the shared ones into the user's folder, and trust it as they would."""
    entry = load_catalog()[identity]
    found = next((shared_folder / "models").glob(f"*/{entry.file}"))
    store.make_private_folder(user_models_folder())
    path = user_models_folder() / entry.file
    shutil.copyfile(found, path)
    trust.trust_file(path)
    return path


def mask_of(model: str) -> NDArray[np.uint8]:
    """The engine's mask of the portrait, of a model by its id or path."""
    version = read_original(model).version
    return version.mask(portrait(version.network).frame_rgba)


def ports_as_own_file(path: Path) -> Ports:
    """How the engine feeds a file that the user trusts now."""
    trust.trust_file(path)
    return load_network(trust.read_model(path), "cpu").network.ports


def typed_on_the_page(verb: str) -> list[list[str]]:
    """What docs/models.md lets one type behind ``models <verb>``."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    found = re.findall(rf"^python3 obs_background_filter\.py models {verb} (.+)$", page, re.MULTILINE)
    return [shlex.split(line) for line in found]
