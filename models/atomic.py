# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a file in one step."""

import contextlib
import os
import tempfile
from pathlib import Path

UNFINISHED = ".unfinished"


def replace_file(path: Path, raw: bytes) -> None:
    """Write bytes beside ``path``, readable only for the user, and move them there; OSError leaves what was.

    A writer that is killed leaves a ``.<name>.*.unfinished``.
    """
    # 0600, and on the same disk.
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
