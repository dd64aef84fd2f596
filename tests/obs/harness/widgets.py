# SPDX-License-Identifier: GPL-2.0-or-later
"""The widgets of OBS's windows, found by role and name as a screen reader finds them (AT-SPI), and pressed.

    with Obs(..., widgets=True) as obs:
        obs.widgets.menu("Tools", "Scripts")
        obs.widgets.press("obs_background_filter.py", "list item", window="Scripts")
        obs.widgets.choose("Device", "CPU", window="Scripts")
        assert obs.widgets.text("Device") == "CPU"
        assert obs.widgets.find("label", re.compile("^Version")).name.endswith("1.31.1")
        obs.widgets.press("Close", window="Scripts")
        obs.widgets.wait_for_end("Scripts")

Nothing is said in pixels or seconds: whatever is asked for is waited for until it shows and can be pressed. Names are
the visible texts (of a combo box: the chosen one), whole, or a compiled regular expression that is searched for. Roles
are AT-SPI's: "push button", "check box", "combo box", "list item", "label", "text", "spin box", "slider", "menu item",
"frame", "dialog"; a group box is a "panel". ``window`` is a window's title, likewise; without it every window that
shows counts. HarnessError, with what was there instead, when something does not come within TIMEOUT_S.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .bus import Bus, GoneError
from .processes import HarnessError, wait_for

# Long enough for OBS on a computer whose cores are all taken.
TIMEOUT_S = 30.0
# After this long a mouse click that did nothing is taken as lost.
_CLICK_TIMEOUT_S = 5.0
# Qt's stand-in for the question mark behind the label of a setting with a tooltip.
_PICTURE = "\N{OBJECT REPLACEMENT CHARACTER}"
_ROOT = "/org/a11y/atspi/accessible/root"
_ACCESSIBLE, _ACTION, _COMPONENT, _TEXT, _EDITABLE_TEXT = (
    f"org.a11y.atspi.{each}" for each in ("Accessible", "Action", "Component", "Text", "EditableText")
)
_ENABLED, _SHOWING = 1 << 8, 1 << 25  # ATSPI_STATE_ENABLED, ATSPI_STATE_SHOWING
_ON_THE_SCREEN = 0  # ATSPI_COORD_TYPE_SCREEN
# Nothing to look for inside; menus and combo boxes hold what does not show until they are opened.
_CLOSED = {"label", "push button", "check box", "slider", "spin box", "text", "list item", "menu bar", "combo box"}
_HAVE_TEXT = {"text", "spin box"}
_LEFT_BUTTON, _WHEEL_UP, _WHEEL_DOWN = 1, 4, 5

Name = str | re.Pattern[str]


@dataclass(frozen=True)
class Widget:
    """One widget as it was when it was found; ``path`` is its address, ``parent`` that of what it stands in."""

    role: str
    name: str
    path: str
    parent: str


@dataclass(frozen=True)
class Place:
    """Where a widget stands on the screen, in pixels; without extent while it does not show."""

    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> tuple[int, int]:
        """Its middle."""
        return self.x + self.width // 2, self.y + self.height // 2


class Widgets:
    """The widgets of the OBS with process id ``pid`` on ``bus``; ``mouse(x, y, button)`` clicks on its screen."""

    def __init__(self, bus: Bus, pid: int, mouse: Callable[[int, int, int], object]) -> None:
        self._bus, self.pid, self._mouse = bus, pid, mouse
        self._service = ""

    # Finding

    def windows(self) -> list[str]:
        """The titles of the windows that show."""
        return [each.name for each in self._windows(None)]

    def wait_for_window(self, title: Name) -> str:
        """Wait until a window shows; gives its title."""
        return str(self._wait(f"the window {title}", lambda: next((each for each in self._windows(title)), None)).name)

    def wait_for_end(self, title: Name) -> None:
        """Wait until no such window shows any more."""
        self._wait(f"the end of the window {title}", lambda: not self._windows(title))

    def all(self, role: str, name: Name | None = None, window: Name | None = None) -> list[Widget]:
        """Those that show now, enabled or not, from top to bottom of the tree; none is no error."""
        return [each for each in self._tree(window) if _fits(each, role, name) and self._is(each, _SHOWING)]

    def find(self, role: str, name: Name | None = None, window: Name | None = None) -> Widget:
        """The first that shows and is enabled, waited for."""

        def probe() -> Widget | None:
            return next((each for each in self.all(role, name, window) if self._is(each, _ENABLED)), None)

        return self._wait(f"an enabled {role} {name or ''}", probe, window)

    def text(self, label: Name, window: Name | None = None) -> str:
        """What stands to the right of a label: the chosen entry of a combo box, the text of a field or of a label."""

        def probe() -> tuple[str] | None:
            beside = self._beside(label, window)
            return None if beside is None else (self._content(beside),)

        return str(self._wait(f"what stands beside {label}", probe, window)[0])

    def entries(self, label: Name, window: Name | None = None) -> list[str]:
        """The entries of the combo box to the right of a label, hidden ones too."""
        combo = self._wait(f"the list beside {label}", lambda: self._beside(label, window, "combo box"), window)
        return [each.name for each in self._entries(combo)[1]]

    def place(self, widget: Widget) -> Place:
        """Where a widget stands on the screen, scrolled out of sight or not. GoneError: it is there no more."""
        return Place(*self._call(widget, _COMPONENT, "GetExtents", "u", _ON_THE_SCREEN)[0])

    # Pressing

    def press(
        self,
        name: Name,
        role: str = "push button",
        window: Name | None = None,
        effect: Callable[[], Any] | None = None,
    ) -> None:
        """Press a button, toggle a check box or choose the entry of a list, as soon as it shows and is enabled.

        The effect may follow later: Qt lets a button go a tenth of a second after its press. With ``effect`` this
        waits until that gives something true, and presses again every few seconds until then; only for what may be
        pressed twice. Not for a button that opens a modal dialog, such as "Browse".
        """

        def probe() -> bool:
            pressed = self._act(self.find(role, name, window))
            return pressed and (effect is None or self._soon(effect))

        self._wait(f"the {role} {name} to be pressed", probe, window)

    def write(self, name: Name, content: str, window: Name | None = None) -> None:
        """Replace what stands in a field of text, wherever the keyboard's focus is."""

        def probe() -> bool:
            field = self.find("text", name, window)
            self._call(field, _EDITABLE_TEXT, "SetTextContents", "s", content)
            return self._content(field) == content

        self._wait(f"{content!r} in the field {name}", probe, window)

    def click(self, name: Name, role: str, window: Name | None = None) -> None:
        """Click on a widget with the mouse, which gives it and its window the focus; ``press`` does not."""
        self._mouse(*self.place(self.find(role, name, window)).middle, 1)

    def menu(self, *names: str) -> None:
        """Choose an entry of the main window's menu, such as ``menu("Tools", "Scripts")``."""

        def probe() -> bool:
            at = self._entries_of_menus([each for each in self._tree(None) if each.role == "menu bar"])
            for name in names[:-1]:
                at = self._entries_of_menus([each for each in at if _fits(each, "menu item", name)])
            return any(
                self._is(each, _ENABLED) and self._act(each) for each in at if _fits(each, "menu item", names[-1])
            )

        self._wait(f"the menu {', '.join(names)}", probe)

    def choose(self, label: Name, item: str, window: Name | None = None) -> None:
        """Choose an entry of the combo box to the right of a label: opened, scrolled and clicked on as by hand."""

        def probe() -> bool:
            combo = self._beside(label, window, "combo box")
            if combo is None or combo.name == item:
                return combo is not None
            listing, entries = self._entries(combo)
            entry = next((each for each in entries if each.name == item), None)
            if entry is not None and self._is(combo, _ENABLED):
                self._click_entry(combo, listing, entry)
            return False

        self._wait(f"{item!r} to be chosen beside {label}", probe, window)

    # Inside

    def _click_entry(self, combo: Widget, listing: Widget, entry: Widget) -> None:
        """One step on the way to an entry: open the list, turn the mouse wheel towards the entry, or click on it."""
        frame = self.place(listing)
        if not frame.width:
            self._act(combo)
            self._soon(lambda: self.place(listing).width > 0)
            return
        y = self.place(entry).middle[1]
        if frame.y <= y < frame.y + frame.height:
            # In the list's middle, not the entry's, which may be wider than what shows of it.
            self._mouse(frame.middle[0], y, _LEFT_BUTTON)
            self._soon(lambda: self.place(listing).width == 0)
        else:
            self._mouse(*frame.middle, _WHEEL_UP if y < frame.y else _WHEEL_DOWN)
            self._soon(lambda: self.place(entry).middle[1] != y)

    def _soon(self, condition: Callable[[], Any]) -> bool:
        """Give a click the time to show its effect; whether it did."""
        try:
            return bool(wait_for("an effect", condition, _CLICK_TIMEOUT_S, str))
        except HarnessError:
            return False

    def _entries(self, combo: Widget) -> tuple[Widget, list[Widget]]:
        listing = next((each for each in self._parts(combo) if each.role == "list"), None)
        if listing is None:
            raise GoneError(f"no list in {combo}")
        return listing, [each for each in self._parts(listing) if each.role == "list item"]

    def _beside(self, label: Name, window: Name | None, role: str | None = None) -> Widget | None:
        """The last widget in the same row as a label: behind a slider comes the field with its number."""
        for sign in self.all("label", label, window):
            sign_place = self.place(sign)
            middle_y = sign_place.middle[1]
            row = []
            for each in self._parts_at(sign.parent):
                at = self.place(each)
                to_the_right = at.x >= sign_place.x + sign_place.width and at.y <= middle_y < at.y + at.height
                if to_the_right and (each.role == role if role else each.role != "push button"):
                    row.append((at.x, each))
            if row:
                return max(row, key=lambda pair: pair[0])[1]
        return None

    def _content(self, widget: Widget) -> str:
        if widget.role in _HAVE_TEXT:
            return str(self._call(widget, _TEXT, "GetText", "ii", 0, -1)[0])
        return widget.name

    def _act(self, widget: Widget) -> bool:
        """Do what a mouse click does on a widget; False when it can't be done (yet, or any more)."""
        try:
            names = [each[0] for each in self._call(widget, _ACTION, "GetActions")[0]]
            wanted = next((each for each in ("Press", "Toggle") if each in names), None)
            return wanted is not None and bool(self._call(widget, _ACTION, "DoAction", "i", names.index(wanted))[0])
        except GoneError:
            return False

    def _windows(self, title: Name | None) -> list[Widget]:
        found = self._parts_at(self._root())
        return [each for each in found if (title is None or _is_called(each, title)) and self._is(each, _SHOWING)]

    def _tree(self, window: Name | None) -> Iterator[Widget]:
        for each in self._windows(window):
            yield each
            yield from self._below(each)

    def _below(self, widget: Widget) -> Iterator[Widget]:
        for each in self._parts(widget):
            yield each
            if each.role not in _CLOSED:
                yield from self._below(each)

    def _entries_of_menus(self, widgets: list[Widget]) -> list[Widget]:
        """What stands in menus, one level deeper: the menu that opens stands between an entry and its entries."""
        parts = [part for each in widgets for part in self._parts(each)]
        return [inner for each in parts for inner in (self._parts(each) if each.role == "popup menu" else [each])]

    def _parts(self, widget: Widget) -> list[Widget]:
        return self._parts_at(widget.path)

    def _parts_at(self, path: str) -> list[Widget]:
        """What stands directly in a widget; what goes while we look is left out."""
        found = []
        with contextlib.suppress(GoneError):
            for _, part in self._bus.call(self._service, path, _ACCESSIBLE, "GetChildren")[0]:
                with contextlib.suppress(GoneError):
                    found.append(self._read(part, path))
        return found

    def _read(self, path: str, parent: str) -> Widget:
        role = self._bus.call(self._service, path, _ACCESSIBLE, "GetRoleName")[0]
        name = self._bus.get(self._service, path, _ACCESSIBLE, "Name")
        return Widget(role, name.replace(_PICTURE, "").strip(), path, parent)

    def _is(self, widget: Widget, state: int) -> bool:
        try:
            return bool(self._call(widget, _ACCESSIBLE, "GetState")[0][0] & state)
        except GoneError:
            return False

    def _call(
        self, widget: Widget, interface: str, method: str, signature: str = "", *arguments: Any
    ) -> tuple[Any, ...]:
        return self._bus.call(self._service, widget.path, interface, method, signature, arguments)

    def _root(self) -> str:
        if not self._service:
            self._service = wait_for(
                "OBS to tell about its widgets",
                lambda: self._bus.find_service(self.pid, _ROOT, _ACCESSIBLE, "GetChildren"),
                TIMEOUT_S,
                lambda: f"process {self.pid}",
            )
        return _ROOT

    def _wait(self, what: str, probe: Callable[[], Any], window: Name | None = None) -> Any:
        def attempt() -> Any:
            try:
                return probe()
            except GoneError:  # OBS builds a dialog anew now and then; look again
                return None

        return wait_for(what, attempt, TIMEOUT_S, lambda: self._describe(window))

    def _describe(self, window: Name | None) -> str:
        try:
            seen = [each for each in self._tree(window) if each.name and self._is(each, _SHOWING)]
        except HarnessError as error:
            return f"OBS does not tell what is there: {error}"
        return "There is:\n" + "\n".join(f"  {each.role} {each.name!r}" for each in seen)


def _fits(widget: Widget, role: str, name: Name | None) -> bool:
    return widget.role == role and (name is None or _is_called(widget, name))


def _is_called(widget: Widget, name: Name) -> bool:
    return widget.name == name if isinstance(name, str) else bool(name.search(widget.name))
