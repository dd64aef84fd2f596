# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``image`` and ``video`` share: their words, the filter's settings as options, the model."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.catalog import CatalogError, default_model_id
from ...models.trust import ModelRefused, VerifiedModel
from ..bridge.messages import AUTOMATIC, DEVICES
from ..locale import text
from ..obs.model_list import FILE
from ..obs.settings import DEFAULTS, SETTINGS, FilterSettings, Setting
from .errors import CommandError
from .preset_option import HELP as PRESET_HELP
from .preset_option import UsePreset
from .preview import find_verified
from .steps import hand_over
from .workshop import FOR_OFFLINE, ROOT, VENV_OFFLINE, prepare_python, prepare_venv

if TYPE_CHECKING:
    from ..engine.network import Network
    from ..offline.backgrounds import Background

IMAGE = (
    "Cuts people out of pictures, with the filter's own masks. The last of several paths is where the results go: a "
    "file for one picture, a folder for more; with one path alone they go beside it. A folder is gone through with all "
    "that is in it."
)
VIDEO = (
    "Cuts people out of a video, with a mask for every frame, and keeps the sound. The ending of OUT says what is "
    "made: .webm (VP9) and .mov (ProRes 4444) are transparent unless there is a --background, .mp4 needs one. The "
    "first use installs FFmpeg's libraries into .venv-offline."
)
# In files nothing is late, and there is no picture without a mask.
ONLY_LIVE = frozenset(("timing", "without_mask"))
ALSO_CALLED = {"preview_mask": ["--mask"]}
COLOURS = {
    "black": "000000", "white": "ffffff", "grey": "808080", "gray": "808080",
    "green": "00b140", "blue": "0047bb", "red": "ff0000",
}  # fmt: skip


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``image``."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="IN... [OUT]: pictures, folders, then OUT")
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE", help="also a picture of all results, small")
    add_common_arguments(parser)


def add_video_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``video``."""
    parser.add_argument("source", type=Path, metavar="IN", help="a video of any kind")
    parser.add_argument("target", type=Path, metavar="OUT", nargs="?", help=".webm, .mov or .mp4; else beside IN")
    resume = "go on where an earlier run of the same command was broken off (on)"
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help=resume)
    add_common_arguments(parser)


def add_common_arguments(parser: argparse.ArgumentParser, is_live: bool = False) -> None:
    """Overwriting, device, and the filter's settings."""
    parser.add_argument("--preset", action=UsePreset, metavar="NAME", help=PRESET_HELP)
    if not is_live:
        parser.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    parser.add_argument("--device", choices=DEVICES, default=DEVICES[0], help="where the network runs (%(default)s)")
    group = parser.add_argument_group("the filter's settings", "named and meant as in its dialog, see docs/settings.md")
    left_out = frozenset[str]() if is_live else ONLY_LIVE
    for setting in SETTINGS:
        if setting.key not in left_out:
            add_setting(group, setting, ["-b"] if is_live and setting.key == "background" else [])


def add_setting(group: argparse._ArgumentGroup, setting: Setting, short: Sequence[str] = ()) -> None:
    """The option of one setting; None if it is not given."""
    names = [*short, f"--{setting.key.replace('_', '-')}", *ALSO_CALLED.get(setting.key, [])]
    about = text(f"setting.{setting.key}.tooltip").replace("%", "%%")
    if setting.offers == "models":
        about = "an id of the catalogue, or the path of a trusted file; the one that ships otherwise (see models)"
        group.add_argument(*names, metavar="ID", help=about)
    elif setting.offers == "sources":
        about = "the picture or video behind you; a video begins anew where it ends"
        group.add_argument(*names, metavar="FILE", help=about)
    elif setting.key == "background":
        kinds = ", ".join(setting.choices)
        about = f"one of {kinds} ({setting.default}); in short also a colour itself, or the file of a picture or video"
        group.add_argument(*names, metavar="WHAT", help=about)
    elif isinstance(setting.default, bool):
        default = "on" if setting.default else "off"
        group.add_argument(*names, action=argparse.BooleanOptionalAction, default=None, help=f"{about} ({default})")
    elif setting.choices:
        group.add_argument(*names, choices=setting.choices, help=f"{about} ({setting.default})")
    elif isinstance(setting.default, int):
        about = f"#rrggbb or {', '.join(COLOURS)} (#{rgb_digits(setting.default)})"
        group.add_argument(*names, type=colour, metavar="COLOUR", help=about)
    else:
        values = f"{setting.minimum:g} to {setting.maximum:g}{setting.unit}, {setting.default:g}"
        group.add_argument(*names, type=number_for(setting), metavar="N", help=f"{about} ({values})")


def colour(word: str) -> int:
    """A colour as OBS stores it, 0xAABBGGRR, of a name or #rrggbb."""
    digits = COLOURS.get(word.lower(), word.removeprefix("#"))
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise argparse.ArgumentTypeError(f"“{word}” is no colour: #rrggbb, or one of {', '.join(COLOURS)}")
    return abgr_of(digits)


def abgr_of(rgb_digits: str) -> int:
    """A colour as OBS stores it, 0xAABBGGRR, of rrggbb; ValueError."""
    return 0xFF << 24 | int.from_bytes(bytes.fromhex(rgb_digits), "little")


def rgb_digits(colour_abgr: int) -> str:
    """rrggbb of a colour as OBS stores it."""
    return "".join(f"{colour_abgr >> shift & 0xFF:02x}" for shift in (0, 8, 16))


def number_for(setting: Setting) -> Callable[[str], float]:
    """What reads a number and refuses one outside the setting's range."""

    def number(word: str) -> float:
        value = float(word)
        if not setting.minimum <= value <= setting.maximum:
            raise argparse.ArgumentTypeError(f"{word} is not within {setting.minimum:g} to {setting.maximum:g}")
        return value

    return number


def settings_of(options: argparse.Namespace) -> FilterSettings:
    """The filter's settings as the options say; CommandError."""
    values = {setting.key: getattr(options, setting.key, None) for setting in SETTINGS}
    given = {key: value for key, value in values.items() if value is not None}
    given |= behind(given, is_typed=getattr(options, "preset", None) is None)
    if given.get("preview_mask") and given.get("background", "transparent") != "transparent":
        raise CommandError("--mask and --background exclude each other: the mask is shown alone.", 2)
    settings = dataclasses.replace(DEFAULTS, **given)
    if settings.background == "source" and not Path(settings.background_source).is_file():
        missing = f"{settings.background_source} is not there" if settings.background_source else "name its file"
        raise CommandError(f"--background-source: {missing}.", 2)
    return settings


def behind(given: Mapping[str, Any], is_typed: bool) -> dict[str, Any]:
    """What stands behind, in the filter's own words: ``--background`` takes a colour or a file too, and an option that
    belongs to one kind of background alone says which kind is meant, if it was typed and does not come of a preset,
    which has all of them. CommandError."""
    word = given.get("background")
    if word is None and not is_typed:
        return {}
    if word is None:
        belonging = {setting.only_for for setting in SETTINGS if setting.key in given}
        kinds = {owner[1] for owner in belonging if owner and owner[0] == "background"}
        if len(kinds) > 1:
            raise CommandError(f"Which --background: {' or '.join(sorted(kinds))}?", 2)
        return {"background": kinds.pop()} if kinds else {}
    choices = next(setting.choices for setting in SETTINGS if setting.key == "background")
    if word in choices:
        return {}
    if Path(word).exists():
        return {"background": "source", "background_source": word}
    try:
        return {"background": "color", "background_color": colour(word)}
    except argparse.ArgumentTypeError:
        kinds_told, names = ", ".join(choices), ", ".join(COLOURS)
        raise CommandError(
            f"--background: “{word}” is none of {kinds_told}, no colour (#rrggbb, {names}), and no file that is there.",
            2,
        ) from None


def prepare_process() -> None:
    """What makes the work fast, as in the engine's process. Must run before the libraries are imported."""
    from ..engine import process

    process.limit_threads()
    process.keep_freed_memory()


def go_on_in(python: Path, arguments: Sequence[str]) -> int:
    """Run this command once more in a Python that has its libraries; the exit code."""
    return hand_over([str(python), "-I", str(ROOT / "obs_background_filter.py"), *arguments])


def go_on_offline(arguments: Sequence[str]) -> int:
    """The same in the environment of videos and cameras, made first if need be."""
    prepare_python()
    return go_on_in(prepare_venv(FOR_OFFLINE, VENV_OFFLINE), arguments)


def verified_model(name: str) -> VerifiedModel:
    """The verified bytes of the model that ``--model`` names; CommandError."""
    if name == AUTOMATIC:
        raise CommandError("Choosing a model by its speed is for live pictures. Name one: models list shows them.", 2)
    try:
        return find_verified(name.removeprefix(FILE) or default_model_id())
    except ModelRefused as refusal:
        raise CommandError(text(f"problem.{refusal.code}", **refusal.params)) from refusal
    except CatalogError as error:
        raise CommandError(f"The catalogue of models is damaged: {error}") from error


def load(model: VerifiedModel, device: str) -> Network:
    """The network on a device; CommandError."""
    import onnxruntime

    from ..engine.network import load_network

    onnxruntime.set_default_logger_severity(4)  # what fails is said in our own words
    try:
        return load_network(model, device).network
    except ModelRefused as refusal:
        raise CommandError(text(f"problem.{refusal.code}", **refusal.params)) from refusal


def background_of(settings: FilterSettings, may_move: bool) -> Background | None:
    """The background that is wished for, if any: ``may_move`` says whether it may be a video; CommandError."""
    from ..offline import backgrounds
    from ..offline.files import MediaError

    try:
        return backgrounds.background_of(settings, may_move)
    except MediaError as error:
        raise CommandError(f"--background-source: {error}", 2) from error


def refuse_to_overwrite(targets: Sequence[Path], sources: Sequence[Path], may_overwrite: bool) -> None:
    """CommandError if a result would take the place of a file, or of what it is made of."""
    read = {source.resolve() for source in sources}
    for target in targets:
        if target.resolve() in read:
            raise CommandError(f"{target} is read and would be written: give OUT another name.", 2)
        if target.exists() and not may_overwrite:
            raise CommandError(f"{target} is there already. Give OUT another name, or say --overwrite.", 2)
