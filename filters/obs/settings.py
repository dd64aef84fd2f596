# SPDX-License-Identifier: GPL-2.0-or-later
"""The filter's settings, each declared once: key, default, range, unit. Defaults and reading come from this table, and
so does the dialog (:mod:`.properties`); labels and tooltips stand in the locale files under ``setting.<key>``.

The keys are stored in users' scene collections: they never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..bridge.layout import FLAG_ATTENTION, FLAG_NO_SPECKS, FLAG_SHARP_EDGES
from .libobs import LibObs
from .model_list import AS_IN_SCRIPT, legal_choice


@dataclass(frozen=True)
class Setting:
    """One setting. ``default`` tells the kind: float (a slider), bool (a check box), int (a colour, 0xAABBGGRR) or str
    (a list of ``choices``, or with ``offers`` of what there is: models or sources). ``only_for``: key and choice of the
    setting without which this one says nothing."""

    key: str
    default: float | bool | int | str
    minimum: float = 0.0
    maximum: float = 1.0
    step: float = 0.01
    unit: str = ""
    choices: tuple[str, ...] = ()
    offers: str = ""
    only_for: tuple[str, str] | None = None


SETTINGS = (
    Setting("threshold", 0.5),
    Setting("edge_softness", 0.4),
    Setting("sharp_edges", True),
    Setting("smoothing", 0.5),
    Setting("feather_px", 0.0, 0.0, 50.0, 0.5, " px"),
    Setting("grow_px", 0.0, -30.0, 30.0, 0.5, " px"),
    Setting("remove_specks", True),
    Setting("despill", False),
    Setting("attention", False),
    Setting("timing", "matched", choices=("matched", "no_delay")),
    Setting("without_mask", "hide", choices=("hide", "blur", "source")),
    Setting("background", "transparent", choices=("transparent", "blur", "color", "source")),
    Setting("blur_strength", 0.5, only_for=("background", "blur")),
    Setting("blur_falloff", 0.0, only_for=("background", "blur")),
    Setting("background_color", 0xFF40B100, only_for=("background", "color")),
    Setting("background_source", "", offers="sources", only_for=("background", "source")),
    Setting("background_fit", "fill", choices=("fill", "fit", "stretch"), only_for=("background", "source")),
    Setting("invert", False),
    Setting("preview_mask", False),
    Setting("model", AS_IN_SCRIPT, offers="models"),
)

# How the dialog and docs/settings.md arrange them: what people look for first stands first. The groups exist only
# there: in scene collections all keys lie side by side.
GROUPS = {
    "background": (
        "background", "blur_strength", "blur_falloff", "background_color", "background_source", "background_fit",
        "invert",
    ),
    "edges": ("threshold", "edge_softness", "sharp_edges", "feather_px", "grow_px", "despill"),
    "stability": ("smoothing", "remove_specks", "attention", "timing", "without_mask"),
    "model": ("model", "preview_mask"),
}  # fmt: skip


@dataclass(frozen=True)
class FilterSettings:
    """The values of one filter. ``threshold``, ``edge_softness`` and ``smoothing`` are 0 to 1; ``feather_px`` and
    ``grow_px`` (negative shrinks) are in pixels of the source; ``timing`` is matched or no_delay; ``without_mask`` is
    hide, blur or source; ``model`` is empty (as the script says) or what :func:`.model_list.filter_choices` gives.
    ``background`` is transparent, blur, color or source; ``blur_strength`` and ``blur_falloff`` are 0 to 1;
    ``background_color`` is 0xAABBGGRR, its alpha unused; ``background_source`` a source's name; ``background_fit``
    fill, fit or stretch."""

    threshold: float
    edge_softness: float
    sharp_edges: bool
    smoothing: float
    feather_px: float
    grow_px: float
    remove_specks: bool
    despill: bool
    attention: bool
    timing: str
    without_mask: str
    background: str
    blur_strength: float
    blur_falloff: float
    background_color: int
    background_source: str
    background_fit: str
    invert: bool
    preview_mask: bool
    model: str

    def flags(self) -> int:
        """What a frame asks of its mask, as the bridge's layout has it."""
        flags = (
            FLAG_SHARP_EDGES * self.sharp_edges,
            FLAG_NO_SPECKS * self.remove_specks,
            FLAG_ATTENTION * self.attention,
        )
        return sum(flags)

    def ramp(self) -> tuple[float, float]:
        """The mask values (low, high) drawn as alpha 0 and 1: ``edge_softness`` wide around the threshold, kept inside
        0 to 1 so that a sure 0 stays 0 and a sure 1 stays 1; at threshold .5 and softness 1 the mask is drawn as it is.
        """
        low = max(0.0, self.threshold - self.edge_softness / 2)
        high = min(1.0, self.threshold + self.edge_softness / 2)
        if high - low < 1 / 255:
            low = min(low, 1 - 1 / 255)
            high = low + 1 / 255
        return low, high


DEFAULTS = FilterSettings(**{setting.key: setting.default for setting in SETTINGS})  # type: ignore[arg-type]


def set_defaults(obs: LibObs, data: int) -> None:
    """Declare the defaults in an ``obs_data_t``."""
    setters = {
        bool: obs.obs_data_set_default_bool,
        float: obs.obs_data_set_default_double,
        int: obs.obs_data_set_default_int,
        str: lambda data, key, value: obs.obs_data_set_default_string(data, key, value.encode()),
    }
    for setting in SETTINGS:
        setters[type(setting.default)](data, setting.key.encode(), setting.default)


def read_settings(obs: LibObs, data: int) -> FilterSettings:
    """The values in an ``obs_data_t``. A scene collection is a file that anyone may have edited: what lies outside its
    range or is not a number becomes the nearest legal value or the default."""
    return FilterSettings(**{setting.key: legal(setting, _read(obs, data, setting)) for setting in SETTINGS})


def write_settings(obs: LibObs, data: int, values: Mapping[str, Any]) -> None:
    """Set some settings, by key, in an ``obs_data_t``."""
    setters = {
        bool: obs.obs_data_set_bool,
        float: obs.obs_data_set_double,
        int: obs.obs_data_set_int,
        str: lambda data, key, value: obs.obs_data_set_string(data, key, value.encode()),
    }
    for setting in SETTINGS:
        if setting.key in values:
            setters[type(setting.default)](data, setting.key.encode(), values[setting.key])


def _read(obs: LibObs, data: int, setting: Setting) -> Any:
    key = setting.key.encode()
    if isinstance(setting.default, bool):
        return obs.obs_data_get_bool(data, key)
    if isinstance(setting.default, str):
        return (obs.obs_data_get_string(data, key) or b"").decode(errors="replace")
    if isinstance(setting.default, int):
        return obs.obs_data_get_int(data, key)
    return obs.obs_data_get_double(data, key)


def legal(setting: Setting, value: Any) -> Any:
    """``value``, of the type of the setting's default, or what is legal instead."""
    if setting.offers == "models":
        return legal_choice(value)
    if setting.choices:
        return value if value in setting.choices else setting.default
    if isinstance(setting.default, bool):
        return bool(value)
    if isinstance(setting.default, str):
        return value
    if isinstance(setting.default, int):
        return value & 0xFFFFFFFF
    if value != value:  # not a number
        return setting.default
    return min(max(value, setting.minimum), setting.maximum)
