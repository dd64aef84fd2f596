# SPDX-License-Identifier: GPL-2.0-or-later
"""What a recording says: the alpha that was drawn at every pixel, and which frame of the clip it was drawn on.

The recording shows the filtered source twice: in its upper half over black, in its lower half over white. OBS blends in
linear light, so in linear light the two halves differ by 1 - alpha, whatever the colours that were drawn. Where alpha
is 0 or 1 that is exact; between, it is within about a hundredth, as colours are recorded in 256 steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .bench_picture_clip import Alpha, Picture, fingerprint

# Of a grid over the frame: fewer opaque pixels than this say nothing, and more than so many nothing more.
LEAST_PIXELS, ENOUGH_PIXELS = 40, 500
# Mean difference, in steps of 255, between a frame and its recording, whose colours were rounded on the way; to a frame
# with other noise it is above 2.
SAME_FRAME = 1.2

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def halves(recorded_bgr: Picture) -> tuple[Picture, Picture]:
    """What was recorded over black and over white: uint8 H x W x 3 each, of uint8 2H x W x 3."""
    height = recorded_bgr.shape[0] // 2
    return recorded_bgr[:height], recorded_bgr[height:]


def recovered_alpha(over_black_bgr: Picture, over_white_bgr: Picture) -> Alpha:
    """The alpha that was drawn: float32 H x W, 0 to 1."""
    difference = cv2.subtract(cv2.LUT(over_white_bgr, _LINEAR), cv2.LUT(over_black_bgr, _LINEAR))
    mean = cv2.transform(difference, np.full((1, 3), 1 / 3, np.float32))
    return np.asarray(np.clip(1 - mean, 0, 1), np.float32)


def shown_index(over_black_bgr: Picture, alpha: Alpha, fingerprints: NDArray[np.int16]) -> int | None:
    """Which frame of the clip is shown, by its noise where it is drawn opaque; None when it can't be told.

    ``fingerprints`` are those of all frames of the clip, int16 N x h x w x 3.
    """
    opaque = np.flatnonzero(fingerprint(alpha) >= 0.999)
    if opaque.size < LEAST_PIXELS:
        return None
    opaque = opaque[:: max(opaque.size // ENOUGH_PIXELS, 1)]
    seen = fingerprint(over_black_bgr).reshape(-1, 3)[opaque].astype(np.int16)
    known = fingerprints.reshape(len(fingerprints), -1, 3)[:, opaque]
    differences = np.abs(known - seen).mean(axis=(1, 2))
    best = int(differences.argmin())
    return best if differences[best] < SAME_FRAME else None


def stacked(fingerprints: Sequence[Picture]) -> NDArray[np.int16]:
    """Fingerprints as ``shown_index`` takes them."""
    return np.stack(fingerprints).astype(np.int16)
