# SPDX-License-Identifier: GPL-2.0-or-later
"""``docs/settings.md``, made from the tables and texts that the dialogs are made from.

Run after a change to either: ``python3 obs_background_filter.py docs``. A test fails while the page is out of date.
"""

from collections.abc import Mapping, Sequence

from ..bridge.messages import AUTOMATIC, DEVICES, LOG_LEVELS
from ..locale import FALLBACK, load
from ..obs.settings import DEFAULTS, GROUPS, SETTINGS, Setting
from ..presets import BUILT_IN, LEAST
from .presets import shown
from .workshop import ROOT

PAGE = ROOT / "docs" / "settings.md"

_HEAD = """# Settings

<!-- Made by `python3 obs_background_filter.py docs` from filters/obs/settings.py and filters/locale: change those. -->

Every setting can stay as it is. What is in `code font` is the name under which OBS stores it; these names never
change, so scenes, scripts and obs-websocket may rely on them. A number outside its range counts as the nearest one
inside, an unknown choice as the default; but a filter's model that is not there is refused, never replaced by another.

## The filter

Right-click the source, *Filters*, *Background Filter*. Each filter has its own; *Defaults* puts all of them back. The
dialog shows only those that say something with the background that is chosen."""

_STATUS = """
### Status

Above the settings stand two lines that are no settings. *Status*: the model, the device it runs on, milliseconds per
mask, masks per second, and how far the picture lags behind the source because each mask is drawn on its own frame;
while another model is on its way, which one and how far it is.
Delay your microphone by as much (*Advanced Audio Properties, Sync Offset*) if you see a difference. *Problem*, when
there is one: see [troubleshooting.md](troubleshooting.md).

What to try first: some of the room shows at your edge, lower *Grow or shrink* by a few pixels or raise *Threshold*;
hair or a hand is lost, lower *Threshold*; the edge flickers while you sit still, raise *Smoothing*."""

_PRESETS = """
### Presets

The list *Preset* on top sets several of these at once, and each can be changed afterwards; then it says *Custom*, when
you have let go for some seconds.
"""

_OWN_PRESETS = """
A preset writes its values into the settings once and is no setting itself: `preset`, `preset_name` and `preset_file` in
a scene only carry what the dialog's list and fields say. A model that a preset has chosen leaves with it, when you
choose another.

**Your own** are saved at the end of the dialog: type a name, *Save as preset*. Under the name of one of yours it takes
that one's place. Each is a file that people can read, in `presets` in the configuration folder
(`~/.config/obs-background-filter`, `%APPDATA%\\obs-background-filter`, on macOS
`~/Library/Application Support/obs-background-filter`). To share it, give that file away; *Load from file…* copies it to
the other one's own and uses it. *Remove* deletes the one that is chosen and leaves the settings as they are.

**A preset never shows the room by surprise**, whoever wrote it. It can't hold *Show the source*, *Invert* or *Show the
mask*, only that they are off; its blur is {blur:g} at least and its threshold {threshold:g}. It names no *Background
source*: that name may be another source on another computer, such as the bare camera; a preset with *Another source*
takes the one that this filter has. It names no model file of your own. What is unknown or not allowed in a file is left
out, what is out of range is brought into it, and the dialog says so.

The command line has them, too: `python3 obs_background_filter.py presets` lists them, `presets show NAME`,
`save NAME KEY=VALUE…`, `import FILE`, `export NAME FILE` and `remove NAME` do the rest, and `image` and `video` take
`--preset NAME`, and the options behind it change what it says.

### Hotkeys

*Settings, Hotkeys*, under the source that has the filter. They have no keys until you give them some.

| hotkey | what it does |
| --- | --- |
| *name of the filter*: on/off | As a click on the filter's eye. **Off shows the source as it is, room and all.** |
| *name of the filter*: blur on/off | *Background* on *The room, blurred*, and back to what it was before. |
| *name of the filter*: next background | Around: transparent, blur, colour, the source if there is one. |

OBS stores the keys with the source, under the filter's name; they follow it when you rename it in OBS. Two filters on
one source have hotkeys of their own."""

_SCRIPT = """
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
        *_groups(texts),
        _STATUS,
        _PRESETS,
        _table(_preset_rows(texts), ("preset", "for", "what it sets besides the defaults")),
        _OWN_PRESETS.format(blur=LEAST["blur_strength"], threshold=LEAST["threshold"]),
        _SCRIPT,
        _table(_script_rows(texts)),
        _BUTTONS,
    ]
    return "\n".join(blocks)


def write_page() -> int:
    """Write the page anew."""
    PAGE.write_text(settings_page(), encoding="utf-8")
    print(f"Written: {PAGE}")
    return 0


def _table(
    rows: Sequence[tuple[str, ...]], columns: tuple[str, ...] = ("setting", "range", "default", "what it does")
) -> str:
    header = [columns, ("---",) * len(columns)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [*header, *rows])


def _groups(texts: Mapping[str, str]) -> list[str]:
    """The settings, group by group, as the dialog has them."""
    by_key = {setting.key: setting for setting in SETTINGS}
    blocks = []
    for name, keys in GROUPS.items():
        blocks += [f"\n### {texts[f'group.{name}']}\n", _table([_row(by_key[key], texts) for key in keys])]
    return blocks


def _preset_rows(texts: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [
        (
            f"{texts[f'preset.{name}']} `{name}`",
            texts[f"preset.{name}.about"],
            ", ".join(
                f"`{key}` {shown(value)}" for key, value in preset.values.items() if value != getattr(DEFAULTS, key)
            ),
        )
        for name, preset in BUILT_IN.items()
    ]


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
