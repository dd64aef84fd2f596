# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking closer at small people in real OBS: they are found, the mask lies where they are, and no room shows while the
region moves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.cli.bench_attention import standing
from background_filter.filters.cli.bench_picture_clip import portrait
from background_filter.models.catalog import default_model_id
from background_filter.tests.obs.harness import Filter, Obs, image_source, media_source, read_frames, write_clip
from background_filter.tests.obs.models import SIZE, colour_key_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    CANVAS,
    FILTER_ID,
    PLAIN,
    Picture,
    alpha_of,
    assert_clean_exit,
    background_filter,
    filter_obs,
    iou,
    room_bgr,
    room_share,
    wait_for_mask,
    wait_until,
)

CLIP_SIZE, CLIP_FPS, CLIP_FRAMES = (640, 360), 15, 90
CARD = "Card"
# Left, top, right and bottom of what the colour key takes for a person: small, and off every grid.
CARD_BOX = (307, 211, 394, 402)


def walking_clip(path: Path) -> tuple[list[Picture], list[Picture]]:
    """Write a clip of her walking away from the camera and back; gives its frames (BGR) and her true masks."""
    person = standing(*portrait(), room_bgr(CLIP_SIZE))
    frames_bgr, truths = [], []
    for number in range(CLIP_FRAMES):
        turn = 2 * np.pi * number / CLIP_FRAMES
        height = 0.2 * 4 ** (0.5 + 0.5 * np.cos(turn))
        frame_bgr, truth = person.frame(height, 0.5 + 0.2 * np.sin(turn), number)
        frames_bgr.append(frame_bgr)
        truths.append((truth * 255).astype(np.uint8))
    write_clip(path, frames_bgr, CLIP_FPS)
    return frames_bgr, truths


def card() -> tuple[Picture, Picture]:
    """A red card before blue, and where it is."""
    left, top, right, bottom = CARD_BOX
    truth = np.zeros(CANVAS[::-1], np.uint8)
    truth[top:bottom, left:right] = 255
    return np.where(truth[..., None] > 0, (30, 40, 220), (220, 60, 30)).astype(np.uint8), truth


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Picture], list[Picture]]:
    path = tmp_path_factory.mktemp("clip") / "walk.mkv"
    return path, *walking_clip(path)


@pytest.fixture(scope="module")
def obs(tmp_path_factory: pytest.TempPathFactory, clip: tuple[Path, list[Picture], list[Picture]]) -> Iterator[Obs]:
    """One OBS: the clip with the default model, and the card, which is not in view, with the colour key."""
    folder = tmp_path_factory.mktemp("attention")
    model = colour_key_model(folder / "key.onnx", SIZE)
    trusted_in(folder, model)
    cv2.imwrite(str(folder / "card.png"), card()[0])
    walker = background_filter(attention=True, model=default_model_id())
    camera = media_source(CAMERA, clip[0], filters=[walker])
    still = image_source(
        CARD, folder / "card.png", visible=False, filters=[Filter("Room", FILTER_ID, PLAIN | {"attention": True})]
    )
    settings = {"model": "own", "own_model_file": str(model)}
    with filter_obs(folder, [camera, still], settings, canvas=CLIP_SIZE, fps=CLIP_FPS, name="attention") as running:
        yield running
    assert_clean_exit(running)


def shown_alpha(frame_bgr: Picture) -> Picture:
    """Where a recorded frame shows her and not the green canvas: uint8 H x W, 255 or 0."""
    blue, green, red = (frame_bgr[..., channel].astype(int) for channel in range(3))
    return np.where(green - np.maximum(blue, red) < 128, 255, 0).astype(np.uint8)


def middle_of(mask: Picture) -> tuple[float, float]:
    ys, xs = np.nonzero(mask > 127)
    return (float(xs.mean()), float(ys.mean())) if xs.size else (-1e3, -1e3)


def test_she_stays_as_she_walks_away_and_back_and_no_room_shows(
    obs: Obs, clip: tuple[Path, list[Picture], list[Picture]]
) -> None:
    _, frames_bgr, truths = clip
    wait_for_mask(obs, least_share=0.005)
    recorded_bgr = read_frames(obs.record(CLIP_FRAMES / CLIP_FPS + 1))
    small = [frame[::4, ::4].astype(int) for frame in frames_bgr]
    sure = [truth[::4, ::4] > 250 for truth in truths]
    fits, seen, far_px = [], set(), []
    # A busy computer stops for a moment when a recording begins; what is outdated is hidden.
    begin = next(number for number, frame_bgr in enumerate(recorded_bgr) if number > 2 and shown_alpha(frame_bgr).any())
    for frame_bgr in recorded_bgr[begin:]:
        differences = [np.abs(frame_bgr[::4, ::4] - each)[part].mean() for each, part in zip(small, sure, strict=True)]
        index = int(np.argmin(differences))
        alpha = shown_alpha(frame_bgr)
        seen.add(index)
        fits.append(iou(alpha, truths[index]))
        far_px.append(np.hypot(*np.subtract(middle_of(alpha), middle_of(truths[index]))))
        assert room_share(frame_bgr) < 0.002
    worst = recorded_bgr[begin + int(np.argmin(fits))]
    cv2.imwrite(str(obs.artefacts / "worst.png"), worst)
    assert len(seen) > 0.6 * CLIP_FRAMES
    assert min(fits) > 0.85  # the whole frame's mask alone comes to about a half where she is smallest
    assert max(far_px) < CLIP_SIZE[0] / SIZE[0]


def test_the_mask_of_a_region_lies_where_the_region_is(obs: Obs) -> None:
    picture_bgr, truth = card()
    small = cv2.resize(picture_bgr, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    key = (4 * (small[..., 2] - small[..., 0]) + 1.5).clip(0, 1) * 255  # as the network does
    whole = cv2.resize(key.round().astype(np.uint8), CANVAS, interpolation=cv2.INTER_LINEAR)
    item = obs.ws.get_scene_item_id("Scene", CARD).scene_item_id
    obs.ws.set_scene_item_enabled("Scene", item, True)

    alpha = card_when(obs, "a finer mask than the whole frame's", lambda a: 0 < soft_px(a) < 0.6 * soft_px(whole))
    assert np.abs(np.subtract(middle_of(alpha), middle_of(truth))).max() < 1
    assert iou(alpha, truth) > iou(whole, truth) > 0.9
    assert alpha[~cv2.dilate(truth, np.ones((9, 9))).astype(bool)].max() == 0

    obs.ws.set_source_filter_settings(CARD, "Room", {"invert": True}, True)
    inverted = card_when(obs, "the room", lambda a: a[0, 0] == 255)
    assert np.abs(inverted.astype(int) + alpha - 255).max() <= 1

    obs.ws.set_source_filter_settings(CARD, "Room", {"invert": False, "feather_px": 12.0}, True)
    feathered = card_when(obs, "the feather", lambda a: soft_px(a) > 2 * soft_px(alpha))
    assert np.abs(np.subtract(middle_of(feathered), middle_of(truth))).max() < 1
    assert feathered[~cv2.dilate(truth, np.ones((31, 31))).astype(bool)].max() == 0


def card_when(obs: Obs, what: str, holds: Callable[[Picture], bool]) -> Picture:
    """The card's alpha as soon as that holds."""

    def found() -> Picture | None:
        alpha = alpha_of(obs, CARD)
        return alpha if holds(alpha) else None

    return np.asarray(wait_until(what, found))


def soft_px(alpha: Picture) -> int:
    """How many pixels are neither in nor out."""
    return int(np.count_nonzero((alpha > 12) & (alpha < 243)))
