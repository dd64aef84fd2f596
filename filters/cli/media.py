# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``image`` and ``video`` share: their words, the filter's settings as options, the model."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
from .workshop import ROOT

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
# What makes sense only live: here nothing is late, there is no picture without a mask, and what stands behind is named
# by --background. Looking closer is for pictures, too.
BEHIND = ("background", "blur_strength", "background_color", "background_source", "background_fit", "invert")
ONLY_LIVE = frozenset(("timing", "without_mask", "attention", *BEHIND))
ALSO_CALLED = {"preview_mask": ["--mask"]}


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``image``."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="IN... [OUT]: pictures, folders, then OUT")
    parser.add_argument("--contact-sheet", type=Path, metavar="FILE", help="also a picture of all results, small")
    add_common_arguments(parser)
    parser.add_argument(
        "--attention",
        action=argparse.BooleanOptionalAction,
        default=DEFAULTS.attention,
        help="look a second time, closer, where people are small (off)",
    )


def add_video_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``video``."""
    parser.add_argument("source", type=Path, metavar="IN", help="a video of any kind")
    parser.add_argument("target", type=Path, metavar="OUT", nargs="?", help=".webm, .mov or .mp4; else beside IN")
    add_common_arguments(parser)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Background, overwriting, device, and the filter's settings."""
    parser.add_argument(
        "--background",
        metavar="WHAT",
        help="put the person before a colour (#rrggbb or green, black, …), a picture, or the room as a blur (blur)",
    )
    parser.add_argument("--preset", action=UsePreset, metavar="NAME", help=PRESET_HELP)
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    parser.add_argument("--device", choices=DEVICES, default=DEVICES[0], help="where the network runs (%(default)s)")
    group = parser.add_argument_group("the filter's settings", "named and meant as in its dialog, see docs/settings.md")
    for setting in SETTINGS:
        if setting.key not in ONLY_LIVE:
            add_setting(group, setting)


def add_setting(group: argparse._ArgumentGroup, setting: Setting) -> None:
    """The option of one setting."""
    names = [f"--{setting.key.replace('_', '-')}", *ALSO_CALLED.get(setting.key, [])]
    about = text(f"setting.{setting.key}.tooltip").replace("%", "%%")
    if setting.offers == "models":
        about = "an id of the catalogue, or the path of a trusted file; the one that ships otherwise (see models)"
        group.add_argument(*names, default=setting.default, metavar="ID", help=about)
    elif isinstance(setting.default, bool):
        default = "on" if setting.default else "off"
        action = argparse.BooleanOptionalAction
        group.add_argument(*names, action=action, default=setting.default, help=f"{about} ({default})")
    elif setting.choices:
        group.add_argument(*names, choices=setting.choices, default=setting.default, help=f"{about} (%(default)s)")
    else:
        values = f"{setting.minimum:g} to {setting.maximum:g}{setting.unit}, {setting.default:g}"
        group.add_argument(
            *names, type=number_for(setting), default=setting.default, metavar="N", help=f"{about} ({values})"
        )


def number_for(setting: Setting) -> Callable[[str], float]:
    """What reads a number and refuses one outside the setting's range."""

    def number(word: str) -> float:
        value = float(word)
        if not setting.minimum <= value <= setting.maximum:
            raise argparse.ArgumentTypeError(f"{word} is not within {setting.minimum:g} to {setting.maximum:g}")
        return value

    return number


def settings_of(options: argparse.Namespace) -> FilterSettings:
    """The filter's settings as the options say."""
    keys = {setting.key for setting in SETTINGS} - ONLY_LIVE | ({"attention"} & vars(options).keys())
    settings = dataclasses.replace(DEFAULTS, **{key: getattr(options, key) for key in keys})
    if settings.preview_mask and options.background:
        raise CommandError("--mask and --background exclude each other: the mask is shown alone.", 2)
    return settings


def go_on_in(python: Path, arguments: Sequence[str]) -> int:
    """Run this command once more in a Python that has its libraries; the exit code."""
    return hand_over([str(python), "-I", str(ROOT / "obs_background_filter.py"), *arguments])


def has_libraries(names: Sequence[str]) -> bool:
    """Whether this Python can import all of them."""
    return all(importlib.util.find_spec(name) for name in names)


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


def background_of(options: argparse.Namespace) -> Background | None:
    """The background that is wished for, if any; CommandError."""
    from ..offline.backgrounds import make_background
    from ..offline.files import MediaError

    try:
        return make_background(options.background) if options.background else None
    except MediaError as error:
        raise CommandError(f"--background: {error}", 2) from error


def refuse_to_overwrite(targets: Sequence[Path], sources: Sequence[Path], may_overwrite: bool) -> None:
    """CommandError if a result would take the place of a file, or of what it is made of."""
    read = {source.resolve() for source in sources}
    for target in targets:
        if target.resolve() in read:
            raise CommandError(f"{target} is read and would be written: give OUT another name.", 2)
        if target.exists() and not may_overwrite:
            raise CommandError(f"{target} is there already. Give OUT another name, or say --overwrite.", 2)
