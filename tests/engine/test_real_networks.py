# SPDX-License-Identifier: GPL-2.0-or-later
"""Real networks on a real picture: the one that ships, and other projects' with entries as the catalogue has them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.bridge.status import State
from background_filter.filters.engine.library import verify
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.models.catalog import InputSpec, ModelEntry, OutputSpec, default_model_id, load_catalog
from background_filter.models.trust import VerifiedModel
from background_filter.tests.engine.running import OpenStream

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "tests" / "pictures"
SHARED_MODELS = ROOT.parent / "shared" / "models"
BLACK, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SINET_MEAN = (102.89 / 255, 111.25 / 255, 126.91 / 255)
SINET_STD = (62.93, 62.82, 66.36)


def entry(file: str, spec: InputSpec, kind: str, layout: str, channel: int = 0) -> ModelEntry:
    """An entry as the catalogue would have it."""
    return ModelEntry("it", "It", file, "see there", "see there", "test", spec, OutputSpec(None, kind, layout, channel))


def unit(width: int, height: int, layout: str) -> InputSpec:
    """Input from 0 to 1."""
    return InputSpec(None, width, height, layout, "RGB", 1 / 255, BLACK, ONES)


def sinet(side: int) -> InputSpec:
    """(x - mean) / (std * 255), BGR."""
    return InputSpec(None, side, side, "NCHW", "BGR", 1 / 255, SINET_MEAN, SINET_STD)


CENTRED = InputSpec(None, 257, 257, "NHWC", "RGB", 1 / 127.5, ONES, ONES)
ENTRIES = [
    entry("mediapipe/mediapipe_selfie_landscape_144x256.onnx", unit(256, 144, "NHWC"), "probability", "NHWC"),
    entry("mediapipe/mediapipe_selfie_general_256.onnx", unit(256, 256, "NHWC"), "probability", "NHWC"),
    entry("sinet/sinet_320.onnx", sinet(320), "probability", "NCHW", 1),
    entry("sinet/sinet_224.onnx", sinet(224), "softmax_logits", "NCHW", 1),
    entry("portrait-mnv3/anil_mnv3_seg_float.onnx", unit(256, 256, "NHWC"), "softmax_logits", "NHWC", 1),
    entry("bodypix/bodypix_050_8.onnx", CENTRED, "logits", "NHWC"),
    entry("deeplab-voc/deeplabv3_257_mv_gpu.onnx", CENTRED, "softmax_logits", "NHWC", 15),
]


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


@pytest.mark.parametrize("known", ENTRIES, ids=lambda known: Path(known.file).stem)
def test_networks_of_other_projects_find_her(known: ModelEntry) -> None:
    path = SHARED_MODELS / known.file
    if not path.exists():
        assert os.environ.get("REQUIRE_SHARED") != "1", f"{path} is missing"
        pytest.skip("needs ../shared/models beside the repository")
    data = path.read_bytes()
    model = VerifiedModel(data, hashlib.sha256(data).hexdigest(), "user", path.name, known)
    found = iou(Segmenter(model, "cpu").alpha(astronaut(known.input.width, known.input.height)))
    assert found > 0.85
