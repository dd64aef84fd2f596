# SPDX-License-Identifier: GPL-2.0-or-later
"""Alpha is averaged where nothing moves, and only there: in real OBS, on a clip with noise in which a hand is raised.

The network here calls bright things a person, and the filter shows its mask in grey. Every frame carries its number as
bright and dark squares, so that it is known again in the recording.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from background_filter.filters.obs.edge import ring_radii
from background_filter.filters.obs.steady import still_weight
from background_filter.tests.obs.harness import media_source, read_frames, write_clip
from background_filter.tests.obs.models import brightness_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    Picture,
    assert_clean_exit,
    background_filter,
    filter_obs,
    wait_until,
)

SIZE_PX, FPS = (640, 360), 10
FRAMES, FIRST_MOVING, LAST_MOVING = 32, 16, 22
BITS, SQUARE_PX = 5, 24
# The hand rises by so many pixels in each moving frame, from its lowest place.
STEP_PX, LOWEST_PX = 30, 300
HAND = slice(440, 500)
# A ramp that multiplies noise, as the default does.
SETTINGS: dict[str, Any] = {"sharp_edges": False, "edge_softness": 0.2, "remove_specks": False, "preview_mask": True}


def hand_top_px(number: int) -> int:
    """The hand's upper edge in a frame of the clip."""
    return LOWEST_PX - STEP_PX * int(np.clip(number - FIRST_MOVING + 1, 0, LAST_MOVING - FIRST_MOVING + 1))


def frame_bgr(number: int) -> Picture:
    """A body, a hand, the frame's number, and noise of its own."""
    width, height = SIZE_PX
    grey = np.full((height, width), 60.0, np.float32)
    cv2.ellipse(grey, (240, height), (120, 260), 0, 0, 360, 200.0, -1)
    grey[hand_top_px(number) :, HAND] = 200.0
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 4), np.float32)
    for bit in range(BITS):
        grey[:SQUARE_PX, 2 * bit * SQUARE_PX : (2 * bit + 1) * SQUARE_PX] = 230.0 if number >> bit & 1 else 20.0
    noise = np.random.default_rng(number).normal(0, 6, (height, width, 3))
    return np.asarray(np.clip(np.rint(grey[..., None] + noise), 0, 255), np.uint8)


def number_of(alpha: Picture) -> int:
    """The number that a frame carries, by what was drawn of it."""
    middle = SQUARE_PX // 2
    return sum((int(alpha[middle, (4 * bit + 1) * middle]) > 127) << bit for bit in range(BITS))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[float, dict[int, Picture]]:
    """What OBS shows with smoothing 0 and with the default: alpha in 256 steps by the clip's frame."""
    folder: Path = tmp_path_factory.mktemp("steady")
    model = brightness_model(folder / "brightness.onnx")
    trusted_in(folder, model)
    clip = write_clip(folder / "clip.mkv", [frame_bgr(number) for number in range(FRAMES)], FPS, "HFYU")
    camera = media_source(CAMERA, clip, filters=[background_filter(**SETTINGS, smoothing=0.0)])
    script = {"model": "own", "own_model_file": str(model)}
    found: dict[float, dict[int, Picture]] = {}
    with filter_obs(folder, [camera], script, canvas=SIZE_PX, fps=FPS, name="steady") as obs:
        obs.wait_for_log("ready, model")
        wait_until("the mask", lambda: True if obs.screenshot(CAMERA)[-1, 240, 0] == 255 else None)
        for smoothing in (0.0, 0.5):
            obs.ws.set_source_filter_settings(CAMERA, "Room", {"smoothing": smoothing}, overlay=True)
            # The whole clip twice, and what came before it is forgotten.
            recorded = [frame[..., 0] for frame in read_frames(obs.record(2.2 * FRAMES / FPS))]
            found[smoothing] = {number_of(alpha): alpha for alpha in recorded[8:]}
            cv2.imwrite(str(obs.artefacts / f"last-{smoothing}.png"), found[smoothing][max(found[smoothing])])
    assert_clean_exit(obs)
    return found


def flicker(frames: dict[int, Picture], numbers: range) -> float:
    """The mean change from frame to frame, in steps of 255, beside the number's squares."""
    pairs = [(frames[each], frames[each + 1]) for each in numbers if each in frames and each + 1 in frames]
    assert len(pairs) >= 5
    return float(np.mean([np.abs(one.astype(int) - other)[2 * SQUARE_PX :].mean() for one, other in pairs]))


def test_a_still_picture_does_not_flicker(shown: dict[float, dict[int, Picture]]) -> None:
    still = range(6, FIRST_MOVING - 2)
    assert flicker(shown[0.0], still) > 0.05
    assert flicker(shown[0.5], still) < 0.4 * flicker(shown[0.0], still)


def test_a_raised_hand_is_there_at_once_and_leaves_nothing(shown: dict[float, dict[int, Picture]]) -> None:
    seen = [number for number in range(FIRST_MOVING, LAST_MOVING + 1) if number in shown[0.5] and number in shown[0.0]]
    assert len(seen) >= 4
    for number in seen:
        top_px = hand_top_px(number)
        new = shown[0.5][number][top_px + 12 : top_px + STEP_PX, HAND.start + 12 : HAND.stop - 12]
        assert new.min() == 255, number
        moving = slice(top_px - 2 * STEP_PX, top_px + STEP_PX), slice(HAND.start - 20, HAND.stop + 20)
        difference = np.abs(shown[0.5][number].astype(int) - shown[0.0][number])[moving]
        assert difference.mean() < 2, number
    # The loop's end: the hand is down again, and nothing is left where it was.
    first = shown[0.5][min(number for number in shown[0.5] if number < 4)]
    assert first[2 * SQUARE_PX : LOWEST_PX - 20, HAND.start - 20 : HAND.stop + 20].max() == 0


def test_the_slider_runs_from_off_to_nearly_still() -> None:
    weights = [still_weight(smoothing) for smoothing in (0.0, 0.25, 0.5, 1.0)]
    assert weights[0] == 1.0 and weights == sorted(weights, reverse=True) and 0.03 < weights[-1] < 0.1


@pytest.mark.parametrize("grow_px", [0.5, 2.0, 7.5, 30.0])
def test_the_rings_add_up(grow_px: float) -> None:
    assert sum(ring_radii(grow_px)) == pytest.approx(1.0115 * grow_px, rel=1e-3)
