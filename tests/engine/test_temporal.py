# SPDX-License-Identifier: GPL-2.0-or-later
"""Smoothing over time: flicker goes, lag does not come. All pictures are made with fixed noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from background_filter.filters.engine.prepare import halved
from background_filter.filters.engine.temporal import TemporalSmoother

HEIGHT, WIDTH = 144, 256
FRAME_NS = 33_333_333


def room(rng: np.random.Generator, person_x: float, noise: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A textured room with a bright upright person at ``person_x``: frame HxWx4, and the true mask, 0 to 255."""
    x = np.arange(WIDTH, dtype=np.float32)
    truth = np.clip(20.5 - np.abs(x - person_x), 0.0, 1.0)[np.newaxis].repeat(HEIGHT, 0)
    y = np.arange(HEIGHT, dtype=np.float32)[:, np.newaxis]
    luma = 90 + 25 * np.sin(x / 9) * np.cos(y / 7)
    luma = luma * (1 - truth) + 170 * truth
    frame = np.repeat(luma[..., np.newaxis], 4, axis=2)
    # the noise of a camera, after the picture was scaled down
    frame += rng.normal(0.0, noise, frame.shape)
    return np.clip(frame, 0, 255).astype(np.uint8), (truth * 255).astype(np.float32)


def flicker(masks: list[NDArray[np.uint8]]) -> float:
    """Standard deviation over time, averaged over the picture."""
    return float(np.stack(masks).astype(np.float32).std(axis=0).mean())


def noisy(rng: np.random.Generator, truth: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(truth * 0.8 + 25 + rng.normal(0.0, 12.0, truth.shape), 0, 255).astype(np.uint8)


def run(smoothing: float, person_x: list[float], noise: float) -> tuple[list[NDArray[np.uint8]], ...]:
    """Smoothed masks, raw masks and true masks of a clip."""
    rng = np.random.default_rng(7)
    smoother = TemporalSmoother()
    smooth, raw, true = [], [], []
    for number, at in enumerate(person_x):
        frame, truth = room(rng, at, noise)
        mask = noisy(rng, truth)
        smooth.append(np.array(smoother.smooth(mask, halved(frame), 1 + number * FRAME_NS, smoothing)))
        raw.append(mask)
        true.append(noisy(np.random.default_rng(0), truth))
    return smooth, raw, true


def test_still_picture_flickers_less() -> None:
    for noise in (0.0, 2.0, 4.0):
        smooth, raw, _ = run(1.0, [128.0] * 40, noise)
        assert flicker(smooth[10:]) < 0.45 * flicker(raw[10:]), noise


def test_slider_is_monotonic() -> None:
    amounts = [flicker(run(s, [128.0] * 40, 2.0)[0][10:]) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert amounts == sorted(amounts, reverse=True)


def test_off_changes_nothing() -> None:
    smooth, raw, _ = run(0.0, [40.0 + 3 * i for i in range(20)], 2.0)
    assert all(np.array_equal(a, b) for a, b in zip(smooth, raw))


def test_moving_edge_is_not_delayed() -> None:
    for step_px in (1.0, 3.0, 8.0):
        positions = [40.0 + step_px * i for i in range(20)]
        smooth, raw, _ = run(1.0, positions, 2.0)
        for mask, fresh in zip(smooth[2:], raw[2:]):
            edge = np.abs(np.diff(fresh.astype(np.float32).mean(axis=0))) > 30  # columns where the person ends
            columns = np.flatnonzero(edge)
            assert len(columns) >= 2
            difference = np.abs(mask[:, columns].astype(np.float32) - fresh[:, columns])
            assert difference.mean() < 8.0, step_px


def test_nothing_trails_behind() -> None:
    positions = [40.0 + 6 * i for i in range(25)]
    smooth, raw, _ = run(1.0, positions, 2.0)
    for number in range(2, 25):
        left = int(positions[number]) - 30  # where the person was a moment ago
        if left - 12 < 0:
            continue
        trail = smooth[number][:, left - 12 : left].astype(np.float32).mean()
        fresh = raw[number][:, left - 12 : left].astype(np.float32).mean()
        assert abs(trail - fresh) < 5.0


def test_camera_brightness_is_no_motion() -> None:
    rng = np.random.default_rng(3)
    smoother = TemporalSmoother()
    smooth, raw = [], []
    for number in range(40):
        frame, truth = room(rng, 128.0, 1.0)
        frame = np.clip(frame.astype(np.float32) + 6 * np.sin(number / 2), 0, 255).astype(np.uint8)
        mask = noisy(rng, truth)
        smooth.append(np.array(smoother.smooth(mask, halved(frame), 1 + number * FRAME_NS, 1.0)))
        raw.append(mask)
    assert flicker(smooth[10:]) < 0.5 * flicker(raw[10:])


def test_forgets_after_a_gap_and_a_new_size() -> None:
    frame = np.zeros((48, 64, 4), np.uint8)
    black, white = np.zeros((48, 64), np.uint8), np.full((48, 64), 255, np.uint8)
    smoother = TemporalSmoother()
    smoother.smooth(black, halved(frame), 1, 1.0)
    assert smoother.smooth(white, halved(frame), 1 + FRAME_NS, 1.0).max() < 100
    assert smoother.smooth(white, halved(frame), 1 + FRAME_NS + 600_000_000, 1.0).min() == 255
    small = np.full((24, 32), 200, np.uint8)
    assert smoother.smooth(small, halved(frame[::2, ::2]), 2 + FRAME_NS + 600_000_000, 1.0).min() == 200


def test_time_that_runs_backwards() -> None:
    frame = np.zeros((48, 64, 4), np.uint8)
    smoother = TemporalSmoother()
    smoother.smooth(np.zeros((48, 64), np.uint8), halved(frame), 10**12, 1.0)
    assert smoother.smooth(np.full((48, 64), 255, np.uint8), halved(frame), 1, 1.0).min() == 255


def test_smallest_picture() -> None:
    smoother = TemporalSmoother()
    for number in range(3):
        alpha = smoother.smooth(np.full((1, 1), 9, np.uint8), np.zeros((1, 1, 4), np.uint8), number + 1, 1.0)
        assert alpha.shape == (1, 1)
