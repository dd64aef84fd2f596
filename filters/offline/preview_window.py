# SPDX-License-Identifier: GPL-2.0-or-later
"""A window with the picture, sliders and keys, made of Python's own Tk."""

from __future__ import annotations

import dataclasses
import tkinter
from collections.abc import Callable
from tkinter import ttk

import cv2
import numpy as np

from ..locale import text
from ..obs.settings import SETTINGS
from .camera import LiveFilter, Look
from .capture import Newest
from .compose import Picture
from .files import MediaError

PICTURE_PX = (640, 480)  # at most
EVERY_MS = 50  # twenty pictures per second are enough to look at oneself
SLIDERS = ("threshold", "edge_softness", "smoothing")


class PreviewWindow:
    """Shows what a ``LiveFilter`` shows, and changes its look. For the main thread. Raises MediaError without a screen.

    ``status`` gives the line below the picture.
    """

    def __init__(self, live: LiveFilter, status: Callable[[], str]) -> None:
        self._live, self._backgrounds, self._status = live, list(live.backgrounds), status
        self._shown_number = 0
        try:
            self.root = tkinter.Tk(className="Background Filter")
        except tkinter.TclError as error:
            raise MediaError(
                f"There is no screen to show a window on ({error}). Say --no-preview to go without."
            ) from error
        self.root.title("Background Filter")
        ttk.Style(self.root).theme_use("clam")  # the only one of Tk's own that does not look of 1995
        self._photo = tkinter.PhotoImage(master=self.root, data=as_ppm(live.black), format="PPM")
        self._names = {name: name_of(name) for name in self._backgrounds}
        self._build()
        self._bind()

    def run(self) -> None:
        """Until the window is closed."""
        self._tick()
        self.root.mainloop()

    def close(self) -> None:
        """End ``run``."""
        self.root.quit()

    @property
    def is_visible(self) -> bool:
        """Whether there is anything of it to see: not while it is an icon."""
        return str(self.root.state()) not in ("iconic", "withdrawn")

    def _build(self) -> None:
        look, frame = self._live.look, ttk.Frame(self.root, padding=8)
        frame.grid(sticky="nsew")
        frame.columnconfigure(1, weight=1)
        self._picture = ttk.Label(frame, image=self._photo)
        self._picture.grid(row=0, column=0, columnspan=3)
        self._variables: dict[str, tkinter.DoubleVar] = {}
        self._numbers: dict[str, ttk.Label] = {}
        declared = {setting.key: setting for setting in SETTINGS}
        for row, key in enumerate(SLIDERS, 1):
            ttk.Label(frame, text=text(f"setting.{key}.label")).grid(row=row, column=0, sticky="w")
            variable = tkinter.DoubleVar(self.root, getattr(look.settings, key))
            slider = ttk.Scale(
                frame,
                from_=declared[key].minimum,
                to=declared[key].maximum,
                variable=variable,
                command=lambda value, key=key: self._slide(key, float(value)),  # type: ignore[misc]
            )
            slider.grid(row=row, column=1, sticky="ew", padx=8)
            number = ttk.Label(frame, text=f"{variable.get():.2f}", width=4)
            number.grid(row=row, column=2)
            self._numbers[key] = number
            self._variables[key] = variable
        row = len(SLIDERS) + 1
        ttk.Label(frame, text=text("setting.background.label")).grid(row=row, column=0, sticky="w")
        self._box = ttk.Combobox(frame, values=list(self._names.values()), state="readonly", takefocus=False)
        self._box.bind("<<ComboboxSelected>>", lambda _: self._choose(self._backgrounds[self._box.current()]))
        self._box.grid(row=row, column=1, columnspan=2, sticky="ew", padx=(8, 0), pady=2)
        self._mirror = tkinter.BooleanVar(self.root)
        mirror = ttk.Checkbutton(
            frame, text=text("camera.mirror"), variable=self._mirror, command=self._mirrored, takefocus=False
        )
        mirror.grid(row=row + 1, column=0, columnspan=3, sticky="w")
        self._line = ttk.Label(frame)
        self._line.grid(row=row + 2, column=0, columnspan=3, sticky="w")
        ttk.Label(frame, text=text("camera.keys"), foreground="#666666").grid(
            row=row + 3, column=0, columnspan=3, sticky="w"
        )
        self.root.resizable(False, False)
        self._show_look()

    def _bind(self) -> None:
        keys: dict[str, Callable[[], None]] = {
            "b": self._next_background,
            "m": self._mirrored,
            "<space>": lambda: self._look(is_frozen=not self._live.look.is_frozen),
            "o": lambda: self._look(is_off=not self._live.look.is_off),
            "q": self.close,
            "<Escape>": self.close,
        }
        for key, act in keys.items():
            self.root.bind(key, lambda _event, act=act: act())  # type: ignore[misc]
        self.root.protocol("WM_DELETE_WINDOW", self.close)

    def _look(self, **changes: bool) -> None:
        self._live.look = dataclasses.replace(self._live.look, **changes)  # type: ignore[arg-type]
        self._show_look()

    def _slide(self, key: str, value: float) -> None:
        self._numbers[key].configure(text=f"{value:.2f}")
        self._set(key, value)

    def _set(self, key: str, value: float | str) -> None:
        look = self._live.look
        settings = dataclasses.replace(look.settings, **{key: value})  # type: ignore[arg-type]
        self._live.look = dataclasses.replace(look, settings=settings)

    def _choose(self, name: str) -> None:
        self._set("background", name)
        self._show_look()
        self._picture.focus_set()  # the keys are the window's again

    def _next_background(self) -> None:
        at = self._backgrounds.index(self._live.look.settings.background)
        self._set("background", self._backgrounds[(at + 1) % len(self._backgrounds)])
        self._show_look()

    def _mirrored(self) -> None:
        self._look(is_mirrored=not self._live.look.is_mirrored)

    def _show_look(self) -> None:
        """Bring what is not a slider up to date."""
        look: Look = self._live.look
        self._box.set(self._names[look.settings.background])
        self._mirror.set(look.is_mirrored)

    def _tick(self) -> None:
        """Show the newest picture and the status; and again soon."""
        shown: Newest[Picture] = self._live.shown
        self._shown_number, picture = shown.newer_than(self._shown_number, 0)
        if picture is not None and self.is_visible:
            self._photo.configure(data=as_ppm(picture), format="PPM")
        self._line.configure(text=self._status())
        if self._live.error:
            self.close()
        self.root.after(EVERY_MS, self._tick)


def name_of(background: str) -> str:
    """What a background is called here, where nothing can be transparent and there are no sources of OBS."""
    own = {"transparent": "camera.nothing", "source": "camera.file"}
    return text(own.get(background, f"setting.background.{background}"))


def as_ppm(picture_rgb: Picture) -> bytes:
    """A picture, made small enough for the window, in the one format that Tk reads fast."""
    height, width = picture_rgb.shape[:2]
    scale = min(PICTURE_PX[0] / width, PICTURE_PX[1] / height, 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = np.asarray(cv2.resize(picture_rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return b"P6 %d %d 255\n" % size + small.tobytes()
