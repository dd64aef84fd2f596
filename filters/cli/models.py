# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of ``models`` do."""

import difflib
import shlex
import sys
from pathlib import Path
from urllib.parse import urlsplit

from ...models import places, store, trust
from ...models.catalog import CatalogError, ModelEntry, find_model, load_catalog
from ...models.fetch import Expected, FetchError, Patience
from ...models.fetch import fetch as fetch_file
from ...models.networks import architecture_of
from ...models.refusal import ModelRefused
from ..locale import text
from .errors import CommandError
from .models_words import FORMATS, candidate_words, entry_words, megabytes, state_words
from .progress import Progress
from .table import table, wrapped

Model = ModelEntry | Path
IN_OBS = "In OBS: Tools, Scripts, OBS Background Filter, Model "


def list_models() -> int:
    """Print every model of the catalogue and every file in the user's folder: id, name, whether it may run."""
    entries = catalogue()
    rows = [("MODEL", "FOR", "MB", "STATE", "NAME")]
    for entry in entries.values():
        state = store.state_of(entry)
        default = " (default)" if entry.is_default else ""
        size = state.size or (entry.download.size if entry.download else None) or 0
        rows.append((entry.id + default, entry.use, megabytes(size), state_words(state, entry), entry.name))
    for path in store.own_files(files(entries)):
        state = store.state_of(path)
        rows.append((path.name, "", megabytes(state.size), state_words(state, None), "your own file"))
    print(table(rows, numbers=(2,)))
    print("\nMore about one: models info MODEL. To get one: models fetch MODEL.")
    return 0


def show(name: str) -> int:
    """Print everything about a model."""
    model = find(name)
    state = store.state_of(model)
    lines = entry_words(model) if isinstance(model, ModelEntry) else [("file", str(model))]
    lines.append(("state", state_words(state, model if isinstance(model, ModelEntry) else None)))
    if state.path is not None:
        lines.append(("file", str(state.path)))
        try:
            lines += candidate_words(trust.look_at(state.path))
            lines += [("trusted", f"{record.date}, from {record.origin}") for record in trusted(state)]
        except ModelRefused:
            pass  # the state says why
    if state.refusal is not None and state.path is not None:
        lines.append(("", words(state.refusal)))
    print(table(wrapped(lines)))
    return 0


def fetch(name: str, may_trust: bool, patience: Patience | None = None) -> int:
    """Fetch a model of the catalogue from its publisher."""
    entry = find_entry(name)
    state = store.state_of(entry)
    if state.vouched_by:
        print(f"{entry.id} is there already, {state_words(state, entry)}: {state.path}")
        return 0
    if entry.download is None:
        raise CommandError(f"{entry.id} can't be fetched. {entry.note}\nIts page: {entry.source}")
    if state.path is not None:
        raise CommandError(
            f"{words(state.refusal) if state.refusal else state.path}\n"
            f"Trust it (models trust {entry.id}), or take it out first (models remove {entry.id})."
        )
    download = entry.download
    is_onnx = download.format == "onnx"
    target = places.user_models_folder() / entry.file if is_onnx else places.originals_folder() / original_name(entry)
    print(f"{entry.name}, licence {entry.license}\nFrom {download.url}")
    expected = Expected(download.sha256, download.hint, download.size)
    with Progress("Fetching") as progress:

        def tell(received: int, total: int | None) -> None:
            if total:
                progress(received / total, f"of {megabytes(total)} MB")
            else:
                progress(0.0, f"more than {received // 10**7}0 MB")

        try:
            sha256 = fetch_file(download.url, target, expected, tell, patience)
        except FetchError as error:
            raise CommandError(str(error)) from error
    if is_onnx:
        return accept_fetched(entry, target, may_trust)
    known = "which its publisher names" if download.sha256 else download.digest_note
    print(f"{target}\nSHA-256 {sha256}\n({known})")
    print(f"It is {FORMATS[download.format]}: it must be converted to ONNX before it can run. {way_on(entry, target)}")
    return 0


def way_on(entry: ModelEntry, path: Path) -> str:
    """The commands to type for a file that was fetched, if `models convert` knows its format and network."""
    assert entry.download is not None
    if entry.download.format != "tflite" and architecture_of(entry.id) is None:
        return f"`models convert` can't do that with this one. Its page: {entry.source}"
    steps = (f"convert {shlex.quote(str(path))} {entry.file}", f"import {entry.file}")
    program = "python3 obs_background_filter.py models"
    return "\n    ".join(["Type:", *(f"{program} {step} --as {entry.id}" for step in steps)])


def accept_fetched(entry: ModelEntry, path: Path, may_trust: bool) -> int:
    """After a fetch: what is wrong is deleted, what nobody vouches for is shown and asked about."""
    assert entry.download is not None
    try:
        candidate = trust.look_at(path)
    except ModelRefused as refusal:
        path.unlink(missing_ok=True)
        raise CommandError(f"{words(refusal)} It was deleted.") from refusal
    print(table(candidate_words(candidate)))
    if trust.project_digest(entry):
        return ready(entry)
    print(f"Nobody has vouched for this digest yet. {entry.download.digest_note}")
    if may_trust or asked(f"Trust {entry.file} as it is now?"):
        remember(path, candidate.sha256, entry.download.url)
        return ready(entry)
    if sys.stdin.isatty():
        path.unlink(missing_ok=True)
        raise CommandError("Not trusted, so it was deleted.")
    raise CommandError(f"It stays unused until you trust it: models trust {entry.id}")


def take(file: Path, name: str | None, may_trust: bool) -> int:
    """Copy a user's file into their folder of models."""
    entry = find_entry(name) if name else None
    try:
        candidate = trust.look_at(file)
        kept_as = store.name_for(file, entry, files(catalogue()))
        print(table([("file", str(file)), *candidate_words(candidate)]))
        known = trust.project_digest(entry) if entry else None
        if known and known != candidate.sha256:
            raise CommandError(f"This is not {entry.id if entry else ''}: expected the SHA-256 digest {known}.")
        if not known and not may_trust and not asked(f"Trust {file.name} as it is now?"):
            raise CommandError("Not trusted, so it was not imported. (--trust answers yes.)")
        path = store.keep(candidate.data, kept_as)
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal
    except store.StoreError as error:
        raise CommandError(str(error)) from error
    if not known:
        remember(path, candidate.sha256, str(file.absolute()))
    if entry is not None:
        return ready(entry)
    print(f"Imported: {path}\n{IN_OBS}“Own file…”.")
    return 0


def verify(names: list[str]) -> int:
    """Check all models, or some; the exit code is 1 if a file that is there may not run."""
    entries = catalogue()
    models: list[Model] = [find(name) for name in names]
    models = models or [*entries.values(), *store.own_files(files(entries))]
    rows = [("FILE", "STATE", "SHA-256")]
    is_bad = False
    for model in models:
        state = store.state_of(model)
        if state.path is None and not names:
            continue
        is_bad = is_bad or state.vouched_by is None
        file = model.file if isinstance(model, ModelEntry) else model.name
        known = model if isinstance(model, ModelEntry) else None
        rows.append((file, state_words(state, known), state.sha256 or ""))
        if state.refusal is not None and state.path is not None:
            print(words(state.refusal))
    print(table(rows))
    return 1 if is_bad else 0


def trust_model(name: str) -> int:
    """Trust a file as it is now, and say whether it can run."""
    model = find(name)
    path = places.find_file(model) if isinstance(model, ModelEntry) else model
    if path is None:
        raise CommandError(f"{name} is not there. To get it: models fetch {name}")
    try:
        candidate = trust.look_at(path)
        print(table([("file", str(path)), *candidate_words(candidate)]))
        if isinstance(model, ModelEntry):
            refuse_other_than_known(model, candidate.sha256)
        remember(path, candidate.sha256)
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal
    if isinstance(model, ModelEntry):
        return ready(model)
    print(f"Trusted.\n{IN_OBS}“Own file…”.")
    return 0


def remove(name: str) -> int:
    """Delete a model from the user's folder, and what it was made of; take the trust in it back."""
    entry = find_model_or_none(name)
    file = entry.file if entry else name
    if Path(file).name != file or file == "..":
        raise CommandError(
            f"Only files in {places.user_models_folder()} are removed; say their name, without a folder."
        )
    try:
        removed = store.remove(file, (original_name(entry),) if entry and entry.download else ())
    except store.StoreError as error:
        raise CommandError(str(error)) from error
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal
    if not removed:
        raise CommandError(f"{file} is not in {places.user_models_folder()}. {did_you_mean(name)}".rstrip())
    for path in removed:
        print(f"Removed: {path}")
    return 0


def where() -> int:
    """Print the folders, in the order in which they are looked through."""
    rows = [(place.what, str(place.path), "" if place.path.is_dir() else "(not there)") for place in places.places()]
    rows.append(("yours, to be converted", str(places.originals_folder()), ""))
    rows.append(("what you trust", str(trust.store_path()), ""))
    print(table(rows))
    print("`models fetch` and `models import` put files into the folder that is yours.")
    return 0


# What the commands share.


def catalogue() -> dict[str, ModelEntry]:
    """The catalogue; CommandError if it is damaged."""
    try:
        return load_catalog()
    except CatalogError as error:
        raise CommandError(f"The catalogue of models is damaged: {error}") from error


def files(entries: dict[str, ModelEntry]) -> set[str]:
    """The names of files that belong to the catalogue."""
    return {entry.file for entry in entries.values()}


def find_model_or_none(name: str) -> ModelEntry | None:
    """The entry that an id or a former id means."""
    try:
        return find_model(name)
    except CatalogError as error:
        raise CommandError(f"The catalogue of models is damaged: {error}") from error


def find_entry(name: str) -> ModelEntry:
    """The entry that an id means; CommandError with near ones."""
    entry = find_model_or_none(name)
    if entry is None:
        raise CommandError(f"There is no model {name}. {did_you_mean(name)}")
    return entry


def find(name: str) -> Model:
    """What a user means by a name: a model of the catalogue, a file in their folder, or a path."""
    entry = find_model_or_none(name)
    if entry is not None:
        return entry
    kept = places.user_models_folder() / name
    if Path(name).name == name and kept.is_file():
        return kept
    if Path(name).name != name or Path(name).suffix or Path(name).exists():
        return Path(name)
    raise CommandError(f"There is no model {name}. {did_you_mean(name)}")


def did_you_mean(name: str) -> str:
    """Ids that look like a name, or where all are listed."""
    near = difflib.get_close_matches(name, catalogue(), n=3)
    return f"Did you mean {' or '.join(near)}?" if near else "All models: models list"


def original_name(entry: ModelEntry) -> str:
    """What a file that must be converted is called in the user's folder: after its model, so that no two are alike."""
    assert entry.download is not None
    return f"{entry.id}--{Path(urlsplit(entry.download.url).path).name}"


def trusted(state: store.State) -> list[trust.TrustRecord]:
    """The user's records of a file's digest."""
    return [record for record in trust.trust_records() if record.sha256 == state.sha256]


def refuse_other_than_known(entry: ModelEntry, sha256: str) -> None:
    """A user's word can't make another file of one that the project knows."""
    known = trust.project_digest(entry)
    if known not in (None, sha256):
        raise ModelRefused("model.digest_mismatch", file=entry.file, expected=str(known), found=sha256)


def asked(question: str) -> bool:
    """A typed yes on a terminal; no anywhere else."""
    if not sys.stdin.isatty():
        return False
    print(f"{question} A model can make the engine compute anything. Type yes or no: ", end="", flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


def remember(path: Path, sha256: str, origin: str | None = None) -> None:
    """Write the user's act of trust down."""
    try:
        trust.trust_file(path, sha256, origin)
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal


def ready(entry: ModelEntry) -> int:
    """Verify a model as the engine will, and say where to choose it."""
    try:
        trust.read_model(entry)
    except ModelRefused as refusal:
        raise CommandError(words(refusal)) from refusal
    print(f"Ready: {entry.id}\n{IN_OBS}“{entry.name}”.")
    return 0


def words(refusal: ModelRefused) -> str:
    """A refusal in the user's words."""
    return text(f"problem.{refusal.code}", **refusal.params)
