# SPDX-License-Identifier: GPL-2.0-or-later
"""``presets``: the presets of the filter's dialog, listed, shown, saved, shared and removed."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...models.atomic import replace_file
from .. import presets
from ..locale import text
from ..obs.settings import SETTINGS, Setting
from ..presets import BUILT_IN, LEAST, NEVER, ONLY, Preset, PresetError, legal_preset
from .errors import CommandError
from .media import abgr_of
from .table import table

WORDS = "KEY=VALUE"
YES, NO = ("on", "yes", "true", "1"), ("off", "no", "false", "0")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands below ``presets``; without one it lists."""
    commands = parser.add_subparsers(dest="action", metavar="action")
    add = commands.add_parser
    add("list", help="every preset, and what it is for")

    show = add("show", help="what a preset sets")
    show.add_argument("name", metavar="NAME")

    save = add("save", help="make a preset of your own: of settings, of another one's file, or of both")
    save.add_argument("name", metavar="NAME")
    save.add_argument("values", nargs="*", metavar=WORDS, help="such as smoothing=0.7; keys stand in docs/settings.md")
    save.add_argument("--from", dest="source", type=Path, metavar="FILE", help="start with what this preset sets")
    save.set_defaults(passes_on=True)  # argparse takes no values behind --from by itself

    take = add("import", help="copy a preset's file to your own presets, so that the filter's dialog lists it")
    take.add_argument("file", type=Path, metavar="FILE")
    take.add_argument("--as", dest="name", metavar="NAME", help="call it so")

    give = add("export", help="write a preset's file, to share it")
    give.add_argument("name", metavar="NAME")
    give.add_argument("file", type=Path, metavar="FILE", help="the file, or a folder for it")

    for each in (save, take, give):
        each.add_argument("--overwrite", action="store_true", help="replace what is there already")

    remove = add("remove", help="delete a preset of your own")
    remove.add_argument("name", metavar="NAME")


def run(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    try:
        match options.action:
            case "show":
                return show(options.name)
            case "save":
                return save(options.name, [*options.values, *options.others], options.source, options.overwrite)
            case "import":
                return take(options.file, options.name, options.overwrite)
            case "export":
                return give(options.name, options.file, options.overwrite)
            case "remove":
                print(f"Removed: {presets.remove_own(options.name)}")
                return 0
        return list_presets()
    except PresetError as error:
        raise CommandError(f"{error} {what_to_do(error)}".rstrip()) from error


def what_to_do(error: PresetError) -> str:
    """What to do next, where that is not plain."""
    if error.problem.code == "preset.missing":
        return "All presets: presets list"
    if error.problem.code == "preset.taken":
        is_ours = presets.built_in_id(str(error.problem.params["name"])) is not None
        return "It comes with the filter: choose another name." if is_ours else "Replace it with --overwrite."
    return ""


def list_presets() -> int:
    """Print them all, each with what it is for or what is wrong with its file."""
    rows = [("PRESET", "WHOSE", "FOR")]
    rows += [(preset, "the filter's", text(f"preset.{preset}.about")) for preset in BUILT_IN]
    for name in presets.names_of_own():
        try:
            own, notes = presets.load_own(name)
            rows.append((name, "yours", " ".join([f"{len(own.values)} settings.", *notes])))
        except PresetError as error:
            rows.append((name, "yours", str(error)))
    print(table(rows))
    print(f"Yours lie in {presets.presets_folder()}")
    return 0


def show(name: str) -> int:
    """Print what a preset sets, in the words of the dialog as well."""
    preset, notes = presets.find_preset(name)
    labels = {setting.key: text(f"setting.{setting.key}.label") for setting in SETTINGS}
    print(table([("SETTING", "VALUE", "IN THE DIALOG")] + [(k, shown(v), labels[k]) for k, v in preset.values.items()]))
    for note in notes:
        print(note)
    return 0


def shown(value: Any) -> str:
    """A value as it may be typed."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def save(name: str, words: Sequence[str], source: Path | None, may_replace: bool) -> int:
    """Make a preset of the user's own."""
    if not words and source is None:
        raise CommandError(f"What shall it set? Give {WORDS}, such as smoothing=0.7, or --from FILE.", 2)
    notes: list[str] = []
    values: dict[str, Any] = {}
    if source is not None:
        origin, notes = presets.read_preset_file(source, name)
        values.update(origin.values)
    for word in words:
        key, value = parsed(word)
        values[key] = value
    return kept(legal_preset(name, values)[0], notes, may_replace)


def take(file: Path, name: str | None, may_replace: bool) -> int:
    """Copy a preset's file to the user's own."""
    preset, notes = presets.read_preset_file(file, name)
    return kept(preset, notes, may_replace)


def kept(preset: Preset, notes: Sequence[str], may_replace: bool) -> int:
    """Save a preset and say so."""
    file = presets.save_own(preset, may_replace)
    for note in notes:
        print(note)
    print(f"Saved: {file}\nIn OBS it stands in the list Preset of the filter's dialog, opened anew.")
    return 0


def give(name: str, file: Path, may_replace: bool) -> int:
    """Write a preset's file."""
    preset, _ = presets.find_preset(name)
    path = file / f"{preset.name}.json" if file.is_dir() else file
    if path.exists() and not may_replace:
        raise CommandError(f"{path} is there already. Replace it with --overwrite.")
    try:
        replace_file(path, preset.to_json())
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}.") from error
    print(f"Written: {path}")
    return 0


def parsed(word: str) -> tuple[str, Any]:
    """A key and its value as a person types them; CommandError for what no preset may hold."""
    key, is_pair, typed = word.partition("=")
    setting = next((each for each in SETTINGS if each.key == key.strip()), None)
    if not is_pair or setting is None:
        known = ", ".join(setting.key for setting in SETTINGS)
        raise CommandError(f"“{word}” is no {WORDS}. Keys are {known}.", 2)
    try:
        value = typed_value(setting, typed.strip())
    except ValueError:
        value = None
    preset, _ = legal_preset("typed", {setting.key: value})
    if preset.values.get(setting.key) != value or value is None:
        raise CommandError(f"{setting.key} can't be “{typed}” in a preset. {may_be(setting)}", 2)
    return setting.key, value


def typed_value(setting: Setting, typed: str) -> Any:
    """The value that is meant; ValueError."""
    if isinstance(setting.default, bool):
        if typed.lower() not in (*YES, *NO):
            raise ValueError(typed)
        return typed.lower() in YES
    if isinstance(setting.default, float):
        return float(typed)
    if isinstance(setting.default, int):
        if typed.startswith("#") and len(typed) == 7:
            return abgr_of(typed[1:])
        return int(typed)
    return typed


def may_be(setting: Setting) -> str:
    """What a setting may be in a preset, in words."""
    if setting.key in NEVER:
        return "A preset names no source: names belong to a scene collection."
    if isinstance(setting.default, bool):
        return f"It may be {' or '.join(shown(value) for value in ONLY.get(setting.key, (True, False)))}."
    if isinstance(setting.default, float):
        return f"It may be {max(setting.minimum, LEAST.get(setting.key, setting.minimum)):g} to {setting.maximum:g}."
    if setting.choices:
        return f"It may be {', '.join(ONLY.get(setting.key, setting.choices))}."
    return (
        "It may be a model of the catalogue that is there." if setting.offers else "It may be a colour such as #00b140."
    )
