# SPDX-License-Identifier: GPL-2.0-or-later
"""``--preset NAME`` of the commands that take the filter's settings as options."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ..bridge.messages import AUTOMATIC
from ..obs.settings import DEFAULTS
from ..presets import PresetError, find_preset

HELP = "use a preset's settings (see presets); options behind it change them"


class UsePreset(argparse.Action):
    """Takes a preset's values for the options that the command has."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        name: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        try:
            preset, _ = find_preset(str(name))
        except PresetError as error:
            raise argparse.ArgumentError(self, f"{error} All presets: presets list") from error
        setattr(namespace, self.dest, preset.name)
        for key, value in without_obs(preset.values).items():
            if hasattr(namespace, key):
                setattr(namespace, key, value)


def without_obs(values: Mapping[str, Any]) -> dict[str, Any]:
    """What holds of a preset without OBS: nothing is measured, and there are no sources to stand behind a person. A
    background that is none is left to the command, which may have a colour or a file of its own."""
    kept = dict(values)
    if kept.get("model") == AUTOMATIC:
        del kept["model"]
    if kept.get("background") in (DEFAULTS.background, "source"):
        del kept["background"]
    return kept
