# SPDX-License-Identifier: GPL-2.0-or-later
"""The networks in memory: each loaded once, in the background, and let go with its last user."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ...models import trust
from ...models.catalog import CatalogError, find_model
from ...models.choices import load_choices
from ..bridge.problems import Problem
from .control import ControlLine
from .network import Loaded, Network, load_network
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


Outcome = Loaded | Problem


class Library:
    """Used by the loop's thread; loads in others, one for each wish: a stuck driver holds up only its own."""

    def __init__(
        self,
        control: ControlLine,
        on_loaded: Callable[[Wish, Outcome], None],
        on_step: Callable[[Wish, str], None],
    ) -> None:
        self._control = control
        self._on_step = on_step
        self._on_loaded = on_loaded
        self._in_memory: dict[Wish, Loaded] = {}
        self._loading: set[Wish] = set()

    def ask(self, wish: Wish) -> None:
        """Have ``on_loaded`` called in the loop, soon, with the network or the problem; ``on_step`` before (the steps
        of ``messages.STEPS``)."""
        if wish not in self._loading:
            self._loading.add(wish)
            arguments = wish, self._in_memory.get(wish)
            threading.Thread(target=self._load, args=arguments, name=f"load {wish.title}", daemon=True).start()

    def keep_only(self, used: Iterable[Network]) -> None:
        """Let go of every network that is not among ``used``."""
        kept = {id(network) for network in used}
        self._in_memory = {wish: item for wish, item in self._in_memory.items() if id(item.network) in kept}

    def _load(self, wish: Wish, in_memory: Loaded | None) -> None:
        """Every wish is verified anew: the file may have changed since. What is in memory is not loaded again."""
        outcome: Outcome
        tell = functools.partial(self._tell, wish)
        tell("checking")
        try:
            model = verify(wish.model)
            is_same = in_memory is not None and is_up_to_date(in_memory.network, model)
            outcome = in_memory if in_memory is not None and is_same else load_network(model, wish.device, on_step=tell)
        except trust.ModelRefused as refused:
            outcome = Problem(refused.code, refused.params)
        except Exception as error:  # nothing about one model may end the engine
            outcome = Problem("model.load_failed", {"file": wish.title, "detail": first_line(error)})
        self._control.post(lambda: self._loaded(wish, outcome))

    def _tell(self, wish: Wish, step: str) -> None:
        self._control.post(lambda: self._on_step(wish, step))

    def _loaded(self, wish: Wish, outcome: Outcome) -> None:
        self._loading.discard(wish)
        if isinstance(outcome, Loaded):
            outcome = Loaded(self._shared(wish, outcome.network), outcome.dropped)
            self._in_memory[wish] = outcome
        self._on_loaded(wish, outcome)

    def _shared(self, wish: Wish, new: Network) -> Network:
        """Law 6: "auto" and "cpu" may mean the same; then the network that runs already is used."""
        for other, (network, _) in self._in_memory.items():
            known = other.model, network.sha256, network.device, network.ports.choices
            if known == (wish.model, new.sha256, new.device, new.ports.choices):
                return network
        return new


def is_up_to_date(network: Network, model: trust.VerifiedModel) -> bool:
    """Whether a network was made of these bytes, and of what the user chose for them."""
    choices = load_choices(model.sha256) if model.entry is None else {}
    return network.sha256 == model.sha256 and network.ports.choices == choices


def expected_size(wish: Wish) -> tuple[int, int] | None:
    """The input size (width, height) that the catalogue tells before the model is loaded, if it does."""
    try:
        entry = find_model(wish.model)
    except CatalogError:
        return None  # loading will say why
    return (entry.input.width, entry.input.height) if entry else None


def verify(model: str) -> trust.VerifiedModel:
    """The verified bytes of a catalogue id or ``file:/path``; raises ModelRefused, CatalogError."""
    if model.startswith(OWN_FILE):
        return trust.read_model(Path(model.removeprefix(OWN_FILE)))
    entry = find_model(model)
    if entry is None:
        raise trust.ModelRefused("model.missing", file=model)
    return trust.read_model(entry)
