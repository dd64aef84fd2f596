# SPDX-License-Identifier: GPL-2.0-or-later
"""Results come under their name whole or not at all; and what can go wrong with a picture or a video."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


class MediaError(Exception):
    """A picture or video can't be read, or a result can't be written: what and why, for people."""


def part_name(path: Path) -> Path:
    """What a file is called while it is being written: ``clip.mp4`` is ``clip.part.mp4``."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes ``path`` at the end; after an error nothing is left. MediaError for OSError."""
    part = part_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise MediaError(f"{path} can't be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
