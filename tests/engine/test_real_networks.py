# SPDX-License-Identifier: GPL-2.0-or-later
"""The network that ships, in a real engine process, on a real picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from background_filter.filters.bridge.status import State
from background_filter.filters.engine.library import verify
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.tests.engine.running import OpenStream

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "tests" / "pictures"


def picture(name: str, width: int, height: int) -> NDArray[np.uint8]:
    """A picture of the tests, squeezed to the size: HxWx3 BGR."""
    found = cv2.imread(str(PICTURES / name))
    assert found is not None
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def astronaut(width: int, height: int) -> NDArray[np.uint8]:
    """A frame with the astronaut, HxWx4 uint8 RGBA."""
    return np.asarray(cv2.cvtColor(picture("astronaut.png", width, height), cv2.COLOR_BGR2RGBA), np.uint8)


def iou(alpha: NDArray[np.uint8]) -> float:
    """Overlap of mask and truth at one half. The helmet in her hands is left out: opinions differ."""
    height, width = alpha.shape
    truth, helmet = (picture(f"astronaut_{name}.png", width, height)[..., 0] > 127 for name in ("mask", "helmet"))
    person = alpha > 127
    return float((person & truth & ~helmet).sum() / ((person | truth) & ~helmet).sum())


def test_network_that_ships_finds_her(open_stream: OpenStream) -> None:
    model_id = default_model_id()
    spec = load_catalog()[model_id].input
    frame = astronaut(spec.width, spec.height)
    stream = open_stream(model_id)
    status = stream.wait_for_state(State.READY)
    assert (status.model, status.problem) == (model_id, None)
    alpha = stream.alpha_of(frame)
    assert iou(alpha) > 0.85
    assert np.array_equal(alpha, Segmenter(verify(model_id), "cpu").alpha(frame))
