# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``bench picture`` found: figures beside their targets, tables, JSON, a strip of pictures to be judged by eye."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...models.atomic import replace_file
from .bench_obs import THREAD
from .bench_options import PictureOptions
from .bench_picture import SizeResult
from .bench_picture_clip import Alpha, Motion, Picture
from .bench_picture_gather import NO_DELAY, OURS, PLAIN, UNSMOOTHED
from .bench_picture_metrics import NAN, Tally
from .bench_report import Figure, Section, Table

# Name in JSON, head of the column, factor, digits.
COLUMNS = (
    ("iou", "IoU", 100, 1),
    ("mad", "MAD x1000", 1000, 1),
    ("boundary_f", "F 2 px", 100, 1),
    ("still_flicker", "dtSSD still", 100, 2),
    ("moving_flicker", "dtSSD moving", 100, 2),
    ("leak", "leak %", 100, 2),
)
FAST_WIDTHS_PER_S = 1.2
LEAST_HEIGHT_FOR_F_PX = 720
_READY = re.compile(r": ready, model (?P<model>\S+) on (?P<device>.+)")
# A part of the frame, as shares of its height, around her head; and how wide one of the strip's pictures is.
CROP_HIGH, TILE_PX = 0.62, 340
BEHIND_BGR = (96, 160, 64)


def note(results: Sequence[SizeResult], options: PictureOptions) -> str:
    """How the figures came about."""
    people = (
        f"the repository's portrait and people of {options.data.name}" if options.data else "the repository's portrait"
    )
    rooms = f"its drawn room and pictures of {options.rooms.name}" if options.rooms else "its drawn room"
    played = ", ".join(f"{each.name} at {each.obs_fps}" for each in results)
    model = next(iter(_models(results)), "unknown")
    return (
        f"People cut out and moved over rooms ({people}; {rooms}), so that alpha is known: softened as by a lens, "
        "each frame with noise of its own (sigma 2), by which the shown frame is known. Through the whole filter in "
        "real OBS, recorded losslessly over black and over white; alpha follows from the difference and is compared "
        f"with the truth of the shown frame. Model: {model}. A clip filmed at 30 or 60 frames per second is played "
        f"slower, frame by frame ({played} frames per second), so that drawing in software keeps up: the figures are "
        "those of a computer that does, and smoothing counts masks, not seconds. No delay moves masks ahead by "
        "milliseconds, within bounds: at the lowest rate that is not measured. Speeds are in frame widths per second, "
        "even across the picture; turning, she goes back every eighth frame, at full speed within one frame, which no "
        "mask without delay can foresee. Standing still, 30 and 60 are the same. Plain bilinear is the network's mask "
        "enlarged, with everything of the filter switched off; the average and the lag are computed from these same "
        "masks; ours has the default settings, except for what its name says. MAD is the mean absolute difference of "
        "alpha, F that of outlines at half with 2 pixels of tolerance, dtSSD the flicker of pixels near her (moving) "
        "and of all others (still), times 100; leak is the share of the background with an alpha above .1; lag is "
        "that of the truth that fits best."
    )


def section(results: Sequence[SizeResult], options: PictureOptions) -> Section:
    """Everything that was found, for people."""
    figures = [figure for each in results for figure in figures_of(each)]
    return Section("Picture", note(results, options), figures, [table_of(each) for each in results] + [seen(results)])


def figures_of(result: SizeResult) -> list[Figure]:
    """The targets of one size."""
    motions = motions_of(result)
    still = [motion for motion in motions if not motion.widths_per_s]
    moving = [motion for motion in motions if motion.widths_per_s]
    unsmoothed = [ratio(result, "mad", OURS, UNSMOOTHED, [motion]) for motion in moving]
    lags = [abs(result.tally(OURS, motion).lag) for motion in moving]
    graphics_ms = {name: each.result.profiler[THREAD].median_ms for name, each in result.passes.items()}
    outlines = ratio(result, "boundary_f", OURS, PLAIN, motions)
    # In small frames two pixels are so much that plain masks pass, too.
    wanted_f = 1.5 if result.size_px[1] >= LEAST_HEIGHT_FOR_F_PX else None
    figures = [
        Figure("MAD, ours to plain", ratio(result, "mad", OURS, PLAIN, motions), "times", 2, 0.6),
        Figure("boundary F at 2 px, ours to plain", outlines, "times", 2, wanted_f, least=True),
        Figure("MAD moving, ours to ours unsmoothed, worst", _worst(unsmoothed), "times", 2, 1.05),
        Figure("lag of ours, worst", _worst(lags), "frames", 0, 0.0),
        Figure("graphics thread per frame, plain", graphics_ms[PLAIN], "ms", 0),
        Figure("graphics thread per frame, ours", graphics_ms[OURS], "ms", 0),
    ]
    # Who turns between a mask's frame and the next is foreseen by nobody.
    fast = [motion for motion in moving if motion.widths_per_s >= FAST_WIDTHS_PER_S and not motion.turns]
    if NO_DELAY in result.passes and fast:
        present = _worst([ratio(result, "mad", NO_DELAY, OURS, [motion]) for motion in fast])
        figures.insert(4, Figure("MAD moving fast, no delay to matched, worst", present, "times", 2, 1.5))
    if still:
        steadier = ratio(result, "still_flicker", OURS, PLAIN, still)
        figures.insert(2, Figure("flicker standing still, ours to plain", steadier, "times", 2, 0.3))
    return [dataclasses.replace(figure, name=f"{result.name}: {figure.name}") for figure in figures]


def _worst(values: Sequence[float]) -> float:
    """The largest; not-a-number if one is."""
    return float(np.max(values)) if values else NAN


def ratio(result: SizeResult, name: str, one: str, other: str, motions: Sequence[Motion]) -> float:
    """Of the means of a measure over some motions; not-a-number where the lower one is 0."""
    above, below = (sum(result.tally(each, motion).mean(name) for motion in motions) for each in (one, other))
    return above / below if below else NAN


def motions_of(result: SizeResult) -> list[Motion]:
    """The motions of a clip, in the order of their scenes."""
    return list(dict.fromkeys(scene.motion for scene in result.clip.scenes))


def table_of(result: SizeResult) -> Table:
    """Every motion and strategy of one size."""
    rows = [
        (motion.name, strategy, *cells(result.tally(strategy, motion)))
        for motion in motions_of(result)
        for strategy in result.strategies
    ]
    return Table((result.name, "strategy", *(column[1] for column in COLUMNS), "lag"), rows)


def cells(tally: Tally) -> list[str]:
    """One row's figures as texts."""
    texts = [_text(tally.mean(name) * factor, digits) for name, _, factor, digits in COLUMNS]
    return [*texts, _text(tally.lag, 0)]


def _text(value: float, digits: int) -> str:
    return "–" if value != value else f"{value:.{digits}f}"


def seen(results: Sequence[SizeResult]) -> Table:
    """How much of each clip was shown, and so measured."""
    rows = [
        (each.name, strategy, f"{each.seen_share(strategy) * 100:.0f} %")
        for each in results
        for strategy in each.passes
    ]
    return Table(("size", "recorded", "frames shown"), rows)


def _models(results: Sequence[SizeResult]) -> list[str]:
    logs = [played.result.log for each in results for played in each.passes.values()]
    return [f"{match['model']} on {match['device'].strip()}" for log in logs for match in _READY.finditer(log)]


def as_json(results: Sequence[SizeResult], facts: dict[str, str]) -> bytes:
    """Everything that was found, for programs; measures as they are (0 to 1), null where there is none."""
    sizes = []
    for each in results:
        figures = [
            {"name": figure.name, "value": _number(figure.value), "limit": figure.limit, "met": figure.is_met}
            for figure in figures_of(each)
        ]
        rows = [
            {
                "widths_per_s": motion.widths_per_s,
                "fps": motion.fps,
                "strategy": strategy,
                **{name: _number(each.tally(strategy, motion).mean(name)) for name, *_ in COLUMNS},
                "lag_frames": _number(each.tally(strategy, motion).lag),
            }
            for motion in motions_of(each)
            for strategy in each.strategies
        ]
        passes = {
            strategy: {"settings": played.settings, "seen_share": each.seen_share(strategy)}
            for strategy, played in each.passes.items()
        }
        sizes.append(
            {
                "size_px": each.size_px,
                "obs_fps": each.obs_fps,
                "figures": figures,
                "rows": rows,
                "passes": passes,
            }
        )
    document: dict[str, Any] = {"machine": facts, "models": sorted(set(_models(results))), "sizes": sizes}
    return (json.dumps(document, indent=1) + "\n").encode()


def _number(value: float) -> float | None:
    return None if value != value else round(value, 6)


def strip(result: SizeResult) -> Picture | None:
    """Truth, plain and ours of one frame before another background, and both errors: uint8 H x W x 3, BGR.

    Red is drawn but is not hers, blue is hers but is not drawn. None if no frame was shown in both passes.
    """
    samples = {name: result.passes[name].found.samples_r8 for name in (PLAIN, OURS)}
    both = sorted(samples[PLAIN].keys() & samples[OURS].keys())
    if not both:
        return None
    index = both[len(both) // 2]
    scene, number = result.clip.at(index)
    truth, frame_bgr = scene.truth(number), result.clip.frame(index)
    plain, ours = (np.asarray(samples[name][index] / 255, np.float32) for name in (PLAIN, OURS))
    box = _head(truth)
    tiles = [
        _tile("truth", _over(frame_bgr, truth)[box]),
        _tile(PLAIN, _over(frame_bgr, plain)[box]),
        _tile(OURS, _over(frame_bgr, ours)[box]),
        _tile("error of plain", _error(plain, truth)[box]),
        _tile("error of ours", _error(ours, truth)[box]),
    ]
    return np.hstack(tiles)


def _head(truth: Alpha) -> tuple[slice, slice]:
    """A square of the frame around her head: rows and columns."""
    height, width = truth.shape
    side_px = round(CROP_HIGH * height)
    rows = np.flatnonzero((truth > 0.5).any(axis=1))
    top = min(max(int(rows[0]) - side_px // 10, 0), height - side_px)
    columns = np.flatnonzero((truth[top : top + side_px // 2] > 0.5).any(axis=0))
    left = min(max(int(columns.mean()) - side_px // 2, 0), width - side_px)
    return slice(top, top + side_px), slice(left, left + side_px)


def _over(frame_bgr: Picture, alpha: Alpha) -> Picture:
    behind = np.array(BEHIND_BGR, np.float32)
    return np.asarray(np.rint(behind + alpha[..., None] * (frame_bgr - behind)), np.uint8)


def _error(alpha: Alpha, truth: Alpha) -> Picture:
    """White where alpha is right, red where it is too much, blue where too little."""
    too_much, too_little = np.clip(alpha - truth, 0, 1), np.clip(truth - alpha, 0, 1)
    white = np.ones_like(alpha)
    error = np.dstack([white - too_much, white - too_much - too_little, white - too_little])
    return np.asarray(np.rint(error * 255), np.uint8)


def _tile(caption: str, picture_bgr: Picture) -> Picture:
    head = np.full((28, TILE_PX, 3), 32, np.uint8)
    cv2.putText(head, caption, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (240, 240, 240), 1, cv2.LINE_AA)
    way = cv2.INTER_AREA if picture_bgr.shape[0] > TILE_PX else cv2.INTER_CUBIC
    return np.vstack([head, cv2.resize(picture_bgr, (TILE_PX, TILE_PX), interpolation=way)])


def save_strip(path: Path, result: SizeResult) -> bool:
    """Write the strip of one size as a JPEG; False if there is nothing to show."""
    picture_bgr = strip(result)
    if picture_bgr is None:
        return False
    _, encoded = cv2.imencode(".jpg", picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
    replace_file(path, encoded.tobytes())
    return True
