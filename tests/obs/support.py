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

from background_filter.tests.obs.harness import Filter, HarnessError, Obs, Source, colour_source, image_source

Picture = NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "obs_background_filter.py"
PICTURES = ROOT / "tests" / "pictures"
FILTER_ID = "obs_background_filter"
CANVAS = (1280, 720)
CAMERA = "Camera"
# The mask as the network gave it: no smoothing, and a ramp that changes nothing.
PLAIN = {"threshold": 0.5, "edge_softness": 1.0, "smoothing": 0.0}
GREEN = (0, 255, 0)


def astronaut_bgr(size: tuple[int, int] = CANVAS) -> Picture:
    """The demo portrait, stretched to ``size`` (width, height): uint8 H x W x 3."""
    return np.asarray(cv2.resize(cv2.imread(str(PICTURES / "astronaut.png")), size, interpolation=cv2.INTER_AREA))


def astronaut_mask(size: tuple[int, int] = CANVAS) -> Picture:
    """The hand-made mask of the demo portrait: uint8 H x W, 255 where she is."""
    mask = cv2.imread(str(PICTURES / "astronaut_mask.png"), cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def portrait_source(folder: Path, filters: Sequence[Filter] = (), name: str = CAMERA) -> Source:
    """The demo portrait as an image source in the canvas's size."""
    path = folder / "portrait.png"
    cv2.imwrite(str(path), astronaut_bgr())
    return image_source(name, path, filters=filters)


def background_filter(name: str = "Room", **settings: Any) -> Filter:
    """Our filter with ``settings`` on top of the defaults."""
    return Filter(name, FILTER_ID, settings)


def filter_obs(config: Path, sources: Sequence[Source], script_settings: dict[str, Any] | None = None, **options: Any) -> Obs:
    """An OBS with our script loaded, its own folder ``config`` for trusted models, over a green canvas."""
    environment = {"OBS_BACKGROUND_FILTER_CONFIG": str(config), **options.pop("env", {})}
    folder = os.environ.get("OBS_BACKGROUND_FILTER_ENGINE_ENV")
    if folder:
        environment["OBS_BACKGROUND_FILTER_ENGINE_ENV"] = folder
    return Obs(
        scripts=[(SCRIPT, script_settings or {})],
        sources=[colour_source("Green", GREEN, CANVAS), *sources],
        env=environment,
        **options,
    )


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """Poll ``condition`` until it gives something other than None or False, and give that; HarnessError naming ``what`` otherwise."""
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


def wait_for_mask(obs: Obs, source: str = CAMERA, timeout_s: float = 15.0) -> Picture:
    """Wait until a source shows through a mask: something, and not everything; gives its alpha."""

    def masked() -> Picture | None:
        alpha = alpha_of(obs, source)
        return alpha if 0.05 < (alpha > 127).mean() < 0.95 else None

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
