# SPDX-License-Identifier: GPL-2.0-or-later
"""pip's output in plain words: what it is doing, and why it failed."""

import re
from pathlib import Path

TAIL_BYTES = 16_000
_NETWORK = (
    "name resolution",
    "failed to establish a new connection",
    "newconnectionerror",
    "connecttimeouterror",
    "readtimeouterror",
    "network is unreachable",
    "getaddrinfo failed",
    "connection broken",
    "connection reset",
    "cannot connect to proxy",
    "remote end closed connection",
)
_DISK = ("no space left on device", "errno 28", "not enough space on the disk", "disk quota exceeded")
_CERTIFICATE = ("certificate_verify_failed", "sslerror")
_WINDOWS_LIBRARY = ("dll load failed",)


def tail(log: Path) -> str:
    """The end of a log file, or nothing."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def current_step(log_tail: str) -> str:
    """What pip does now, from the end of its output: "downloading numpy (17 MB)"."""
    for line in reversed(log_tail.splitlines()):
        downloading = re.match(
            r"\s*(?:Downloading|Using cached) (\S+?)-\d\S*\.whl(?:\.metadata)?(?: (\([\d.]+ [kMG]B\)))?", line
        )
        if downloading and ".metadata" not in line:
            return f"downloading {downloading[1].replace('_', '-')} {downloading[2] or ''}".strip()
        if line.startswith("Installing collected packages"):
            return "unpacking"
        collecting = re.match(r"\s*Collecting ([\w.-]+)", line)
        if collecting:
            return f"looking for {collecting[1]}"
    return "starting pip"


def explain_failure(log_tail: str) -> str:
    """Why pip failed, in words that tell what to do next."""
    text = log_tail.lower()
    if any(each in text for each in _DISK):
        return "The disk is full. Free some space and try again."
    if any(each in text for each in _CERTIFICATE):
        return "The connection to the Python package index is not trusted (certificate). Check the clock and the proxy."
    if any(each in text for each in _NETWORK):
        return "The Python package index can't be reached. Check the network connection and try again."
    missing = re.search(r"no matching distribution found for (\S+)", text)
    if missing:
        return f"There is no {missing[1]} for this Python and system. Install Python 3.10 to 3.14, 64-bit."
    if any(each in text for each in _WINDOWS_LIBRARY):
        return "A library of Windows is missing. Install the Microsoft Visual C++ Redistributable (x64) and try again."
    last = next((line.strip() for line in reversed(log_tail.splitlines()) if "error" in line.lower()), "")
    return f"It said: {last[:200]}" if last else "It gave no reason."
