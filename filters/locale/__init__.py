# SPDX-License-Identifier: GPL-2.0-or-later
"""Every text that a streamer reads, in ``<language>.json`` files of key and text; English fills the gaps."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
FALLBACK = "en-US"

_texts: dict[str, str] = {}


def load(language: str) -> dict[str, str]:
    """The texts of one language (``de-DE``)."""
    texts: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def languages() -> set[str]:
    """The languages that there are texts in."""
    return {path.stem for path in FOLDER.glob("*.json")}


def set_language(language: str) -> None:
    """Use ``language`` from now on: OBS's locale, such as ``de-DE``."""
    _texts.clear()
    _texts.update(load(FALLBACK))
    if language in languages():
        _texts.update(load(language))


def text(key: str, **parameters: Any) -> str:
    """The text of ``key`` with its ``{parameters}`` filled in; the key itself where there is none, so that a missing
    text is seen and harms nothing."""
    if not _texts:
        set_language(FALLBACK)
    template = _texts.get(key)
    if template is None:
        return " ".join([key, *(f"{name}={value}" for name, value in parameters.items())])
    try:
        return template.format(**parameters)
    except (KeyError, IndexError, ValueError):
        return template
