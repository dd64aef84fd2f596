# SPDX-License-Identifier: GPL-2.0-or-later
"""What xdotool can't do in all its versions: ask a window to close, as its X button does, and set a property."""

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

from .processes import HarnessError

_CLIENT_MESSAGE = 33
_REPLACE, _XA_STRING = 0, 31


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent, made as long as an XEvent is."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 16),
    )


def ask_to_close(display: str, windows: list[int]) -> None:
    """Send WM_DELETE_WINDOW to windows of an X display; HarnessError without libX11 or without that display."""
    with _connection(display) as (x11, connection):
        protocols = x11.XInternAtom(connection, b"WM_PROTOCOLS", 0)
        delete = x11.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
        for window in windows:
            event = _ClientMessage(type=_CLIENT_MESSAGE, window=window, message_type=protocols, format=32)
            event.data[0] = delete
            x11.XSendEvent(connection, window, 0, 0, ctypes.byref(event))


def set_root_property(display: str, name: str, text: str) -> None:
    """Set a property of an X display's root window to an ASCII text; HarnessError as with ``ask_to_close``."""
    with _connection(display) as (x11, connection):
        atom, value = x11.XInternAtom(connection, name.encode(), 0), text.encode()
        root = x11.XDefaultRootWindow(connection)
        x11.XChangeProperty(connection, root, atom, _XA_STRING, 8, _REPLACE, value, len(value))


@contextlib.contextmanager
def _connection(display: str) -> Iterator[tuple[Any, int]]:
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise HarnessError(f"libX11 is not installed: {error}") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XChangeProperty.argtypes = [
        ctypes.c_void_p,
        *[ctypes.c_ulong] * 3,
        *[ctypes.c_int] * 2,
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(display.encode())
    if not connection:
        raise HarnessError(f"the X display {display} can't be opened")
    try:
        yield x11, connection
    finally:
        x11.XCloseDisplay(connection)
