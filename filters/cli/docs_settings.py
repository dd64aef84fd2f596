# SPDX-License-Identifier: GPL-2.0-or-later
"""``docs/settings.md``, made from the tables and texts that the dialogs are made from.

Run after a change to either: ``python3 obs_background_filter.py docs``. A test fails while the page is out of date.
"""

from collections.abc import Mapping

from ..bridge.messages import AUTOMATIC, DEVICES, LOG_LEVELS
from ..locale import FALLBACK, load
from ..obs.settings import SETTINGS, Setting
from .workshop import ROOT

PAGE = ROOT / "docs" / "settings.md"

_HEAD = """# Settings

<!-- Made by `python3 obs_background_filter.py docs` from filters/obs/settings.py and filters/locale: change those. -->

Every setting can stay as it is. What is in `code font` is the name under which OBS stores it; these names never
change, so scenes, scripts and obs-websocket may rely on them. A number outside its range counts as the nearest one
inside, an unknown choice as the default; but a filter's model that is not there is refused, never replaced by another.

## The filter

Right-click the source, *Filters*, *Background Filter*. Each filter has its own; *Defaults* puts all of them back.
"""

_STATUS = """
Above the settings stand two lines that are no settings. *Status*: the model, the device it runs on, milliseconds per
mask, masks per second, and how far the picture lags behind the source because each mask is drawn on its own frame;
while another model is on its way, which one and how far it is.
Delay your microphone by as much (*Advanced Audio Properties, Sync Offset*) if you see a difference. *Problem*, when
there is one: see [troubleshooting.md](troubleshooting.md).

What to try first: some of the room shows at your edge, lower *Grow or shrink* by a few pixels or raise *Threshold*;
hair or a hand is lost, lower *Threshold*; the edge flickers while you sit still, raise *Smoothing*.

## The script

*Tools, Scripts*, choose the script. These hold for all filters of this OBS (a filter may have a model of its own) and
are kept in the scene collection.
"""

_BUTTONS = """
Three buttons: *Install engine* builds the engine's own environment ([install.md](install.md)), *Trust this file* lets
your own ONNX file run as it is now, *Measure again* finds out which model suits this computer ([models.md](models.md)).

While *Model* is *Own file…* there is a group of lists more: how that file is fed and read. Its answers belong to the
file and are not kept in the scene collection.
"""


def settings_page() -> str:
    """The whole page."""
    texts = load(FALLBACK)
    blocks = [
        _HEAD,
        _table([_row(setting, texts) for setting in SETTINGS]),
        _STATUS,
        _table(_script_rows(texts)),
        _BUTTONS,
    ]
    return "\n".join(blocks)


def write_page() -> int:
    """Write the page anew."""
    PAGE.write_text(settings_page(), encoding="utf-8")
    print(f"Written: {PAGE}")
    return 0


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    header = [("setting", "range", "default", "what it does"), ("---",) * 4]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [*header, *rows])


def _row(setting: Setting, texts: Mapping[str, str]) -> tuple[str, str, str, str]:
    key = f"setting.{setting.key}"
    name = f"{texts[f'{key}.label']} `{setting.key}`"
    values, default = f"{setting.minimum:g} to {setting.maximum:g}{setting.unit}", f"{setting.default}"
    if setting.offers == "models":
        values = ", ".join(texts[name] for name in ("setting.model.script", "script.model.auto"))
        values, default = f"{values} `{AUTOMATIC}`, the models that are there", texts["setting.model.script"]
    elif setting.choices:
        values = ", ".join(f"{texts[f'{key}.{choice}']} `{choice}`" for choice in setting.choices)
        default = texts[f"{key}.{setting.default}"]
    elif isinstance(setting.default, bool):
        values, default = "on, off", "on" if setting.default else "off"
    elif setting.offers == "sources":
        values, default = "a source's name", texts[f"{key}.none"]
    elif isinstance(setting.default, int):
        values, default = "a colour, 0xAABBGGRR as a whole number", f"#{_rgb(setting.default):06X} ({setting.default})"
    else:
        default = f"{setting.default:g}{setting.unit}"
    return name, values, default, texts[f"{key}.tooltip"]


def _rgb(colour_abgr: int) -> int:
    return int.from_bytes(colour_abgr.to_bytes(4, "little")[:3], "big")


def _script_rows(texts: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    choices = {
        "model": (
            f"{texts['script.model.auto']} `{AUTOMATIC}`, the models that are there, {texts['script.model.own']}",
            "the one that ships",
        ),
        "own_model_file": ("a file", "none"),
        "device": (_choices("device", DEVICES, texts), texts[f"script.device.{DEVICES[0]}"]),
        "log_level": (_choices("log_level", LOG_LEVELS, texts), texts["script.log_level.info"]),
    }
    return [
        (f"{texts[f'script.{key}.label']} `{key}`", values, default, texts[f"script.{key}.tooltip"])
        for key, (values, default) in choices.items()
    ]


def _choices(key: str, values: tuple[str, ...], texts: Mapping[str, str]) -> str:
    return ", ".join(f"{texts[f'script.{key}.{value}']} `{value}`" for value in values)
