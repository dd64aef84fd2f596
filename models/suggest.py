# SPDX-License-Identifier: GPL-2.0-or-later
"""Which model suits a machine: the best by measured quality of those that it holds at a frame rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A model that may run here: ``ms`` for one frame, from pixels to mask, as measured on this machine.

    ``quality`` is what was measured of it once, 0 to 1 (``catalog.Measured.quality``); None if nobody did.
    """

    id: str
    ms: float
    quality: float | None


def is_held(ms: float, fps: float, share: float = 0.5) -> bool:
    """Whether a model of ``ms`` a frame takes at most ``share`` of the time between frames; never for no number."""
    return math.isfinite(ms) and 0 <= ms * fps <= 1000 * share


def suggest(candidates: Sequence[Candidate], fps: float, share: float = 0.5) -> str | None:
    """The id of the best candidate that this machine holds at ``fps`` frames per second, or None if there is none.

    A model may take ``share`` of the time between two frames: the rest is for OBS, and for the frames that cost more.
    Of equal quality the faster one, then the first by id. One whose quality is unknown is never suggested.
    """
    known = [
        (-each.quality, each.ms, each.id)
        for each in candidates
        if each.quality is not None and math.isfinite(each.quality) and is_held(each.ms, fps, share)
    ]
    return min(known)[2] if known else None
