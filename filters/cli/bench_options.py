# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``bench`` can be asked for."""

from dataclasses import dataclass
from pathlib import Path

PARTS = ("engine", "obs")
PICTURE, ATTENTION, OFFLINE = "picture", "attention", "offline"


@dataclass(frozen=True)
class PictureOptions:
    """What ``bench picture`` is asked for: folders of masked pictures and of rooms instead of the repository's own, a
    file for the figures as JSON; ``quick`` looks at very little."""

    quick: bool = False
    data: Path | None = None
    rooms: Path | None = None
    json: Path | None = None

    def words(self) -> list[str]:
        """The same as words of the command line."""
        named = {"--data": self.data, "--rooms": self.rooms, "--json": self.json}
        given = [word for name, path in named.items() if path is not None for word in (name, str(path.absolute()))]
        return [*(["--quick"] if self.quick else []), *given]
