# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the person, in real OBS: transparent, blur, a colour, another source; and all of it inverted.

The network here calls bright things a person. So the picture is a dark room without any red, and in it an ellipse in a
red that nothing else has: wherever red shows, it is hers. The expected pictures are computed in NumPy.
"""

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from background_filter.filters.locale import text
from background_filter.filters.obs.blur import room_sigma_px
from background_filter.filters.obs.edge import FEATHER_SIGMAS
from background_filter.filters.offline.backgrounds import Blurred
from background_filter.filters.offline.despill import despill
from background_filter.tests.obs.harness import (
    HarnessError,
    Obs,
    image_source,
    media_source,
    scene_collection,
    write_clip,
)
from background_filter.tests.obs.harness.scenes import SCENE
from background_filter.tests.obs.models import SIZE, brightness_model, trusted_in
from background_filter.tests.obs.support import (
    CAMERA,
    CANVAS,
    GREEN,
    PLAIN,
    SCRIPT,
    Picture,
    alpha_of,
    assert_clean_exit,
    background_filter,
    filter_obs,
    wait_for_mask,
    wait_until,
)

HER_RGB = (255, 0, 120)
# Between the brightest room and her: what is sure is 0 or 1.
SURE: dict[str, Any] = {**PLAIN, "threshold": 0.3, "edge_softness": 0.1}
BEHIND: dict[str, Any] = {"background": "source"}
FILTERS = re.compile("^Filters for")
SEA, SEA_SIZE = "Sea", (600, 300)
Values = NDArray[np.float64]


def room_rgb() -> Picture:
    """A dark room with sharp patterns and no red: uint8 H x W x 3."""
    width, height = CANVAS
    coarse = np.random.default_rng(3).integers(0, 70, (9, 16, 3), np.uint8)
    room = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    room[:, 20::40, 1:] = 90
    room[..., 0] = 0
    return np.asarray(room, np.uint8)


def picture_rgb() -> Picture:
    """The room with her in it, in the middle of the lower edge."""
    width, height = CANVAS
    picture = room_rgb().copy()
    cv2.ellipse(picture, (width // 2, height), (170, 420), 0, 0, 360, HER_RGB, -1)
    return picture


def sea_rgb() -> Picture:
    """Another picture, of other proportions; each pixel's colour tells its place: uint8 H x W x 3."""
    width, height = SEA_SIZE
    x, y = np.meshgrid(np.linspace(20, 230, width), np.linspace(20, 230, height))
    return np.stack([x, y, np.full_like(x, 200)], axis=2).round().astype(np.uint8)


def expected_alpha(settings: dict[str, Any] = SURE) -> Values:
    """The network's mask of the picture through the ramp, as the shader enlarges it: float64 H x W."""
    small = cv2.resize(picture_rgb(), SIZE, interpolation=cv2.INTER_AREA).mean(axis=2) / 255
    mask = cv2.resize(small, CANVAS, interpolation=cv2.INTER_LINEAR)
    low = settings["threshold"] - settings["edge_softness"] / 2
    return np.asarray(((mask - low) / settings["edge_softness"]).clip(0, 1), np.float64)


def linear(rgb: Picture) -> Values:
    """sRGB bytes as linear light, 0 to 1."""
    values = rgb.astype(np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(light: Values) -> Values:
    """Linear light as sRGB values, 0 to 255, not rounded."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def gaussian(values: Values, sigma_px: float) -> Values:
    """A plain Gaussian, out to five deviations; the edge pixels go on outside."""
    side = 2 * int(5 * sigma_px) + 1
    return np.asarray(cv2.GaussianBlur(values, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE))


@pytest.fixture(scope="module")
def room_obs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    """One OBS for all tests here; at its end: no leak, no error in a callback, exit code 0."""
    folder: Path = tmp_path_factory.mktemp("background")
    model = brightness_model(folder / "brightness.onnx")
    trusted_in(folder, model)
    for name, picture in (("picture", picture_rgb()), ("sea", sea_rgb())):
        cv2.imwrite(str(folder / f"{name}.png"), picture[..., ::-1])
    sources = [
        image_source(CAMERA, folder / "picture.png", filters=[background_filter(**SURE)]),
        image_source(SEA, folder / "sea.png", visible=False),
    ]
    settings = {"model": "own", "own_model_file": str(model)}
    with filter_obs(folder, sources, settings, name="background", widgets=True) as obs:
        wait_for_mask(obs)
        yield obs
        obs.ws.set_source_filter_settings(CAMERA, "Room", {**SURE, **BEHIND, "background_source": SEA}, overlay=False)
        let_render(obs)
    assert_clean_exit(obs)


def shown(obs: Obs, name: str, **settings: Any) -> Picture:
    """The filtered source with these settings: RGBA. Kept as a picture, to be looked at."""
    obs.ws.set_source_filter_settings(CAMERA, "Room", {**SURE, **settings}, overlay=False)
    let_render(obs)
    return look(obs, name)


def let_render(obs: Obs, frames: int = 8) -> None:
    """Wait until OBS has rendered so many more frames: what was set is drawn, with a mask of its own."""

    def rendered() -> int:
        stats = obs.ws.get_stats()
        return int(stats.render_total_frames - stats.render_skipped_frames)

    end = rendered() + frames
    wait_until(f"{frames} frames", lambda: rendered() >= end)


def look(obs: Obs, name: str) -> Picture:
    """The filtered source as it is."""
    rgba = obs.screenshot(CAMERA)
    cv2.imwrite(str(obs.artefacts / f"{name}.png"), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    return rgba


def expected_over(behind_rgb: Values, alpha: Values) -> Values:
    """Her picture through ``alpha`` over another, mixed in linear light: float64 H x W x 3, 0 to 255."""
    part = alpha[..., None]
    return encoded(linear(picture_rgb()) * part + linear(behind_rgb.round().astype(np.uint8)) * (1 - part))


def sure(alpha: Values) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where she is for sure, and where the room is: two pixels off her mask's edge."""
    kernel = np.ones((5, 5), np.uint8)
    return cv2.erode(alpha, kernel) == 1, cv2.dilate(alpha, kernel) == 0


def assert_behind(rgba: Picture, behind_rgb: Values, tolerance: float = 1.0) -> None:
    """She is there to the bit or nearly, and behind her is ``behind_rgb``; all of it opaque."""
    her, room = sure(expected_alpha())
    assert (rgba[..., 3] == 255).all()
    assert np.abs(rgba[her][:, :3].astype(int) - picture_rgb()[her]).max() <= 1
    assert np.abs(rgba[room][:, :3] - behind_rgb[room]).max() <= tolerance


def test_a_colour_is_exactly_that_colour(room_obs: Obs) -> None:
    colour_rgb = (18, 200, 77)
    stored = 0xFF000000 | colour_rgb[2] << 16 | colour_rgb[1] << 8 | colour_rgb[0]
    rgba = shown(room_obs, "colour", background="color", background_color=stored)
    assert_behind(rgba, np.full((*CANVAS[::-1], 3), colour_rgb, np.float64))
    on_canvas = room_obs.screenshot(SCENE)
    cv2.imwrite(str(room_obs.artefacts / "colour-canvas.png"), cv2.cvtColor(on_canvas, cv2.COLOR_RGBA2BGRA))
    expected = expected_over(np.full((*CANVAS[::-1], 3), colour_rgb, np.float64), expected_alpha())
    assert np.abs(on_canvas[..., :3] - expected).mean() < 0.5


def test_transparent_and_its_inverse_are_the_two_parts_of_the_picture(room_obs: Obs) -> None:
    person = shown(room_obs, "transparent", background="transparent").astype(int)
    room = shown(room_obs, "inverted", background="transparent", invert=True).astype(int)
    assert np.abs(person[..., 3] / 255 - expected_alpha()).mean() < 0.003
    assert np.abs(person[..., 3] + room[..., 3] - 255).max() <= 1
    her, empty = sure(expected_alpha())
    assert (room[her] == 0).all()
    assert np.abs(room[empty][:, :3] - picture_rgb()[empty]).max() <= 1


def test_invert_turns_the_shown_mask_and_a_feathered_one(room_obs: Obs) -> None:
    for more in ({}, {"feather_px": 20.0}):
        plain, turned = (
            shown(room_obs, f"mask-{invert}-{len(more)}", preview_mask=True, invert=invert, **more).astype(int)
            for invert in (False, True)
        )
        assert plain[..., 0].std() > 50
        assert np.abs(plain[..., :3] + turned[..., :3] - 255).max() <= 1


def extent_px(alpha: Picture) -> NDArray[np.float64]:
    """How wide she is near the lower edge, to either side, and how high; partly covered pixels count in part."""
    part, middle = alpha / 255, CANVAS[0] // 2
    return np.array([part[-20, :middle].sum(), part[-20, middle:].sum(), part[:, middle].sum()])


@pytest.mark.parametrize("grow_px", [0.5, 3.0, 11.0, 30.0, -0.5, -7.5, -30.0])
def test_grow_moves_the_edge_by_pixels_of_the_source(room_obs: Obs, grow_px: float) -> None:
    before = shown(room_obs, "as-it-is")[..., 3]
    after = shown(room_obs, f"grow-{grow_px}", grow_px=grow_px)[..., 3]
    assert np.abs(extent_px(after) - extent_px(before) - grow_px).max() < 0.5
    # In all directions: her outline, moved outward or inward.
    inside, outside = (
        cv2.distanceTransform((side > 127).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for side in (before, 255 - before)
    )
    wrong = (outside - inside < grow_px) != (after > 127)
    edge_px = (cv2.morphologyEx((after > 127).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0).sum() / 2
    assert wrong.sum() < 0.6 * edge_px


@pytest.mark.parametrize("feather_px", [2.0, 12.0, 50.0])
def test_feather_is_a_gaussian_at_the_frames_size(room_obs: Obs, feather_px: float) -> None:
    before = shown(room_obs, "as-it-is")[..., 3]
    after = shown(room_obs, f"feather-{feather_px}", feather_px=feather_px)[..., 3]
    difference = np.abs(gaussian(before.astype(np.float64), feather_px / FEATHER_SIGMAS) - after)
    assert difference.mean() < 0.3 and difference.max() < 10  # the shader ends at 2.5 deviations


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_far_from_her_the_blur_is_a_plain_gaussian(room_obs: Obs, strength: float) -> None:
    sigma_px = room_sigma_px(strength, *CANVAS)
    rgba = shown(room_obs, f"blur-{strength}", background="blur", blur_strength=strength)
    light = gaussian(linear(room_rgb()), sigma_px)
    expected = encoded(light)
    cv2.imwrite(str(room_obs.artefacts / f"blur-{strength}-plain.png"), expected.round()[..., ::-1])
    away = cv2.distanceTransform((expected_alpha() == 0).astype(np.uint8), cv2.DIST_L2, 5) > 4.2 * sigma_px
    assert away.mean() > 0.05
    difference = np.abs(rgba[..., :3] - expected)[away]
    assert (rgba[..., 3] == 255).all()
    assert difference.mean() < 1.0
    assert 255 * np.abs(linear(rgba[..., :3]) - light)[away].max() < 1.5
    assert np.abs(encoded(linear(room_rgb())) - expected)[away].mean() > 5 * difference.mean()


@pytest.mark.parametrize(
    "more",
    [{}, {"blur_strength": 0.05}, {"blur_strength": 1.0}, {"feather_px": 30.0}, {"edge_softness": 0.3}],
    ids=["default", "weak", "strong", "feathered", "soft"],
)
def test_nothing_of_her_colour_is_in_the_room_around_her(room_obs: Obs, more: dict[str, float]) -> None:
    rgba = shown(room_obs, f"halo-{'-'.join(more)}-{sum(more.values())}", background="blur", **more)
    alpha = shown(room_obs, "halo-alpha", background="transparent", **more)[..., 3]
    away = alpha == 0
    assert away.mean() > 0.5
    assert rgba[away][:, 0].max() <= 3  # red: the room has none; dithering may add one
    her = alpha == 255
    assert np.abs(rgba[her][:, :3].astype(int) - picture_rgb()[her]).max() <= 1


def test_around_her_the_blur_is_the_normalised_gaussian_of_the_room(room_obs: Obs) -> None:
    sigma_px = room_sigma_px(0.5, *CANVAS)
    rgba = shown(room_obs, "around", background="blur", blur_strength=0.5)
    room_weight = (cv2.dilate(expected_alpha(), np.ones((15, 15))) == 0).astype(np.float64)
    weights = gaussian(room_weight, sigma_px)
    light = gaussian(linear(picture_rgb()) * room_weight[..., None], sigma_px) / np.maximum(weights, 1e-6)[..., None]
    around = (expected_alpha() == 0) & (weights > 0.2)
    difference = np.abs(rgba[..., :3] - encoded(light))[around]
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.9) < 8


def test_the_blur_falls_off_toward_the_lower_edge(room_obs: Obs) -> None:
    even, falling = (
        shown(room_obs, f"falloff-{falloff}", background="blur", blur_strength=0.3, blur_falloff=falloff)[..., :3]
        for falloff in (0.0, 1.0)
    )
    top = slice(0, CANVAS[1] // 4)
    assert np.abs(falling[top].astype(int) - even[top]).max() <= 1
    low, beside_her = slice(CANVAS[1] - 60, CANVAS[1]), slice(0, CANVAS[0] // 4)
    sharp, soft = (np.abs(np.diff(each[low, beside_her].astype(int), axis=1)).mean() for each in (falling, even))
    assert sharp > 1.5 * soft
    # Without OBS it is the same room, but for dithering and the way it is enlarged.
    alpha = np.rint(255 * expected_alpha()).astype(np.uint8)
    without_obs = [Blurred(0.3, falloff).behind(picture_rgb(), alpha).astype(int) for falloff in (0.0, 1.0)]
    for ours, theirs in zip(without_obs, (even, falling), strict=True):
        assert np.abs(ours - theirs)[alpha == 0].mean() < 1.5
    wrong, apart = (np.abs(each - falling)[low, beside_her].mean() for each in (without_obs[1], even.astype(int)))
    assert wrong < 0.5 * apart


def test_her_edge_gets_her_own_colours(room_obs: Obs, tmp_path: Path) -> None:
    """Before a plain wall, out of focus at her edge: there alpha says rightly how much of a pixel is the wall."""
    width, height = CANVAS
    shape = np.zeros((height, width), np.float32)
    cv2.ellipse(shape, (width // 2, height), (170, 420), 0, 0, 360, 1.0, -1)
    part = np.asarray(cv2.GaussianBlur(shape, (0, 0), 3))[..., None]
    mixed_rgb = np.rint(part * HER_RGB + (1 - part) * (0, 40, 60)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "mixed.png"), mixed_rgb[..., ::-1])
    before = room_obs.ws.get_input_settings(CAMERA).input_settings
    room_obs.ws.set_input_settings(CAMERA, {"file": str(tmp_path / "mixed.png")}, True)
    try:
        look_as = {"threshold": 0.31, "edge_softness": 0.34}  # from the wall's brightness to hers
        white = {**look_as, "background": "color", "background_color": 0xFFFFFFFF}
        alpha, same = (shown(room_obs, f"spill-{is_on}", **look_as, despill=is_on)[..., 3] for is_on in (False, True))
        spilt, clean = (shown(room_obs, f"despill-{is_on}", **white, despill=is_on)[..., :3] for is_on in (False, True))
    finally:
        room_obs.ws.set_input_settings(CAMERA, before, True)
        let_render(room_obs)
    assert np.array_equal(alpha, same)
    drawn = (alpha / 255)[..., None]
    expected = np.array(HER_RGB) * drawn + 255 * (1 - drawn)  # a source alone is drawn in sRGB-encoded colours
    edge = (alpha > 10) & (alpha < 245)
    errors = [np.abs(each - expected)[edge].mean() for each in (spilt, clean)]
    assert edge.sum() > 1000
    assert errors[1] < 0.5 * errors[0], errors
    assert np.array_equal(clean[alpha == 255], spilt[alpha == 255])
    own_rgb = mixed_rgb.copy()
    despill(own_rgb, alpha)
    without_obs = own_rgb * drawn + 255 * (1 - drawn)
    assert np.abs(clean - without_obs).max() < 3


def test_invert_with_blur_blurs_her_and_leaves_the_room(room_obs: Obs) -> None:
    rgba = shown(room_obs, "blurred-person", background="blur", blur_strength=0.3, invert=True)
    her, room = sure(expected_alpha())
    assert np.abs(rgba[room][:, :3].astype(int) - picture_rgb()[room]).max() <= 1
    assert np.abs(rgba[her][:, :3].astype(int) - HER_RGB).mean() < 2


def sea_at(part_x: float, part_y: float) -> tuple[Values, NDArray[np.bool_]]:
    """The sea as the canvas shows it when it spans these parts of it, centred; and where it reaches."""
    width, height = CANVAS
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    u, v = 0.5 + (x - 0.5) * part_x, 0.5 + (y - 0.5) * part_y
    sea_x, sea_y = u * SEA_SIZE[0] - 0.5, v * SEA_SIZE[1] - 0.5
    values = cv2.remap(
        sea_rgb(), sea_x.astype(np.float32), sea_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return values.astype(np.float64), (np.abs(u - 0.5) <= 0.5) & (np.abs(v - 0.5) <= 0.5)


@pytest.mark.parametrize("fit", ["fill", "fit", "stretch"])
def test_another_source_stands_where_it_should(room_obs: Obs, fit: str) -> None:
    rgba = shown(room_obs, f"source-{fit}", **BEHIND, background_source=SEA, background_fit=fit)
    wide = (CANVAS[0] / CANVAS[1]) / (SEA_SIZE[0] / SEA_SIZE[1])  # below 1: the sea is the wider one
    behind, reached = sea_at(*{"fill": (wide, 1.0), "fit": (1.0, 1 / wide), "stretch": (1.0, 1.0)}[fit])
    _, room = sure(expected_alpha())
    assert np.abs(rgba[room & reached][:, :3] - behind[room & reached]).max() <= 2
    assert (rgba[room & ~reached] == 0).all()
    assert reached.all() == (fit != "fit")
    if fit == "fill":
        assert_behind(rgba, behind, tolerance=2)
    active = room_obs.ws.get_source_active(SEA)
    assert (active.video_showing, active.video_active) == (True, True)


def is_seen(obs: Obs) -> tuple[bool, bool]:
    """Whether OBS counts the sea as showing, and as active."""
    answer = obs.ws.get_source_active(SEA)
    return answer.video_showing, answer.video_active


def test_the_other_source_is_counted_as_seen_exactly_while_it_is(room_obs: Obs) -> None:
    obs = room_obs
    item = obs.ws.get_scene_item_id(SCENE, CAMERA).scene_item_id
    shown(obs, "off", background="transparent")
    assert is_seen(obs) == (False, False)
    for _ in range(2):
        shown(obs, "on", **BEHIND, background_source=SEA)
        assert is_seen(obs) == (True, True)
        obs.ws.set_scene_item_enabled(SCENE, item, False)
        wait_until("the end with the hidden camera", lambda: is_seen(obs) == (False, False))
        obs.ws.set_scene_item_enabled(SCENE, item, True)
        wait_until("the sea again", lambda: is_seen(obs) == (True, True))
        obs.ws.set_source_filter_enabled(CAMERA, "Room", False)
        wait_until("the end with the filter off", lambda: is_seen(obs) == (False, False))
        obs.ws.set_source_filter_enabled(CAMERA, "Room", True)
        wait_until("the sea once more", lambda: is_seen(obs) == (True, True))
    shown(obs, "off", background="blur")
    assert is_seen(obs) == (False, False)
    obs.add_filter(CAMERA, "Second", settings={**SURE, **BEHIND, "background_source": SEA})
    wait_until("the sea of another filter", lambda: is_seen(obs) == (True, True))
    obs.ws.remove_source_filter(CAMERA, "Second")
    wait_until("the end with that filter", lambda: is_seen(obs) == (False, False))


def test_a_renamed_source_stays_and_is_stored_by_its_new_name(room_obs: Obs) -> None:
    obs = room_obs
    before = shown(obs, "before", **BEHIND, background_source=SEA)
    obs.ws.set_input_name(SEA, "Ocean")
    # Another setting moves; the stored name is still the old one.
    obs.ws.set_source_filter_settings(CAMERA, "Room", {"threshold": 0.31}, overlay=True)
    let_render(obs)
    assert np.abs(look(obs, "renamed").astype(int) - before)[:200].max() <= 1

    def stored() -> str:
        (camera,) = (each for each in obs.collection()["sources"] if each["name"] == CAMERA)
        return str(camera["filters"][0]["settings"]["background_source"])

    try:
        wait_until("the new name in the scene collection", lambda: stored() == "Ocean")
        assert np.abs(look(obs, "renamed-stored").astype(int) - before)[:200].max() <= 1
    finally:
        obs.ws.set_input_name("Ocean", SEA)


def test_a_source_that_is_deleted_leaves_nothing_and_may_come_back(room_obs: Obs) -> None:
    obs = room_obs
    settings = obs.ws.get_input_settings(SEA).input_settings
    shown(obs, "there", **BEHIND, background_source=SEA)
    obs.ws.remove_input(SEA)
    wait_until("an empty background", lambda: True if alpha_of(obs)[0, 0] == 0 else None)
    gone = look(obs, "deleted")
    assert np.abs(gone[..., 3] / 255 - expected_alpha()).mean() < 0.003
    obs.ws.create_input(SCENE, SEA, "image_source", settings, False)
    wait_until("the sea again", lambda: True if alpha_of(obs)[0, 0] == 255 else None)
    assert "error in a callback" not in obs.log


@pytest.mark.parametrize("name", ["", "No such source", CAMERA])
def test_nothing_and_itself_are_an_empty_background(room_obs: Obs, name: str) -> None:
    rgba = shown(room_obs, f"empty-{name or 'none'}", **BEHIND, background_source=name)
    her, room = sure(expected_alpha())
    assert (rgba[room] == 0).all()
    assert np.abs(rgba[her][:, :3].astype(int) - picture_rgb()[her]).max() <= 1


def test_a_scene_that_holds_the_camera_never_shows_its_room(room_obs: Obs, tmp_path: Path) -> None:
    obs = room_obs
    rgba = shown(obs, "scene-behind", **BEHIND, background_source=SCENE)
    # The scene behind her is the green below the camera, and no camera: nothing of the room's blue.
    green = np.full((*CANVAS[::-1], 3), GREEN, np.float64)
    assert_behind(rgba, green)
    on_canvas = obs.screenshot(SCENE)
    _, room = sure(expected_alpha())
    assert np.abs(on_canvas[room][:, :3].astype(int) - GREEN).max() <= 1
    # Two cameras, each with the scene that holds both behind it; the other one asynchronous, as webcams are.
    clip = write_clip(tmp_path / "clip.mkv", [picture_rgb()[..., ::-1].copy()] * 30, 30)
    other = background_filter(**SURE, **BEHIND, background_source=SCENE)
    obs.add_source(media_source("Other camera", clip, filters=[other]))
    try:
        wait_for_both(obs)
        for camera in (CAMERA, "Other camera", SCENE):
            rgba = obs.screenshot(camera)
            cv2.imwrite(str(obs.artefacts / f"two-cameras-{camera}.png"), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
            assert np.abs(rgba[room][:, :3].astype(int) - GREEN).max() <= 1
    finally:
        obs.ws.remove_input("Other camera")


def wait_for_both(obs: Obs) -> None:
    """Wait until the other camera, a clip that must be opened first, shows her with something behind her."""

    def is_complete() -> bool:
        try:
            return int(alpha_of(obs, "Other camera").min()) == 255
        except HarnessError:
            return False

    wait_until("her in the other camera", is_complete)
    let_render(obs)


def test_the_dialog_shows_only_the_rows_that_belong(room_obs: Obs) -> None:
    obs, widgets = room_obs, room_obs.widgets
    belong = {
        "transparent": set(),
        "blur": {"blur_strength", "blur_falloff"},
        "color": {"background_color"},
        "source": {"background_source", "background_fit"},
    }
    keys = sorted(set().union(*belong.values()))

    def fit(choice: str) -> bool:
        return {key for key in keys if widgets.all("label", text(f"setting.{key}.label"), FILTERS)} == belong[choice]

    shown(obs, "dialog-off", background="transparent", background_source=SEA)
    obs.ws.open_input_filters_dialog(CAMERA)
    for choice in ("transparent", "source", "blur", "color", "source"):
        widgets.choose(text("setting.background.label"), text(f"setting.background.{choice}"), FILTERS)
        wait_until(f"the rows of {choice}", partial(fit, choice), 30.0)
        assert obs.ws.get_source_filter(CAMERA, "Room").filter_settings["background"] == choice
    obs.window_screenshot("dialog-source.png")
    assert widgets.text(text("setting.background_source.label"), FILTERS) == SEA
    widgets.press("Close", window=FILTERS)
    widgets.wait_for_end(FILTERS)
    assert alpha_of(obs).min() == 255


def test_scene_collections_are_switched_while_another_source_is_behind(tmp_path: Path) -> None:
    model = brightness_model(tmp_path / "brightness.onnx")
    trusted_in(tmp_path, model)
    for name, picture in (("picture", picture_rgb()), ("sea", sea_rgb())):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture[..., ::-1])
    filters = [background_filter(**SURE, **BEHIND, background_source=SEA)]
    # The camera comes first: its filter looks for the sea before OBS has loaded it.
    sources = [
        image_source(CAMERA, tmp_path / "picture.png", filters=filters),
        image_source(SEA, tmp_path / "sea.png", visible=False),
    ]
    settings = {"model": "own", "own_model_file": str(model)}
    other = scene_collection("other", sources, [(SCRIPT, settings)])

    with filter_obs(tmp_path, sources, settings, collections={"other": other}) as obs:
        for number in range(4):
            wait_until("her before the sea", lambda: True if alpha_of(obs).min() == 255 else None)
            assert is_seen(obs) == (True, True)
            obs.ws.set_current_scene_collection(["other", "harness"][number % 2])
            time.sleep(0.5)
    assert_clean_exit(obs)
