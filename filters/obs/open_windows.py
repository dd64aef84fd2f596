# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a window of OBS waits for its user: one that chooses a colour or a file, or an open list.

Such a window is called from a row of a dialog, and OBS comes back to that row when it closes. If the dialog was redrawn
meanwhile, the row is gone, and OBS crashes. libobs can't tell; Qt can, which is loaded already as libobs is. Where it
is not found, a window might always be open.
"""

import ctypes
import functools
import sys
from collections.abc import Callable

# QWidget *QApplication::activeModalWidget() and …::activePopupWidget(), as the compilers call them.
_NAMES = {
    "win32": (
        "?activeModalWidget@QApplication@@SAPEAVQWidget@@XZ",
        "?activePopupWidget@QApplication@@SAPEAVQWidget@@XZ",
    ),
    "other": ("_ZN12QApplication17activeModalWidgetEv", "_ZN12QApplication17activePopupWidgetEv"),
}
_WINDOWS_LIBRARIES = ("Qt6Widgets.dll", "Qt5Widgets.dll")


def may_be_open() -> bool:
    """Whether there is one, or may be. On OBS's main thread only."""
    asked = _questions()
    return not asked or any(question() for question in asked)


@functools.cache
def _questions() -> tuple[Callable[[], int | None], ...]:
    """The two functions; none where they are not found."""
    names = _NAMES["win32" if sys.platform == "win32" else "other"]
    try:
        library = _loaded()
        functions = [getattr(library, name) for name in names]
    except (AttributeError, OSError):
        return ()
    for function in functions:
        function.restype, function.argtypes = ctypes.c_void_p, []
    return tuple(functions)


def _loaded() -> ctypes.PyDLL:
    """Qt's widgets, never loaded anew."""
    if sys.platform != "win32":
        return ctypes.PyDLL(None)
    get_handle = ctypes.windll.kernel32.GetModuleHandleW
    get_handle.restype, get_handle.argtypes = ctypes.c_void_p, [ctypes.c_wchar_p]
    for name in _WINDOWS_LIBRARIES:
        handle = get_handle(name)
        if handle:
            return ctypes.PyDLL(name, handle=handle)
    raise OSError("Qt is not there")
