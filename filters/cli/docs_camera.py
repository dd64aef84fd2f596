# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes the picture of the camera's window in docs/without-obs.md: the real command on a hidden screen, with the demo's
moving portrait as its camera."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from ...tests.obs.harness import HarnessError, write_clip
from ...tests.obs.harness.screen import Screen
from .demo_pictures import FPS, portrait_frames
from .errors import CommandError
from .workshop import ROOT

PICTURE = ROOT / "docs" / "camera.jpg"
SCREEN_PX = (660, 535)  # as large as the window
WATCH_S = 8.0


def take_picture() -> int:
    """Write the picture anew; CommandError."""
    with tempfile.TemporaryDirectory(prefix="obs-background-filter-docs-") as folder:
        frames = list(portrait_frames())
        clip = write_clip(Path(folder) / "webcam.mkv", frames * 4, FPS, "MJPG")
        screen = Screen(None, SCREEN_PX)
        try:
            screen.start(Path(folder))
            shot = Path(folder) / "window.png"
            _shoot(screen, clip, shot)
            picture_bgr = cv2.imread(str(shot))
        except HarnessError as error:
            raise CommandError(str(error)) from error
        finally:
            screen.close()
    if picture_bgr is None or not cv2.imwrite(str(PICTURE), picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, 88]):
        raise CommandError(f"{PICTURE} can't be written.")
    print(f"Written: {PICTURE}. Look at it.")
    return 0


def _shoot(screen: Screen, clip: Path, shot: Path) -> None:
    """Run the command on the clip until it goes evenly, and keep what the screen shows."""
    command = [sys.executable, str(ROOT / "obs_background_filter.py"), "camera", "-c", str(clip)]
    command += ["-v", "none", "-b", "blur"]
    with subprocess.Popen(command, env=os.environ | {"DISPLAY": screen.display}) as process:
        time.sleep(WATCH_S)
        screen.run_tool("import", "-window", "root", f"png:{shot}")
        screen.run_tool("xdotool", "key", "q")
        if process.wait(10):
            raise CommandError("The command camera failed.")
