# SPDX-License-Identifier: GPL-2.0-or-later
"""One real OBS with a scratch home: started, driven through obs-websocket, recorded, looked at, and ended."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import obsws_python

from .control import Control
from .processes import Child, HarnessError, descendants, free_port, kill_survivors, wait_for
from .profile import Profile, read_collection, write_profile
from .report import ObsExit, parse_leaks, parse_profiler
from .scenes import Filter, ScriptEntry, Source, scene_collection
from .screen import Screen

if TYPE_CHECKING:
    # What only the tests of dialogs need, jeepney among it, is imported when they ask for it.
    from .bus import Bus
    from .widgets import Widgets

ARTEFACTS = Path(__file__).resolve().parents[2] / "artefacts"
COLLECTION = "harness"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 5.0


class Obs(Control):
    """Context manager around one OBS. ``ws`` is obs-websocket's request client (obsws_python.ReqClient).

    scripts: paths, or (path, settings) pairs, listed in the scene collection. sources: what the scene ``Scene`` shows,
    the first at the bottom; scene_filters: filters on that scene; or scene_json: a whole scene collection instead.
    collections: further scene collections by name. home: a folder kept between runs (then its saved scene collections
    win over ``sources``), else a scratch one that goes away. display: an X display to use instead of an Xvfb.
    widgets: offer ``widgets``, by which the dialogs are read and pressed (see widgets.py); not with a given display.
    name: the folder under tests/artefacts, by default the running test's name.
    """

    def __init__(
        self,
        scripts: Sequence[ScriptEntry] = (),
        sources: Sequence[Source] = (),
        scene_json: dict[str, Any] | None = None,
        canvas: tuple[int, int] = (1280, 720),
        fps: int = 30,
        env: Mapping[str, str] | None = None,
        home: Path | None = None,
        *,
        scene_filters: Sequence[Filter] = (),
        collections: Mapping[str, dict[str, Any]] | None = None,
        display: str | None = None,
        screen: tuple[int, int] = (1280, 800),
        software_gl: bool = True,
        widgets: bool = False,
        name: str | None = None,
    ) -> None:
        first = scene_json or scene_collection(COLLECTION, sources, scripts, scene_filters)
        self._collections = {COLLECTION: first, **(collections or {})}
        self._canvas, self._fps = canvas, fps
        self._screen = Screen(display, screen)
        self._extra_environment = dict(env or {})
        self._software_gl = software_gl
        if widgets and display is not None:
            raise ValueError("the widgets can be found only on a screen of our own")
        self._wants_widgets = widgets
        self._bus: Bus | None = None
        self._widgets: Widgets | None = None
        self._keep_home = home is not None
        self.home = Path(home) if home is not None else Path(tempfile.mkdtemp(prefix="obs-harness-"))
        self.config = self.home / "config"
        self.recordings = self.home / "recordings"
        self.artefacts = ARTEFACTS / (name or _test_name())
        self._obs: Child | None = None
        self._helpers: dict[int, list[str]] = {}
        self.ws: Any = None
        self.exit: ObsExit | None = None

    # Life

    def __enter__(self) -> "Obs":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._obs is not None and not isinstance(error, KeyboardInterrupt):
                self.stop()
        except HarnessError:
            if kind is None:
                raise
        finally:
            self.close()

    def start(self) -> None:
        """Start OBS, and the display if there is none yet, and wait until obs-websocket answers requests."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.artefacts.mkdir(parents=True, exist_ok=True)
        profile = Profile(self._canvas, self._fps, free_port(), self.recordings, COLLECTION)
        write_profile(self.config, profile, self._collections)
        self._screen.start(self.home)
        if self._wants_widgets and self._bus is None:
            self._bus = self._start_bus()
        shutil.rmtree(self.config / "obs-studio" / "logs", ignore_errors=True)
        self.exit = None
        # Not --disable-missing-files-check: OBS 29 leaks an allocation with it.
        command = ["obs", "--multi", "--unfiltered_log", "--disable-updater"]
        try:
            self._obs = Child(command, self._environment(), self.home / "obs-output.txt")
        except FileNotFoundError as error:
            raise HarnessError("OBS is not installed (Debian and Ubuntu: apt install obs-studio)") from error
        self.ws = self._wait("obs-websocket to answer", lambda: self._connect(profile.websocket_port), START_TIMEOUT_S)

    def stop(self) -> ObsExit:
        """End OBS as its user would and tell how it went; the folder of artefacts gets the log."""
        if self._obs is None:
            raise HarnessError("OBS is not running")
        time.sleep(max(0.0, self._settled_at_s - time.monotonic()))
        self._disconnect()
        self._remember_helpers()
        self._close_window()
        return self.wait(STOP_TIMEOUT_S)

    def wait(self, timeout_s: float | None = None) -> ObsExit:
        """Wait until OBS ends by itself (its user closed it) and tell how it went; HarnessError after ``timeout_s``."""
        if self._obs is None:
            raise HarnessError("OBS is not running")
        try:
            self._obs.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise HarnessError(f"OBS did not end within {timeout_s:g} s\n{self._explain()}") from None
        finally:
            self._obs.kill()
        self._disconnect()
        log = self.log
        self.exit = ObsExit(self._obs.process.returncode, parse_leaks(log), parse_profiler(log), log)
        self._obs = None
        (self.artefacts / "obs.log").write_text(log)
        return self.exit

    def restart(self) -> ObsExit:
        """End OBS and start it again with the same home and display; gives how the first run ended."""
        result = self.stop()
        self.start()
        return result

    def close(self) -> None:
        """Kill whatever still runs and remove a scratch home; called at the end of ``with``."""
        self._disconnect()
        if self._obs is not None:
            (self.artefacts / "obs.log").write_text(self.log)
            self._remember_helpers()
            self._obs.kill()
            self._obs = None
        kill_survivors(self._helpers)
        if self._bus is not None:
            self._bus.close()
            self._bus = self._widgets = None
        self._screen.close()
        if not self._keep_home:
            shutil.rmtree(self.home, ignore_errors=True)

    # Looking

    @property
    def pid(self) -> int:
        """OBS's process id; HarnessError when it is not running."""
        if self._obs is None:
            raise HarnessError("OBS is not running")
        return self._obs.pid

    @property
    def widgets(self) -> "Widgets":
        """The windows of the OBS that runs, to be read and pressed; HarnessError unless it was started for that."""
        if self._bus is None:
            raise HarnessError("the widgets can be found only in Obs(..., widgets=True)")
        if self._widgets is None or self._widgets.pid != self.pid:
            from .widgets import Widgets

            self._widgets = Widgets(self._bus, self.pid, self._click)
        return self._widgets

    @property
    def display(self) -> str:
        """The X display that OBS stands on, such as ":1"."""
        return self._screen.display

    @property
    def log(self) -> str:
        """OBS's log of this run, from its first line to now."""
        logs = sorted((self.config / "obs-studio" / "logs").glob("*.txt"))
        return "".join(each.read_text(errors="replace") for each in logs)

    def wait_for_log(self, text: str, timeout_s: float = 10.0) -> str:
        """Wait until a line of the log holds ``text``; gives the first such line."""

        def probe() -> str | None:
            return next((line for line in self.log.splitlines() if text in line), None)

        return self._wait(f"{text!r} in OBS's log", probe, timeout_s)

    def descendants(self) -> dict[int, list[str]]:
        """Process id and command line of every living process that OBS started."""
        return descendants(self.pid)

    def collection(self, name: str = COLLECTION) -> dict[str, Any]:
        """A scene collection as OBS last saved it."""
        return read_collection(self.config, name)

    def window_screenshot(self, path: Path | str) -> Path:
        """Save what stands on the whole X screen as a picture; a relative path lies in the artefacts."""
        target = self.artefacts / path
        self._screen.run_tool("import", "-window", "root", str(target))
        return target

    def xdotool(self, *arguments: object) -> str:
        """Run xdotool on OBS's display; gives what it printed."""
        return self._screen.run_tool("xdotool", *(str(each) for each in arguments)).strip()

    # Inside

    def _start_bus(self) -> "Bus":
        from .bus import Bus

        bus = Bus(self.home)
        # Here Qt looks for the bus without being told by a desktop's service.
        self._screen.set_property("AT_SPI_BUS", bus.address)
        return bus

    def _click(self, x: int, y: int, button: int) -> None:
        self.xdotool("mousemove", x, y, "click", button)

    def _remember_helpers(self) -> None:
        # A stopped engine (SIGSTOP) does not see that OBS is gone; close() ends it.
        if self._obs is not None:
            self._helpers |= descendants(self._obs.pid)

    def _close_window(self) -> None:
        """Close the main window as its X button does; SIGINT where that leads nowhere.

        Not SIGINT at once: OBS 29 closes its window inside the signal handler, and hangs or crashes when the signal
        comes while Qt talks to the X server.
        """
        obs = self._obs
        if obs is None or obs.poll() is not None:
            return
        try:
            if self._screen.close_windows(obs.pid, "^OBS .* - "):
                obs.process.wait(CLOSE_TIMEOUT_S)
                return
        except subprocess.TimeoutExpired:
            pass  # a modal dialog holds the main window open
        os.kill(obs.pid, signal.SIGINT)

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
        runtime = self.home / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        environment |= {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.config),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_RUNTIME_DIR": str(runtime),
            "DISPLAY": self._screen.display,
            "QT_QPA_PLATFORM": "xcb",
            "LC_ALL": "C.UTF-8",
        }
        # A real display's key lies in the real home.
        environment.setdefault("XAUTHORITY", str(Path.home() / ".Xauthority"))
        if self._bus is not None:
            environment |= {"DBUS_SESSION_BUS_ADDRESS": self._bus.address, "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1"}
        if self._software_gl:
            environment["LIBGL_ALWAYS_SOFTWARE"] = "1"
        return environment | self._extra_environment

    def _connect(self, port: int) -> Any:
        if self._obs is not None and self._obs.poll() is not None:
            raise HarnessError(f"OBS ended at its start with code {self._obs.poll()}\n{self._explain()}")
        client = None
        try:
            client = obsws_python.ReqClient(host="127.0.0.1", port=port, password="unused", timeout=20)
            client.get_scene_list()
        except Exception:  # refused, closed, "not ready": obsws_python wraps none of them in one type
            if client is not None:
                client.disconnect()
            return None
        return client

    def _disconnect(self) -> None:
        if self.ws is not None:
            with contextlib.suppress(OSError):  # OBS may be gone already
                self.ws.disconnect()
            self.ws = None

    def _wait(self, what: str, probe: Any, timeout_s: float) -> Any:
        return wait_for(what, probe, timeout_s, self._explain)

    def _explain(self) -> str:
        output = self.home / "obs-output.txt"
        tail = self.log[-3000:] or (output.read_text(errors="replace")[-3000:] if output.exists() else "")
        state = "no OBS" if self._obs is None else f"exit code {self._obs.poll()} (None: it still runs)"
        return f"OBS: {state}. The end of its log:\n{tail}"


_UNWANTED = {
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_SESSION_TYPE",
    "QT_QPA_PLATFORM",
    "XAUTHORITY",
}
# obsws_python logs every refused connection while OBS is still starting.
logging.getLogger("obsws_python").setLevel(logging.CRITICAL)


def _test_name() -> str:
    current = os.environ.get("PYTEST_CURRENT_TEST", "obs").rpartition("::")[2].partition(" ")[0]
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in current)
