# SPDX-License-Identifier: GPL-2.0-or-later
"""Scene collections as OBS stores them, built from a few plain descriptions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCENE = "Scene"
ScriptEntry = Path | str | tuple[Path | str, dict[str, Any]]


@dataclass(frozen=True)
class Filter:
    """A filter as stored with its source."""

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True

    def to_json(self) -> dict[str, Any]:
        """The filter in OBS's form."""
        return {"name": self.name, "id": self.kind, "settings": self.settings, "enabled": self.enabled}


@dataclass(frozen=True)
class Source:
    """A source and its place in the scene; ``position_px`` is its top left corner, ``scale`` its zoom (x, y)."""

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    filters: Sequence[Filter] = ()
    position_px: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    visible: bool = True

    def to_json(self) -> dict[str, Any]:
        """The source in OBS's form, silent."""
        return {
            "name": self.name,
            "id": self.kind,
            "versioned_id": self.kind,
            "settings": self.settings,
            "filters": [each.to_json() for each in self.filters],
            "enabled": True,
            "muted": True,
            "mixers": 0,
        }


def image_source(name: str, path: Path, **options: Any) -> Source:
    """A picture from a file; ``options`` are Source's other fields."""
    return Source(name, "image_source", {"file": str(Path(path).resolve()), "linear_alpha": False}, **options)


def media_source(name: str, path: Path, loop: bool = True, **options: Any) -> Source:
    """A local clip, decoded in software and looping; ``options`` are Source's other fields."""
    settings = {
        "local_file": str(Path(path).resolve()),
        "is_local_file": True,
        "looping": loop,
        "restart_on_activate": True,
        "hw_decode": False,
        "clear_on_media_end": False,
        "color_range": 2,
    }
    return Source(name, "ffmpeg_source", settings, **options)


def colour_source(name: str, rgb: tuple[int, int, int], size_px: tuple[int, int], **options: Any) -> Source:
    """An even colour, opaque; OBS stores it as 0xAABBGGRR."""
    red, green, blue = rgb
    colour_abgr = 0xFF000000 | blue << 16 | green << 8 | red
    settings = {"color": colour_abgr, "width": size_px[0], "height": size_px[1]}
    return Source(name, "color_source_v3", settings, **options)


def scene_source(name: str, sources: Sequence[Source], filters: Sequence[Filter] = ()) -> dict[str, Any]:
    """A scene that shows ``sources``, the first one at the bottom, in OBS's form."""
    items = [_scene_item(number, source) for number, source in enumerate(sources, start=1)]
    return {
        "name": name,
        "id": "scene",
        "versioned_id": "scene",
        "settings": {"custom_size": False, "id_counter": len(items), "items": items},
        "filters": [each.to_json() for each in filters],
        "enabled": True,
        "mixers": 0,
    }


def _scene_item(number: int, source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "id": number,
        "visible": source.visible,
        "locked": False,
        "rot": 0.0,
        "align": 5,
        "pos": {"x": source.position_px[0], "y": source.position_px[1]},
        "scale": {"x": source.scale[0], "y": source.scale[1]},
        "bounds_type": 0,
        "bounds": {"x": 0.0, "y": 0.0},
        "bounds_align": 0,
        "crop_left": 0,
        "crop_top": 0,
        "crop_right": 0,
        "crop_bottom": 0,
        "scale_filter": "disable",
        "blend_method": "default",
        "blend_type": "normal",
        "show_transition": {"duration": 0},
        "hide_transition": {"duration": 0},
    }


def scene_collection(
    name: str,
    sources: Sequence[Source] = (),
    scripts: Sequence[ScriptEntry] = (),
    scene_filters: Sequence[Filter] = (),
) -> dict[str, Any]:
    """A whole scene collection with the one scene ``Scene``, cut as transition, and the scripts listed."""
    return {
        "name": name,
        "current_scene": SCENE,
        "current_program_scene": SCENE,
        "scene_order": [{"name": SCENE}],
        "sources": [*(each.to_json() for each in sources), scene_source(SCENE, sources, scene_filters)],
        "groups": [],
        "transitions": [],
        "quick_transitions": [],
        "saved_projectors": [],
        "current_transition": "Cut",
        "transition_duration": 0,
        "modules": {"scripts-tool": script_entries(scripts)},
    }


def script_entries(scripts: Sequence[ScriptEntry]) -> list[dict[str, Any]]:
    """Scripts in OBS's form; each is a path or (path, settings)."""
    entries = []
    for script in scripts:
        path, settings = script if isinstance(script, tuple) else (script, {})
        entries.append({"path": str(Path(path).resolve()), "settings": settings})
    return entries
