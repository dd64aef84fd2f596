# SPDX-License-Identifier: GPL-2.0-or-later
"""How a network does on one picture, before it goes live: a wrong guess about an own file is seen at once."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...models.trust import VerifiedModel
from .network import Network
from .pipeline import Segmenter

SHEET_HEIGHT_PX = 480
BACKDROP_BGR = (80, 200, 80)

Picture = NDArray[np.uint8]


def preview(model: VerifiedModel | Network, picture_bgr: Picture) -> Picture:
    """The mask of a picture, HxW uint8, as the engine makes it of a frame: ``picture_bgr`` is HxWx3 uint8.

    On the CPU if the model is not loaded yet. Raises ModelRefused, InferenceError.
    """
    segmenter = Segmenter(model, "cpu")
    network = segmenter.network
    small = cv2.resize(picture_bgr, (network.width, network.height), interpolation=cv2.INTER_AREA)
    alpha = segmenter.alpha(cast(Picture, cv2.cvtColor(small, cv2.COLOR_BGR2RGBA)))
    height, width = picture_bgr.shape[:2]
    return cast(Picture, cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR))


def sheet(picture_bgr: Picture, mask_r8: Picture) -> Picture:
    """Picture, mask, and the person on green, side by side: uint8, BGR."""
    height, width = picture_bgr.shape[:2]
    size = max(width * SHEET_HEIGHT_PX // height, 1), SHEET_HEIGHT_PX
    picture = cv2.resize(picture_bgr, size, interpolation=cv2.INTER_AREA)
    mask = cv2.cvtColor(cv2.resize(mask_r8, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    share = mask.astype(np.float32) / 255
    person = picture * share + np.array(BACKDROP_BGR, np.float32) * (1 - share)
    return np.hstack([picture, mask, np.rint(person).astype(np.uint8)])
