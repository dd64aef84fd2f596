# SPDX-License-Identifier: GPL-2.0-or-later
"""The X screen that OBS stands on: an Xvfb of our own, or a display that is already there."""

import os
import subprocess
from pathlib import Path

from .processes import Child, HarnessError
from .x11 import ask_to_close, set_root_property


class Screen:
    """A display, its tools and, where it is ours, its Xvfb."""

    def __init__(self, display: str | None, size_px: tuple[int, int]) -> None:
        self.display = display or ""
        self._size_px = size_px
        self._given = display is not None
        self._xvfb: Child | None = None

    def start(self, folder: Path) -> None:
        """Start Xvfb, with its log in ``folder``; nothing to do for a given display or a second time."""
        if self._xvfb is None and not self._given:
            self._xvfb, self.display = start_xvfb(folder, self._size_px)

    def close(self) -> None:
        """Kill the Xvfb that ``start`` started."""
        if self._xvfb is not None:
            self._xvfb.kill()
            self._xvfb = None

    def run_tool(self, *command: str) -> str:
        """Run a program on this display; gives what it printed. HarnessError when it is missing or fails."""
        environment = os.environ | {"DISPLAY": self.display}
        try:
            result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        except FileNotFoundError as error:
            raise HarnessError(f"{command[0]} is not installed (apt install xdotool imagemagick)") from error
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"{' '.join(command)} did not end within 30 s") from error
        if result.returncode:
            raise HarnessError(f"{' '.join(command)} failed with {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def close_windows(self, pid: int, title: str) -> bool:
        """Ask every window of process ``pid`` whose title matches to close, as its X button does; False: none there."""
        try:
            found = self.run_tool("xdotool", "search", "--all", "--pid", str(pid), "--name", title).split()
            ask_to_close(self.display, [int(window) for window in found])
        except HarnessError:
            return False
        return bool(found)

    def set_property(self, name: str, text: str) -> None:
        """Set a property of the root window, where programs look for what holds for the whole screen."""
        set_root_property(self.display, name, text)


def start_xvfb(folder: Path, size_px: tuple[int, int]) -> tuple[Child, str]:
    """Start Xvfb on a display that it finds itself; gives the process and the display's name."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size_px[0]}x{size_px[1]}x24"]
    command += ["+extension", "GLX", "-nolisten", "tcp", "-noreset"]
    output = folder / "xvfb.log"
    try:
        child = Child(command, os.environ, output, keep=[writing])
    except FileNotFoundError as error:
        os.close(reading)
        raise HarnessError("Xvfb is not installed (Debian and Ubuntu: apt install xvfb)") from error
    finally:
        os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    if not number:
        child.kill()
        raise HarnessError(f"Xvfb did not start\n{output.read_text(errors='replace')[-2000:]}")
    return child, f":{number}"
