# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking closer with the network that ships, as OBS and the engine do it together: small people are found, large ones
are seen as ever, and whoever comes in beside is there at once."""

from __future__ import annotations

import collections
import dataclasses
import functools
import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.bridge.region import WHOLE, Region
from background_filter.filters.bridge.status import State
from background_filter.filters.cli.bench_attention import Standing, standing
from background_filter.filters.cli.bench_picture_clip import drawn_room, portrait
from background_filter.filters.engine.attention import box_of
from background_filter.filters.engine.closer import Answer, AttentiveSegmenter, Closer, pasted
from background_filter.filters.engine.network import Network, load_network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.engine.refine import Refinement
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog
from background_filter.tests.engine.running import OpenStream

SIZE = (960, 540)
MASK = (256, 144)
FPS = 30
WANTED = Refinement(smoothing=0.5, sharp_edges=False, no_specks=True)
LATE_FRAMES = 3  # so much later than asked for a region arrives

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network(trust.read_model(load_catalog()[default_model_id()]), "cpu").network


@functools.cache
def her() -> Standing:
    return standing(*portrait(), drawn_room(SIZE))


def scene(height: float, middle: float, seed: int, second: float | None = None) -> tuple[Picture, Picture]:
    """Her in the room, so high as a share of the frame's height, her middle at a share of its width; perhaps a
    ``second`` and larger time, there. The frame, RGB, with noise, and the true mask."""
    frame_bgr, truth = her().frame(height, middle, seed)
    if second is not None:
        beside = dataclasses.replace(her(), room_bgr=frame_bgr)
        frame_bgr, other = beside.frame(0.7, second, seed)
        truth = np.maximum(truth, other)
    return np.asarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB), np.uint8), (truth * 255).astype(np.uint8)


def small_rgba(picture: Picture) -> Picture:
    return np.asarray(
        cv2.cvtColor(cv2.resize(picture, MASK, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2RGBA), np.uint8
    )


def rectangle(region: Region) -> tuple[slice, slice]:
    width, height = SIZE
    rows = slice(round(region.top * height), round((region.top + region.side) * height))
    return rows, slice(round(region.left * width), round((region.left + region.side) * width))


class Sequence:
    """A sequence of frames, each with the region that was asked for some frames before, as from OBS."""

    def __init__(self, network: Network) -> None:
        self.segmenter = AttentiveSegmenter(network)
        self._asked = collections.deque([WHOLE] * LATE_FRAMES)
        self._number = 0

    def next(self, frame_rgb: Picture, wanted: Refinement = WANTED) -> Answer:
        self._number += 1
        region = self._asked.popleft()
        closer = None if region.is_whole else Closer(region, small_rgba(frame_rgb[rectangle(region)]))
        time_ns = self._number * 10**9 // FPS
        answer = self.segmenter.segment(small_rgba(frame_rgb), time_ns, wanted, True, closer)
        self._asked.append(answer.wanted)
        return answer


def drawn(answer: Answer) -> Picture:
    """The mask at the frame's size: 255 where alpha is above half."""
    alpha = np.zeros(SIZE[::-1], np.uint8)
    rows, columns = rectangle(answer.region)
    size = columns.stop - columns.start, rows.stop - rows.start
    alpha[rows, columns] = cv2.resize(np.asarray(answer.segmented.mask, np.uint8), size)
    return np.where(alpha > 127, 255, 0).astype(np.uint8)


def iou(one: Picture, other: Picture) -> float:
    a, b = one > 127, other > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


def swaying(number: int) -> float:
    return 0.3 + 0.02 * np.sin(number / 5)


def test_a_large_person_gets_the_same_masks_as_without(network: Network) -> None:
    sequence, plain = Sequence(network), Segmenter(network)
    for number in range(1, 31):
        frame_rgb, _ = scene(0.75, swaying(number), number)
        answer = sequence.next(frame_rgb)
        expected = plain.segment(small_rgba(frame_rgb), number * 10**9 // FPS, WANTED)
        assert (answer.region, answer.wanted) == (WHOLE, WHOLE)
        assert np.array_equal(answer.segmented.mask, expected.mask)


def test_without_being_asked_it_looks_at_the_whole(network: Network) -> None:
    segmenter, plain = AttentiveSegmenter(network), Segmenter(network)
    for number in range(1, 31):
        frame_rgba = small_rgba(scene(0.3, swaying(number), number)[0])
        answer = segmenter.segment(frame_rgba, number * 10**9 // FPS, WANTED, False)
        expected = plain.segment(frame_rgba, number * 10**9 // FPS, WANTED)
        assert (answer.region, answer.wanted) == (WHOLE, WHOLE)
        assert np.array_equal(answer.segmented.mask, expected.mask)


@pytest.mark.parametrize("height", [1 / 3, 1 / 4, 1 / 6])
def test_a_small_person_is_found_though_the_whole_frames_mask_misses_her(network: Network, height: float) -> None:
    sequence, plain = Sequence(network), Segmenter(network)
    with_it, without = [], []
    for number in range(1, 61):
        frame_rgb, truth = scene(height, swaying(number), number)
        answer = sequence.next(frame_rgb)
        alone = plain.segment(small_rgba(frame_rgb), number * 10**9 // FPS, WANTED)
        with_it.append(iou(drawn(answer), truth))
        without.append(iou(drawn(Answer(alone, WHOLE, WHOLE)), truth))
    assert min(with_it[40:]) > 0.8 and np.mean(with_it[40:]) > 0.9
    assert np.mean(with_it[40:]) > np.mean(without[40:]) + (0.3 if height < 0.2 else 0.01)


def test_she_walks_away_and_back_without_a_gap_or_a_jump(network: Network) -> None:
    sequence, fits, regions = Sequence(network), [], []
    for number in range(150):
        height = 0.17 * 5 ** (0.5 + 0.5 * np.cos(2 * np.pi * number / 150))
        frame_rgb, truth = scene(height, 0.5 + 0.15 * np.sin(2 * np.pi * number / 150), number)
        answer = sequence.next(frame_rgb)
        regions.append(answer.region)
        fits.append(iou(drawn(answer), truth))
    assert len(set(regions)) > 3 and regions[-1].is_whole
    assert min(fits) > 0.8, list(zip(regions, fits))


def test_a_second_person_is_there_in_the_very_frame_in_which_she_is_without_looking_closer(network: Network) -> None:
    sequence, plain = Sequence(network), Segmenter(network)
    middle = SIZE[0] // 2
    seen: dict[str, list[int]] = {"closer": [], "whole": []}
    for number in range(1, 91):
        second = max(1.3 - 0.02 * (number - 50), 0.8) if number > 50 else None
        frame_rgb, truth = scene(1 / 4, swaying(number), number, second)
        answer = sequence.next(frame_rgb)
        if number == 50:
            assert not answer.region.is_whole
        alone = plain.segment(small_rgba(frame_rgb), number * 10**9 // FPS, WANTED)
        for name, each in (("closer", answer), ("whole", Answer(alone, WHOLE, WHOLE))):
            if np.count_nonzero(drawn(each)[:, middle:]) > 0.2 * np.count_nonzero(truth[:, middle:] > 127) > 0:
                seen[name].append(number)
        if number > 85:  # and the first is not lost
            assert iou(drawn(answer)[:, :middle], truth[:, :middle]) > 0.7
    assert seen["whole"] and set(seen["closer"]) >= set(seen["whole"])


def test_frames_like_the_one_before_cost_no_inference(network: Network) -> None:
    sequence = Sequence(network)
    for number in range(1, 61):
        frame_rgb, _ = scene(1 / 4, swaying(number), number)
        answer = sequence.next(frame_rgb)
    assert not answer.region.is_whole
    for _ in range(LATE_FRAMES):
        sequence.next(frame_rgb)
    repeats = [sequence.next(frame_rgb).segmented.is_repeat for _ in range(2 * FPS)]
    assert repeats.count(False) <= 1  # a look at the whole, to see whether anybody is there


def test_a_regions_mask_is_put_into_the_wholes_place() -> None:
    region = Region(0.25, 21 / 64, 0.5)
    at_y, at_x = np.mgrid[0:144, 0:256]
    whole = ((at_x - 130.5) ** 2 + (at_y - 80.25) ** 2 < 25**2).astype(np.uint8) * 255
    x, y = region.left * 256 + (at_x + 0.5) / 2 - 0.5, region.top * 144 + (at_y + 0.5) / 2 - 0.5
    near = ((x - 130.5) ** 2 + (y - 80.25) ** 2 < 25**2).astype(np.uint8) * 255
    both = pasted(np.zeros_like(whole), near, region)
    assert iou(both, whole) > 0.98
    ys, xs = np.nonzero(both > 127)
    assert abs(xs.mean() - 130.5) < 0.1 and abs(ys.mean() - 80.25) < 0.1
    assert pasted(np.full_like(whole, 255), np.zeros_like(near), region).mean() > 150  # beyond it nothing changes


def test_an_engine_asks_for_the_part_and_answers_with_its_mask(open_stream: OpenStream, bright: str) -> None:
    stream = open_stream(bright)
    stream.wait_for_state(State.READY)
    lamp = np.zeros((480, 640, 4), np.uint8)
    wanted, mask = WHOLE, None
    for number in range(100):
        lamp[...] = 0
        lamp[200:300, 300 + number % 3 * 4 : 380 + number % 3 * 4] = 255
        rows = slice(round(wanted.top * 480), round((wanted.top + wanted.side) * 480))
        columns = slice(round(wanted.left * 640), round((wanted.left + wanted.side) * 640))
        small, part = (cv2.resize(each, (64, 48), interpolation=cv2.INTER_AREA) for each in (lamp, lamp[rows, columns]))
        stream.publish_attentive(np.asarray(small, np.uint8), np.asarray(part, np.uint8), wanted)
        mask = stream.next_mask()
        if not mask.region.is_whole:
            break
        wanted = mask.wanted
        time.sleep(0.02)
    assert mask is not None and mask.region == wanted and wanted.side < 0.5
    alpha = np.frombuffer(mask.pixels, np.uint8).reshape(mask.height, mask.row_bytes)[:, : mask.width]
    box = box_of(alpha, mask.region)
    assert box is not None
    expected = (300 / 640, 200 / 480, 388 / 640, 300 / 480)
    assert np.abs(np.subtract(box, expected)).max() < 0.03
