# SPDX-License-Identifier: GPL-2.0-or-later
"""The networks in memory: each loaded once, in the background, and let go with its last user."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ...models import trust
from ...models.catalog import CatalogError, load_catalog
from ..bridge.problems import Problem
from .control import ControlLine
from .network import Network, load_network
from .providers import first_line

OWN_FILE = "file:"


class Wish(NamedTuple):
    """What a stream asks for: a catalogue id or ``file:/path``; a key of ``providers.DEVICES`` or "auto"."""

    model: str
    device: str

    @property
    def title(self) -> str:
        """What the status calls the model: the catalogue id, or an own file's name."""
        return Path(self.model.removeprefix(OWN_FILE)).name if self.model.startswith(OWN_FILE) else self.model


Outcome = Network | Problem


class Library:
    """Used by the loop's thread; loads in others, one for each wish: a stuck driver holds up only its own."""

    def __init__(self, control: ControlLine, on_loaded: Callable[[Wish, Outcome], None]) -> None:
        self._control = control
        self._on_loaded = on_loaded
        self._networks: dict[Wish, Network] = {}
        self._loading: set[Wish] = set()

    def ask(self, wish: Wish) -> None:
        """Have ``on_loaded`` called in the loop with the network or the problem; at once if it is here."""
        if wish in self._networks:
            self._on_loaded(wish, self._networks[wish])
        elif wish not in self._loading:
            self._loading.add(wish)
            threading.Thread(target=self._load, args=(wish,), name=f"load {wish.title}", daemon=True).start()

    def keep_only(self, used: Iterable[Network]) -> None:
        """Let go of every network that is not among ``used``."""
        kept = {id(network) for network in used}
        self._networks = {wish: network for wish, network in self._networks.items() if id(network) in kept}

    def _load(self, wish: Wish) -> None:
        outcome: Outcome
        try:
            outcome = load_network(verify(wish.model), wish.device)
        except trust.ModelRefused as refused:
            outcome = Problem(refused.code, refused.params)
        except Exception as error:  # nothing about one model may end the engine
            outcome = Problem("model.load_failed", {"file": wish.title, "detail": first_line(error)})
        self._control.post(lambda: self._loaded(wish, outcome))

    def _loaded(self, wish: Wish, outcome: Outcome) -> None:
        self._loading.discard(wish)
        if isinstance(outcome, Network):
            outcome = self._same_as_loaded(outcome)
            self._networks[wish] = outcome
        self._on_loaded(wish, outcome)

    def _same_as_loaded(self, new: Network) -> Network:
        """Law 6: "auto" and "cpu" may mean the same; then the network that runs already is used."""
        for network in self._networks.values():
            if (network.sha256, network.device) == (new.sha256, new.device):
                network.dropped = new.dropped
                return network
        return new


def expected_size(wish: Wish) -> tuple[int, int] | None:
    """The input size (width, height) that the catalogue tells before the model is loaded, if it does."""
    try:
        entry = load_catalog().get(wish.model)
    except CatalogError:
        return None  # loading will say why
    return (entry.input.width, entry.input.height) if entry else None


def verify(model: str) -> trust.VerifiedModel:
    """The verified bytes of a catalogue id or ``file:/path``; raises ModelRefused, CatalogError."""
    if model.startswith(OWN_FILE):
        return trust.read_model(Path(model.removeprefix(OWN_FILE)))
    entry = load_catalog().get(model)
    if entry is None:
        raise trust.ModelRefused("model.missing", file=model)
    return trust.read_model(entry)
