# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the picture on top of docs/without-obs.md: the tests' portrait beside what the real command ``image`` makes of
it, with the default model."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ..offline.compose import Picture
from ..offline.files import MediaError
from ..offline.picture_files import read_picture, write_picture
from ..offline.pictures import thumbnail
from .demo_pictures import PICTURES
from .errors import CommandError
from .workshop import ROOT

PICTURE = ROOT / "docs" / "without-obs.jpg"
GAP_PX = 6
# What is asked of the command for each part behind the first.
PARTS = ((), ("--mask",), ("--background", "blur"))


def make_picture() -> int:
    """Write the picture anew; CommandError."""
    try:
        with tempfile.TemporaryDirectory(prefix="obs-background-filter-docs-") as folder:
            portrait = Path(folder) / "portrait.png"
            write_picture(portrait, portrait_rgb())
            results = [portrait, *(_cut_out(portrait, number, words) for number, words in enumerate(PARTS))]
            parts = [_shown(result) for result in results]
        gap = np.full((parts[0].shape[0], GAP_PX, 3), 255, np.uint8)
        strip = np.hstack([each for part in parts for each in (gap, part)][1:])
        write_picture(PICTURE, strip)
    except MediaError as error:
        raise CommandError(str(error)) from error
    print(f"Written: {PICTURE}. Look at it.")
    return 0


def portrait_rgb() -> Picture:
    """The upper part of the portrait, 16:9 as cameras give it: uint8 RGB."""
    rgb = read_picture(PICTURES / "astronaut.png").rgb
    return rgb[: rgb.shape[1] * 9 // 16]


def _cut_out(portrait: Path, number: int, words: tuple[str, ...]) -> Path:
    """What ``image`` makes of the portrait; CommandError."""
    result = portrait.with_name(f"{number}.png")
    command = [sys.executable, str(ROOT / "obs_background_filter.py"), "image", str(portrait), str(result), *words]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise CommandError("The command image failed.")
    return result


def _shown(path: Path) -> Picture:
    """A picture as a page shows it, small; where it is transparent, grey squares."""
    read = read_picture(path)
    return thumbnail(read.rgb if read.alpha is None else np.dstack([read.rgb, read.alpha]))
