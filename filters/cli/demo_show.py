# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo itself: real OBS, the filter on a moving portrait, a picture before and after, a table of figures."""

import os
import re
import tempfile
import time
from pathlib import Path

from ...tests.obs.harness import Filter, HarnessError, Obs, ObsExit, image_source, media_source, write_clip
from ..environment.folders import ENGINE_OVERRIDE
from .demo import has_screen
from .demo_pictures import FPS, SIZE_PX, other_background, portrait_frames, save_before_and_after, save_picture
from .errors import CommandError
from .workshop import ROOT

CAMERA, FILTER = "Camera", "Background Filter"
MASK_TIMEOUT_S = 30.0
WATCH_S = 5.0
# The figures are those of the end: they must not be those of a clip that stood still.
RUN_ON_S = 3.0
_FIGURES = re.compile(
    r"(?P<model>[^:]+) on (?P<device>.+?), (?P<mask_ms>[\d.]+) ms per mask, (?P<masks_per_s>\d+) masks per second, "
    r"picture delayed by (?P<delay_ms>\d+) ms"
)

_READY = re.compile(r": ready, model (?P<model>\S+) on (?P<device>.+)")


def show(picture: Path, no_screen: bool) -> int:
    """Run the demo; 0 when a mask came and the picture is there."""
    stays_open = has_screen(no_screen)
    try:
        with tempfile.TemporaryDirectory(prefix="obs-background-filter-demo-") as folder:
            print("Making the clip", flush=True)
            with _start(Path(folder), os.environ["DISPLAY"] if stays_open else None) as obs:
                _film(obs, picture)
                if stays_open:
                    print("OBS stays open: play with the filter (right-click Camera, Filters); close OBS to end.")
                result = obs.wait() if stays_open else obs.stop()
    except (HarnessError, OSError) as error:
        raise CommandError(str(error)) from error
    print(table(result))
    print(f"Before and after: {picture.absolute()}")
    return 0


def _start(folder: Path, display: str | None) -> Obs:
    clip = write_clip(folder / "portrait.mkv", portrait_frames(), FPS)
    background = folder / "background.png"
    save_picture(background, other_background())
    print("Starting OBS", flush=True)
    return Obs(
        scripts=[ROOT / "obs_background_filter.py"],
        sources=[
            image_source("Other background", background),
            media_source(CAMERA, clip, filters=[Filter(FILTER, "obs_background_filter")]),
        ],
        canvas=SIZE_PX,
        fps=FPS,
        env={ENGINE_OVERRIDE: os.environ[ENGINE_OVERRIDE]} if ENGINE_OVERRIDE in os.environ else {},
        home=folder / "home",
        display=display,
        software_gl=display is None,
        name="demo",
    )


def _film(obs: Obs, picture: Path) -> None:
    print("Waiting for the first mask", flush=True)
    begin_s = time.monotonic()
    while not _is_masked(obs):
        if time.monotonic() > begin_s + MASK_TIMEOUT_S:
            raise CommandError(f"No mask came within {MASK_TIMEOUT_S:g} s. {_what_the_filter_said(obs.log)}")
        time.sleep(0.1)
    print(f"It is there after {time.monotonic() - begin_s:.1f} s; watching for {WATCH_S:g} s", flush=True)
    time.sleep(WATCH_S)
    # Held still, so that both pictures show the same moment.
    obs.ws.trigger_media_input_action(CAMERA, "OBS_WEBSOCKET_MEDIA_INPUT_ACTION_PAUSE")
    time.sleep(1.0)
    after_rgba = obs.screenshot()
    obs.ws.set_source_filter_enabled(CAMERA, FILTER, False)
    time.sleep(0.5)
    before_rgba = obs.screenshot()
    obs.ws.set_source_filter_enabled(CAMERA, FILTER, True)
    obs.ws.trigger_media_input_action(CAMERA, "OBS_WEBSOCKET_MEDIA_INPUT_ACTION_PLAY")
    time.sleep(RUN_ON_S)
    save_before_and_after(picture, before_rgba, after_rgba)


def _what_the_filter_said(log: str) -> str:
    lines = [line for line in log.splitlines() if "[obs-background-filter]" in line]
    said = "\n".join(f"    {line}" for line in lines[-8:])
    return f"The filter said:\n{said}" if said else f"The script was not loaded. OBS said:\n{log[-2000:]}"


def _is_masked(obs: Obs) -> bool:
    """Whether part of the camera's picture is there and part is gone."""
    try:
        alpha = obs.screenshot(CAMERA)[..., 3]
    except HarnessError:
        return False  # the clip is still being opened
    return bool(0.05 < (alpha > 127).mean() < 0.95)


def table(result: ObsExit) -> str:
    """The figures, from what OBS and the filter wrote into the log."""
    figures, ready = list(_FIGURES.finditer(result.log)), list(_READY.finditer(result.log))
    rows: list[tuple[str, str]] = []
    if not figures and ready:
        rows = [("model", ready[-1]["model"]), ("device", ready[-1]["device"])]
    if figures:
        last = figures[-1]
        rows = [
            ("model", last["model"].strip()),
            ("device", last["device"]),
            ("per mask", f"{last['mask_ms']} ms"),
            ("masks", f"{last['masks_per_s']} per second"),
            ("delay of the picture", f"{last['delay_ms']} ms"),
        ]
    frame = result.profiler.get("obs_graphics_thread")
    if frame:
        rows.append(("OBS, whole frame", f"{frame.median_ms:.1f} ms (median), {frame.p99_ms:.1f} ms (99th percentile)"))
    rows.append(("OBS, memory leaks", "unknown" if result.leaks is None else str(result.leaks)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name.ljust(width)}  {value}" for name, value in rows)
