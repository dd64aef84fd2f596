# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the filter in real OBS share: pictures, clips, and an OBS with the filter on a camera."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from background_filter.tests.obs.harness import (
    Filter,
    HarnessError,
    Obs,
    Source,
    colour_source,
    image_source,
    write_clip,
)

Picture = NDArray[Any]

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "obs_background_filter.py"
PICTURES = ROOT / "tests" / "pictures"
FILTER_ID = "obs_background_filter"
CANVAS = (1280, 720)
CAMERA = "Camera"
# The mask as the network gave it: no smoothing, and a ramp that changes nothing.
PLAIN = {
    "threshold": 0.5, "edge_softness": 1.0, "smoothing": 0.0, "sharp_edges": False, "remove_specks": False,
}  # fmt: skip
GREEN = (0, 255, 0)


def astronaut_bgr(size: tuple[int, int] = CANVAS) -> Picture:
    """The upper part of the demo portrait, head and shoulders as before a webcam, in its own proportions if ``size``
    (width, height) is 16:9: uint8 H x W x 3."""
    return _framed("astronaut.png", cv2.IMREAD_COLOR, size)


def astronaut_mask(size: tuple[int, int] = CANVAS) -> Picture:
    """The hand-made mask of the same part: uint8 H x W, 255 where she is."""
    return _framed("astronaut_mask.png", cv2.IMREAD_GRAYSCALE, size)


def _framed(name: str, flags: int, size: tuple[int, int]) -> Picture:
    picture = cv2.imread(str(PICTURES / name), flags)
    assert picture is not None
    upper_part = picture[: picture.shape[1] * 9 // 16]
    return cv2.resize(upper_part, size, interpolation=cv2.INTER_AREA)


def portrait_source(folder: Path, filters: Sequence[Filter] = (), name: str = CAMERA) -> Source:
    """The demo portrait as an image source in the canvas's size."""
    path = folder / "portrait.png"
    cv2.imwrite(str(path), astronaut_bgr())
    return image_source(name, path, filters=filters)


def background_filter(name: str = "Room", **settings: Any) -> Filter:
    """Our filter with ``settings`` on top of the defaults."""
    return Filter(name, FILTER_ID, settings)


def filter_obs(
    config: Path, sources: Sequence[Source], script_settings: dict[str, Any] | None = None, **options: Any
) -> Obs:
    """An OBS with our script loaded, its own folder ``config`` for trusted models, over a green canvas."""
    environment = {"OBS_BACKGROUND_FILTER_CONFIG": str(config)}
    folder = os.environ.get("OBS_BACKGROUND_FILTER_ENGINE_ENV")
    if folder:
        environment["OBS_BACKGROUND_FILTER_ENGINE_ENV"] = folder
    environment |= options.pop("env", {})
    return Obs(
        scripts=[(SCRIPT, script_settings or {})],
        sources=[colour_source("Green", GREEN, CANVAS), *sources],
        env=environment,
        **options,
    )


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """Poll ``condition`` until it gives something other than None or False, and give that.

    Raises HarnessError naming ``what``.
    """
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = condition()
        if found is not None and found is not False:
            return found
        time.sleep(0.05)
    raise HarnessError(f"waited {timeout_s:g} s in vain for {what}")


def alpha_of(obs: Obs, source: str = CAMERA) -> Picture:
    """The alpha that a source shows now: uint8 H x W."""
    return obs.screenshot(source)[..., 3]


def wait_for_mask(obs: Obs, source: str = CAMERA, timeout_s: float = 15.0, least_share: float = 0.05) -> Picture:
    """Wait until a source shows through a mask: something, and not everything; gives its alpha."""

    def masked() -> Picture | None:
        try:
            alpha = alpha_of(obs, source)
        except HarnessError:  # a clip that has not been opened yet has no picture
            return None
        return alpha if least_share < (alpha > 127).mean() < 0.95 else None

    try:
        return np.asarray(wait_until(f"a mask on {source}", masked, timeout_s))
    except HarnessError as error:
        raise HarnessError(f"{error}\n{obs.log[-3000:]}") from None


def engines(obs: Obs) -> list[int]:
    """The process ids of the engines that this OBS runs."""
    return [pid for pid, command in obs.descendants().items() if "engine" in command]


def assert_clean_exit(obs: Obs) -> None:
    """OBS ended with code 0 and without a leak, and none of our callbacks raised."""
    assert obs.exit is not None
    assert "error in a callback" not in obs.exit.log, obs.exit.log[-4000:]
    assert (obs.exit.code, obs.exit.leaks) == (0, 0), obs.exit.log[-3000:]


def iou(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Intersection over union of two masks at half."""
    a, b = one > 127, other > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


# A room in a colour that is neither hers nor the canvas's, so that each pixel of it that shows can be counted.
ROOM_BGR = (200, 60, 30)
PERSON_SIZE = (640, 360)


def room_bgr(size: tuple[int, int] = CANVAS) -> Picture:
    """An empty room: a blue wall with shelves in other blues; uint8 H x W x 3."""
    width, height = size
    room = np.full((height, width, 3), ROOM_BGR, np.uint8)
    room[:, :, 0] -= np.linspace(0, 40, width, dtype=np.uint8)
    for y in range(60, height, 120):
        cv2.rectangle(room, (0, y), (width, y + 10), (160, 70, 20), -1)
    return room


def person_at(x_px: float, size: tuple[int, int] = CANVAS) -> tuple[Picture, Picture]:
    """The portrait cut out and put before the room, her picture's left edge at ``x_px``, cut by the lower edge of the
    frame; gives the frame (uint8 H x W x 3, BGR) and her true mask (uint8 H x W)."""
    person, alpha = astronaut_bgr(PERSON_SIZE), astronaut_mask(PERSON_SIZE)
    shift = np.array([[1, 0, x_px], [0, 1, size[1] - PERSON_SIZE[1]]], np.float32)
    moved = cv2.warpAffine(person, shift, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(alpha, shift, size, flags=cv2.INTER_LINEAR)
    part = mask[..., None].astype(np.float32) / 255
    frame = moved * part + room_bgr(size) * (1 - part)
    return frame.round().astype(np.uint8), np.asarray(mask, dtype=np.uint8)


def swinging_clip(path: Path, widths_per_s: float, fps: int = 30) -> list[Picture]:
    """Write a seamless clip of her moving from side to side at an even speed; gives the frames (BGR)."""
    reach = CANVAS[0] - PERSON_SIZE[0]
    step = widths_per_s * CANVAS[0] / fps
    there = np.arange(0, reach, step)
    frames_bgr = [person_at(float(x))[0] for x in [*there, *there[::-1]]]
    write_clip(path, frames_bgr, fps)
    return frames_bgr


def room_share(frame_bgr: Picture) -> float:
    """The share of pixels that show the room, more or less clearly: blue, with little red and green."""
    blue, green, red = (frame_bgr[..., channel].astype(int) for channel in range(3))
    return float(((blue > 110) & (green < 110) & (red < 70)).mean())
