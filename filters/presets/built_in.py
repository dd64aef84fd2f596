# SPDX-License-Identifier: GPL-2.0-or-later
"""The presets that come with the filter, by their id (settings store it: it never changes); their names and what they
are for stand in the locale files under ``preset.<id>``."""

from .preset import Preset, defaults_of

DEFAULT_PRESET = "streamer"

_EDGES = ("threshold", "edge_softness", "sharp_edges", "feather_px", "grow_px")
_STABILITY = ("smoothing", "remove_specks", "timing")
_QUALITY = defaults_of((*_EDGES, *_STABILITY))
_EVERYTHING = {**_QUALITY, **defaults_of(("background", "without_mask", "invert", "preview_mask"))}

BUILT_IN = {
    # What a new filter has: the scene shows behind you, and nothing at all is shown without a mask.
    "streamer": Preset("streamer", _EVERYTHING),
    # You sit still before a room whose shelves nobody shall read. The voice does not go through OBS, but a picture two
    # frames late is within what people accept, and a matched mask fits. Who vanished in the middle of a sentence would
    # be asked whether they are still there: so all is blurred without a mask.
    "meeting": Preset(
        "meeting",
        {**_EVERYTHING, "background": "blur", "blur_strength": 0.6, "without_mask": "blur", "smoothing": 0.7},
    ),
    # A camera in the dark sends noise, and the edge flickers with it. On the test portrait at a fifth of its light,
    # with noise of 7 levels, a feather of one pixel takes half of that away and costs nothing; a lower threshold loses
    # a third less of dark hair and clothes. What is behind you stays as it was.
    "low_light": Preset("low_light", {**_QUALITY, "threshold": 0.45, "feather_px": 1.0, "smoothing": 0.8}),
    # The network that takes the least time, and none for sharp edges. What is behind you stays as it was.
    "slow_computer": Preset("slow_computer", {**_QUALITY, "sharp_edges": False, "model": "person_fast_256x144"}),
}
