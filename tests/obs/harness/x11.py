# SPDX-License-Identifier: GPL-2.0-or-later
"""The one thing that xdotool can't do in all its versions: ask a window to close, as its X button does."""

import ctypes

from .processes import HarnessError

_CLIENT_MESSAGE = 33


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
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise HarnessError(f"libX11 is not installed: {error}") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(display.encode())
    if not connection:
        raise HarnessError(f"the X display {display} can't be opened")
    protocols = x11.XInternAtom(connection, b"WM_PROTOCOLS", 0)
    delete = x11.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
    for window in windows:
        event = _ClientMessage(type=_CLIENT_MESSAGE, window=window, message_type=protocols, format=32)
        event.data[0] = delete
        x11.XSendEvent(connection, window, 0, 0, ctypes.byref(event))
    x11.XCloseDisplay(connection)
