# SPDX-License-Identifier: GPL-2.0-or-later
"""Smoothing over frames before and after."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.engine.network import Network
from background_filter.filters.engine.prepare import halved
from background_filter.filters.engine.temporal import TemporalSmoother
from background_filter.filters.obs.settings import DEFAULTS
from background_filter.filters.offline.both_ways import REACH, BothWays
from background_filter.filters.offline.person import ClipPersonFinder, PersonFinder
from background_filter.filters.offline.planes import alpha_of_planes, rgb_of_planes
from background_filter.filters.offline.reading import VideoReader
from background_filter.tests.offline.clips import Picture

FRAMES, STEP_NS = 40, 33_000_000


def noisy_masks(px_per_frame: float) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """A disc before a wall, moving to the right: its frames with a camera's noise, the network's masks with noise of
    theirs at the edge, and the truth."""
    rng = np.random.default_rng(3)
    frames, masks, truths = [], [], []
    for number in range(FRAMES):
        truth = np.zeros((144, 256), np.uint8)
        centre = round((80 + px_per_frame * number) * 16), 72 * 16
        cv2.circle(truth, centre, 40 * 16, 255, cv2.FILLED, cv2.LINE_AA, 4)
        wobbly = np.zeros((144, 256), np.uint8)
        around = round(centre[0] + rng.normal(0, 12)), round(centre[1] + rng.normal(0, 12))
        cv2.circle(wobbly, around, round((40 + rng.normal(0, 0.7)) * 16), 255, cv2.FILLED, cv2.LINE_AA, 4)
        light = truth[:, :, None] * 0.5 + 60 + rng.normal(0, 2, (144, 256, 4))
        frames.append(light.clip(0, 255).astype(np.uint8))
        masks.append(wobbly)
        truths.append(truth)
    return frames, masks, truths


def smoothed(frames: list[Picture], masks: list[Picture], smoothing: float) -> list[Picture]:
    smoother: BothWays[int] = BothWays(smoothing)
    given = [each for i in range(FRAMES) for each in smoother.push(i, masks[i], frames[i], i * STEP_NS)]
    given += smoother.flush()
    assert [number for number, _ in given] == list(range(FRAMES))
    return [alpha for _, alpha in given]


def flicker(masks: list[Picture]) -> float:
    """dtSSD of a picture that stands still: 100 times the root of the mean square of what changes."""
    values = np.stack(masks).astype(np.float32) / 255
    return float(np.sqrt((np.diff(values, axis=0) ** 2).mean()) * 100)


def error(masks: list[Picture], truths: list[Picture]) -> float:
    return float(np.mean([np.abs(mask.astype(float) - truth).mean() for mask, truth in zip(masks, truths)]))


@pytest.mark.parametrize("smoothing", [0.5, 1.0])
def test_a_still_person_flickers_less_than_with_the_past_alone(smoothing: float) -> None:
    frames, masks, truths = noisy_masks(0)
    live = TemporalSmoother()
    past = [live.smooth(masks[i], halved(frames[i]), i * STEP_NS, smoothing).copy() for i in range(FRAMES)]
    both = smoothed(frames, masks, smoothing)
    assert flicker(both[8:-8]) < 0.8 * flicker(past[8:-8]) < 0.8 * 0.7 * flicker(masks[8:-8])
    assert error(both, truths) < error(masks, truths)


def test_a_real_person_flickers_less_than_live(network: Network, shared_folder: Path) -> None:
    """Where the picture stands still, in full size, with all that the filter does by default."""
    live = PersonFinder(network, DEFAULTS)
    changes: dict[str, list[float]] = {"live": [], "both": []}
    with VideoReader(shared_folder / "video" / "volcomix_thoughtful_35590.mp4") as reader:
        both = ClipPersonFinder(network, DEFAULTS, reader.colours)
        before: dict[str, tuple[Picture, Picture]] = {}
        for frame in itertools.islice(reader.frames(), 45):
            time_ns = int(frame.pts * reader.time_base * 10**9)
            past = live.alpha(rgb_of_planes(frame.planes, reader.colours), time_ns)
            both_ways = [
                (found.frame, alpha_of_planes(found.mask, found.frame.planes, reader.colours, DEFAULTS))
                for found in both.push(frame, time_ns)
            ]
            for name, given in (("live", [(frame, past)]), ("both", both_ways)):
                for shown, alpha in given:
                    light = np.asarray(cv2.blur(shown.planes.y, (7, 7)), np.uint8)
                    if name in before:
                        is_still = cv2.dilate(cv2.absdiff(light, before[name][0]), np.ones((9, 9))) < 3
                        difference = cv2.absdiff(alpha, before[name][1])[is_still].astype(np.float32)
                        changes[name].append(float((difference**2).mean()))
                    before[name] = light, alpha
    assert np.mean(changes["both"][5:]) < 0.8 * np.mean(changes["live"][5:])


@pytest.mark.parametrize("px_per_frame", [0.3, 1.0, 3.0])
def test_nothing_hangs_behind_or_runs_ahead(px_per_frame: float) -> None:
    frames, masks, truths = noisy_masks(px_per_frame)
    both = smoothed(frames, masks, 1.0)
    assert error(both, truths) < 1.1 * error(masks, truths)


def test_off_is_off_and_at_once() -> None:
    smoother: BothWays[int] = BothWays(0.0)
    mask, frame = np.zeros((144, 256), np.uint8), np.zeros((144, 256, 4), np.uint8)
    [(number, alpha)] = smoother.push(7, mask, frame, 0)
    assert number == 7 and alpha is mask
    assert not list(smoother.flush())


def test_frames_far_apart_in_time_do_not_mix() -> None:
    smoother: BothWays[int] = BothWays(1.0)
    frame = np.zeros((144, 256, 4), np.uint8)
    masks = [np.full((144, 256), 255 * (number % 2), np.uint8) for number in range(6)]
    given = [each for i, mask in enumerate(masks) for each in smoother.push(i, mask, frame, i * 10**9)]
    given += smoother.flush()
    assert all((alpha == masks[number]).all() for number, alpha in given)


def test_memory_is_that_of_a_few_frames() -> None:
    smoother: BothWays[int] = BothWays(1.0)
    mask, frame = np.zeros((144, 256), np.uint8), np.zeros((144, 256, 4), np.uint8)
    for number in range(3 * REACH):
        given = list(smoother.push(number, mask, frame, number * STEP_NS))
        assert [which for which, _ in given] == ([number - REACH] if number >= REACH else [])
