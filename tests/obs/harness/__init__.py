# SPDX-License-Identifier: GPL-2.0-or-later
"""Real OBS under Xvfb, driven through obs-websocket: a library for tests, the demo and the benchmarks.

    with Obs(scripts=[SCRIPT], sources=[image_source("Camera", picture)]) as obs:
        obs.add_filter("Camera", "Key", "chroma_key_filter_v2", {"similarity": 400})
        frames_bgr = read_frames(obs.record(2.0))
    assert obs.exit.code == 0 and obs.exit.leaks == 0

Every ``Obs`` has a home of its own; the user's OBS settings are never read or written.
"""

from .clips import read_frames, write_clip
from .obs import Obs
from .processes import HarnessError
from .report import ObsExit, Timing
from .scenes import Filter, Source, colour_source, image_source, media_source, scene_collection, scene_source

__all__ = [
    "Filter",
    "HarnessError",
    "Obs",
    "ObsExit",
    "Source",
    "Timing",
    "colour_source",
    "image_source",
    "media_source",
    "read_frames",
    "scene_collection",
    "scene_source",
    "write_clip",
]
