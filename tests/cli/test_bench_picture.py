# SPDX-License-Identifier: GPL-2.0-or-later
"""``bench picture``: its measures on masks whose answers are known, its clips, its reading of recordings, and all of it
in real OBS."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from background_filter.filters.cli import bench_picture_metrics as metrics
from background_filter.filters.cli import commands
from background_filter.filters.cli.bench import bench
from background_filter.filters.cli.bench_options import PictureOptions
from background_filter.filters.cli.bench_picture import QUICK, make_clip, settings_of_passes
from background_filter.filters.cli.bench_picture_alpha import halves, recovered_alpha, shown_index, stacked
from background_filter.filters.cli.bench_picture_clip import (
    MEASURED_FRAMES,
    NOISE_SIGMA,
    WARM_UP_FRAMES,
    Alpha,
    Clip,
    Motion,
    Picture,
    Scene,
    cut_out,
    drawn_room,
    masked_pictures,
    portrait,
    rooms_in,
    rows_uncut,
)
from background_filter.filters.cli.bench_picture_gather import (
    AVERAGE,
    LATE,
    NO_DELAY,
    OURS,
    PLAIN,
    UNSMOOTHED,
    Average,
    Gatherer,
    Late,
    Strategy,
    as_recorded,
)
from background_filter.filters.cli.bench_picture_report import _error
from background_filter.filters.cli.bench_report import PAGE, PICTURE_BEGIN, PICTURE_END, Figure
from background_filter.filters.cli.errors import CommandError
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.filters.obs.settings import SETTINGS
from background_filter.models import trust
from background_filter.models.catalog import default_model_id, load_catalog

SIZE_PX = (320, 180)
FAST, SLOW, STILL = Motion(1.2, 30), Motion(0.4, 60), Motion(0.0, 60)


def square(left: int, value: float = 1.0) -> Alpha:
    """A square of 40 pixels in 100 x 100, its left edge at ``left``."""
    alpha = np.zeros((100, 100), np.float32)
    alpha[30:70, left : left + 40] = value
    return alpha


@pytest.fixture(scope="module")
def clip() -> Clip:
    person, room_bgr = cut_out(*portrait(), SIZE_PX), drawn_room(SIZE_PX)
    return Clip([Scene(person, room_bgr, motion) for motion in (STILL, FAST)], MEASURED_FRAMES)


# Measures


def test_measures_of_one_frame() -> None:
    true, right = square(20), square(30)
    assert metrics.intersection_over_union(true, true) == 1.0
    assert metrics.intersection_over_union(right, true) == pytest.approx(30 / 50)
    assert metrics.intersection_over_union(true * 0, true * 0) == 1.0
    assert metrics.mean_absolute_difference(right, true) == pytest.approx(2 * 10 * 40 / 100**2)
    assert metrics.mean_absolute_difference(square(20, 0.75), true) == pytest.approx(0.25 * 40 * 40 / 100**2)
    assert metrics.background_leak(right, true) == pytest.approx(10 * 40 / (100**2 - 40 * 40))
    assert metrics.background_leak(np.maximum(true, np.float32(0.09)), true) == 0.0
    assert metrics.background_leak(true, np.ones_like(true)) == 0.0


def test_flicker_is_change_that_the_truth_does_not_have() -> None:
    everywhere, nowhere = np.ones((100, 100), np.bool_), np.zeros((100, 100), np.bool_)
    assert metrics.flicker(square(30), square(20), square(30), square(20), everywhere) == 0.0
    brighter = square(20) + np.float32(0.1)
    assert metrics.flicker(brighter, square(20), square(20), square(20), everywhere) == pytest.approx(0.1)
    # One pixel in a hundred changes by one: the root of .01.
    changed = np.zeros((100, 100), np.float32)
    changed[:10, :10] = 1.0
    assert metrics.flicker(changed, changed * 0, changed * 0, changed * 0, everywhere) == pytest.approx(0.1)
    assert math.isnan(metrics.flicker(brighter, square(20), square(20), square(20), nowhere))


def test_what_is_near_her_moves() -> None:
    moving = metrics.moving_part(square(30), square(20))
    assert moving[:, 18:72].any(axis=0).all() and moving[28:72].any(axis=1).all()
    assert not moving[:, :18].any() and not moving[:, 72:].any() and not moving[:28].any()


@pytest.mark.parametrize("lag", [0, 1, 3, -2])
def test_the_lag_is_that_of_the_truth_that_fits_best(lag: int) -> None:
    tally = metrics.Tally()
    for number in range(4):
        truths = {back: square(4 * (number - back) + 20)[::4, ::4] for back in metrics.LAGS}
        tally.add_lag(square(4 * (number - lag) + 20, 0.8), truths.__getitem__)
    assert tally.lag == lag


def test_nothing_moves_without_a_lag() -> None:
    tally = metrics.Tally()
    assert math.isnan(tally.lag) and math.isnan(tally.mean("mad"))
    tally.add_lag(square(20), lambda back: square(24)[::4, ::4])
    assert math.isnan(tally.lag)


# Clips


def test_frames_are_the_person_over_the_room_and_differ_in_noise(clip: Clip) -> None:
    scene = clip.scenes[0]
    first, second = (clip.frame(number).astype(np.float32) for number in (0, 1))
    outside = scene.truth(0) == 0
    inner = scene.truth(0) > 0.99
    assert 0.1 < inner.mean() < 0.5 and outside.mean() > 0.4
    noise = (first - scene.room_bgr)[outside]
    assert noise.std() == pytest.approx(NOISE_SIGMA, rel=0.15)
    assert (first - second)[outside].std() == pytest.approx(NOISE_SIGMA * math.sqrt(2), rel=0.15)
    assert (clip.frame(0) == first).all()  # the same whenever it is made
    assert np.abs(first - scene.room_bgr)[inner].mean() > 20
    edge = np.count_nonzero((scene.truth(0) > 0.02) & (scene.truth(0) < 0.98))
    assert edge > 200  # soft, as through a lens


@pytest.mark.parametrize("motion", [FAST, SLOW])
def test_she_crosses_the_middle_at_an_even_speed(clip: Clip, motion: Motion) -> None:
    scene = Scene(clip.scenes[0].person, clip.scenes[0].room_bgr, motion)
    lefts_px = np.array([scene.left_px(number) for number in range(-4, WARM_UP_FRAMES + MEASURED_FRAMES)])
    assert np.diff(lefts_px) == pytest.approx(motion.widths_per_s / motion.fps * SIZE_PX[0])
    middles_px = lefts_px[4:] + scene.person.alpha.shape[1] / 2
    assert middles_px[0] + middles_px[-1] == pytest.approx(SIZE_PX[0])
    assert middles_px.min() > 0 and middles_px.max() < SIZE_PX[0]  # at least half of her is always to be seen


@pytest.mark.parametrize("motion", [Motion(1.2, 30, True), Motion(0.4, 60, True)])
def test_she_swings_about_the_middle_at_an_even_speed(clip: Clip, motion: Motion) -> None:
    scene = Scene(clip.scenes[0].person, clip.scenes[0].room_bgr, motion)
    lefts_px = np.array([scene.left_px(number) for number in range(-4, 60)])
    steps_px = np.abs(np.diff(lefts_px))
    step_px = motion.widths_per_s / motion.fps * SIZE_PX[0]
    assert steps_px.max() == pytest.approx(step_px)
    assert np.median(steps_px) == pytest.approx(step_px)
    assert lefts_px.min() >= 0 and lefts_px.max() + scene.person.alpha.shape[1] <= SIZE_PX[0] + 1e-6
    measured_px = np.diff([scene.left_px(WARM_UP_FRAMES + number) for number in range(MEASURED_FRAMES)])
    assert (measured_px > 0).sum() >= 5 and (measured_px < 0).sum() >= 5  # to either side
    rows, columns = np.nonzero(scene.truth(3) > 0.5)
    later_rows, later_columns = np.nonzero(scene.truth(4) > 0.5)
    moved_px = scene.left_px(4) - scene.left_px(3)
    assert later_columns.mean() - columns.mean() == pytest.approx(moved_px, abs=0.3)
    assert later_rows.mean() == pytest.approx(rows.mean(), abs=0.3)


def test_her_edge_does_not_carry_the_old_room() -> None:
    mask_r8 = np.zeros((200, 200), np.uint8)
    cv2.circle(mask_r8, (100, 120), 60, 255, -1)
    soft = cv2.GaussianBlur(mask_r8, (0, 0), 1.5)[..., None] / 255
    red, green = np.array((0, 0, 200.0)), np.array((0, 200.0, 0))
    picture_bgr = np.rint(green + soft * (red - green)).astype(np.uint8)
    assert picture_bgr[mask_r8 > 127][:, 1].max() > 80  # the mixture is there
    person = cut_out(picture_bgr, mask_r8, SIZE_PX)
    drawn = person.colours_bgr[person.alpha > 0.02]
    assert drawn[:, 1].max() < 12 and drawn[:, 2].min() > 180


def test_people_that_the_picture_cuts_at_its_sides_are_left_out(tmp_path: Path) -> None:
    free = np.zeros((100, 80), np.uint8)
    free[20:, 20:60] = 255
    low = free.copy()
    low[90:, :] = 255  # her arms, far below
    cut = free.copy()
    cut[40:, :40] = 255
    high = free.copy()
    high[:20, 30:40] = 255  # no head
    assert [rows_uncut(each) for each in (free, low, cut, high, free * 0)] == [100, 90, 0, 0, 0]
    for folder in ("img", "mask"):
        (tmp_path / folder).mkdir()
    for name, mask_r8 in (("a", free), ("b", cut), ("c", low)):
        cv2.imwrite(str(tmp_path / "img" / f"{name}.jpg"), cv2.merge([mask_r8] * 3))
        cv2.imwrite(str(tmp_path / "mask" / f"{name}.png"), mask_r8)
    assert [mask_r8.shape for _, mask_r8 in masked_pictures(tmp_path, 5)] == [(100, 80), (90, 80)]
    assert len(masked_pictures(tmp_path, 1)) == 1


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="has no images/ and masks/"):
        masked_pictures(tmp_path, 2)
    with pytest.raises(CommandError, match="no pictures in"):
        rooms_in(tmp_path, 2, SIZE_PX)
    with pytest.raises(CommandError, match="no pictures in"):
        rooms_in(tmp_path / "missing", 2, SIZE_PX)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(CommandError, match=r"a\.png is no picture that can be read"):
        masked_pictures(tmp_path, 2)
    mask_r8 = np.zeros((60, 60), np.uint8)
    mask_r8[20:, 20:40] = 255
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask_r8)
    with pytest.raises(CommandError, match="another size than its picture"):
        masked_pictures(tmp_path, 2)
    assert [room_bgr.shape for room_bgr in rooms_in(tmp_path, 5, SIZE_PX)] == [(180, 320, 3)] * 2


# What a recording says


def linear(codes: Picture) -> Alpha:
    """sRGB to linear light, both 0 to 1, of codes 0 to 255."""
    part = codes / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4).astype(np.float32)


def recording(frame_bgr: Picture, alpha: Alpha) -> Picture:
    """What OBS records of a frame drawn with this alpha, in linear light: over black above, over white below."""
    light = linear(frame_bgr) * alpha[..., None]
    both = np.vstack([light, light + (1 - alpha[..., None])])
    codes = np.where(both <= 0.0031308, 12.92 * both, 1.055 * np.maximum(both, 0) ** (1 / 2.4) - 0.055)
    return np.rint(codes * 255).astype(np.uint8)


def test_alpha_is_recovered_whatever_the_colours(clip: Clip) -> None:
    alpha = clip.scenes[0].truth(0)
    over_black_bgr, over_white_bgr = halves(recording(clip.frame(0), alpha))
    error = np.abs(recovered_alpha(over_black_bgr, over_white_bgr) - alpha)
    assert error.max() < 0.012
    assert error[(alpha == 0) | (alpha == 1)].max() == 0.0


def test_a_frame_is_known_by_its_noise(clip: Clip) -> None:
    fingerprints: list[Picture] = []
    for _ in clip.frames(fingerprints):
        pass
    known_by = stacked(fingerprints)
    assert len(known_by) == len(clip) == 2 * (WARM_UP_FRAMES + MEASURED_FRAMES)
    for index in (0, 7, 30):
        scene, number = clip.at(index)
        alpha = scene.truth(number)
        rounded = clip.frame(index) // 2 * 2  # worse than any recording
        assert shown_index(rounded, alpha, known_by) == index
    assert shown_index(clip.frame(7), np.zeros_like(alpha), known_by) is None
    assert shown_index(255 - clip.frame(7), alpha, known_by) is None
    other = Clip(clip.scenes, MEASURED_FRAMES)
    other._offsets = other._offsets[::-1]
    assert shown_index(other.frame(0), clip.scenes[0].truth(0), known_by) is None


def gathered(clip: Clip, strategies: dict[str, Strategy], shown: list[int], late: int = 0) -> Gatherer:
    """What is gathered when the truth of ``late`` frames before is drawn on the ``shown`` frames."""
    gatherer = Gatherer(clip, strategies)
    for index in shown:
        scene, number = clip.at(index)
        gatherer.add(index, scene.truth(number - late))
    return gatherer


def test_perfect_masks_are_perfect_and_late_ones_are_late(clip: Clip) -> None:
    everything = list(range(len(clip)))
    strategies: dict[str, Strategy] = {PLAIN: as_recorded, AVERAGE: Average(), LATE: Late()}
    result = gathered(clip, strategies, everything).result
    assert result.seen == set(everything)
    plain, average, late = (result.tally(name, FAST) for name in (PLAIN, AVERAGE, LATE))
    assert (plain.mean("iou"), plain.mean("mad"), plain.mean("boundary_f")) == (1.0, 0.0, 1.0)
    assert (plain.mean("moving_flicker"), plain.mean("still_flicker"), plain.mean("leak"), plain.lag) == (0, 0, 0, 0)
    assert late.lag == 1 and average.lag >= 1
    assert average.mean("mad") > late.mean("mad") > 0.01
    assert average.mean("leak") > 0.02
    # Standing still nothing of that shows.
    assert [result.tally(name, STILL).mean("mad") for name in (PLAIN, AVERAGE, LATE)] == pytest.approx([0, 0, 0])
    assert math.isnan(result.tally(PLAIN, STILL).lag) and math.isnan(result.tally(PLAIN, STILL).mean("moving_flicker"))
    trailing = gathered(clip, {OURS: as_recorded}, everything, late=2).result.tally(OURS, FAST)
    assert trailing.lag == 2 and trailing.mean("iou") < 0.9


def test_frames_that_were_not_shown_are_left_out(clip: Clip) -> None:
    start = clip.frames_per_scene + WARM_UP_FRAMES
    shown = [start - 1, start, start + 1, start + 4, start + 5]
    result = gathered(clip, {PLAIN: as_recorded, LATE: Late()}, shown).result
    assert len(result.tally(PLAIN, FAST).values["mad"]) == 4
    assert len(result.tally(PLAIN, FAST).values["still_flicker"]) == 3  # not over the gap
    assert len(result.tally(LATE, FAST).values["mad"]) == 3
    assert result.tally(LATE, FAST).lag == 1
    assert set(result.samples_r8) == set(shown[1:])


def test_an_average_forgets_the_scene_before() -> None:
    average = Average()
    assert (average(square(20), True, False) == square(20)).all()
    assert average(square(20) * 0, False, True).max() == pytest.approx(0.75)
    assert average(square(20) * 0, False, False).max() == pytest.approx(0.75**2)
    assert (average(square(60), True, False) == square(60)).all()


# Report and command


def test_a_limit_may_be_the_least() -> None:
    figure = Figure("F", 1.4, "times", 2, 1.5, least=True)
    assert figure.cells() == ("F", "1.40 times", "at least 1.5 times, missed") and not figure.is_met
    assert Figure("F", 1.5, "times", 2, 1.5, least=True).is_met
    assert not Figure("F", math.nan, "times", 2, 1.5, least=True).is_met


def test_errors_are_red_where_too_much_is_drawn_and_blue_where_too_little() -> None:
    truth = np.array([[0, 1, 1]], np.float32)
    assert _error(1 - truth, truth)[0, :2].tolist() == [[0, 0, 255], [255, 0, 0]]
    assert _error(truth, truth)[0, 2].tolist() == [255, 255, 255]


def test_plain_switches_off_what_the_filter_has() -> None:
    settings = settings_of_passes(15)
    assert settings[OURS] == {} and settings[UNSMOOTHED] == {"smoothing": 0.0}
    assert settings[PLAIN]["edge_softness"] == 1.0 and settings[PLAIN]["smoothing"] == 0.0
    assert set(settings[PLAIN]) <= {setting.key for setting in SETTINGS}
    assert settings[PLAIN]["sharp_edges"] is settings[PLAIN]["remove_specks"] is False
    assert settings[NO_DELAY] == {"timing": "no_delay"} and NO_DELAY not in settings_of_passes(3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bench(["picture"], True, PictureOptions(quick=True)), "leave --quick away"),
        (lambda: bench([], False, PictureOptions(quick=True)), "--quick belongs to: bench picture"),
        (lambda: bench(["obs"], False, PictureOptions(json=Path("a.json"))), "--json belongs to"),
        (lambda: bench(["obs", "picture"], True, PictureOptions()), "leave the part away"),
    ],
)
def test_words_that_do_not_fit_are_refused(call: Callable[[], int], says: str) -> None:
    with pytest.raises(CommandError, match=says) as refused:
        call()
    assert refused.value.exit_code == 2


def test_the_page_has_a_place_for_the_picture() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.index(PICTURE_BEGIN) < text.index(PICTURE_END)


# All of it


def test_the_whole_in_real_obs(tmp_path: Path, engine_environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, figures = PAGE.read_bytes(), tmp_path / "picture.json"
    code = commands.run(["bench", "--measure-only", "picture", "--quick", "--json", str(figures)])
    assert "640x360: lag of ours, worst" in capsys.readouterr().out
    assert PAGE.read_bytes() == page
    found = json.loads(figures.read_text(encoding="utf-8"))
    (size,) = found["sizes"]
    assert code == (0 if all(figure["met"] for figure in size["figures"]) else 1)
    rows = {row["strategy"]: row for row in size["rows"]}
    assert (rows[PLAIN]["lag_frames"], rows[LATE]["lag_frames"], rows[OURS]["lag_frames"]) == (0, 1, 0)
    assert rows[PLAIN]["iou"] > 0.85 > rows[LATE]["iou"]
    assert rows[AVERAGE]["mad"] > 1.5 * rows[PLAIN]["mad"]
    assert rows[NO_DELAY]["mad"] < rows[LATE]["mad"]
    assert rows[PLAIN]["still_flicker"] is not None
    assert rows[PLAIN]["mad"] == pytest.approx(expected_plain_mad(), rel=0.05)


def expected_plain_mad() -> float:
    """MAD of the plain masks of the quick clip as computed here, without OBS: the network's, enlarged bilinearly."""
    segmenter = Segmenter(trust.read_model(load_catalog()[default_model_id()]), "cpu")
    clip = make_clip(QUICK, QUICK.sizes_and_fps[0][0], PictureOptions())
    size = segmenter.network.width, segmenter.network.height
    values = []
    for number in range(WARM_UP_FRAMES, clip.frames_per_scene):
        small = cv2.resize(clip.frame(number), size, interpolation=cv2.INTER_AREA)
        alpha_r8 = segmenter.alpha(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGBA), np.uint8))
        alpha = np.asarray(cv2.resize(alpha_r8, clip.size_px) / 255, np.float32)
        values.append(metrics.mean_absolute_difference(alpha, clip.scenes[0].truth(number)))
    return float(np.mean(values))
