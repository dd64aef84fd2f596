# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching a file from its publisher, with the standard library: https only, resumed where it was cut off, hashed while
it is written, and moved into its place only when it is whole and the one that was meant.

What has come so far lies beside the target as ``.<name>.part``, and in ``.<name>.part.of`` stands which version it is
part of (the server's ETag or date): only that version is resumed, by this call or a later one.
"""

from __future__ import annotations

import errno
import http.client
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ..filters.environment.lock import FileLock
from .fetch_part import CHUNK_BYTES, Part

MAX_BYTES = 2**30
ATTEMPTS = 4  # in a row without a single new byte
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
SILENCE_S = 30.0  # how long a server may say nothing
_AGENT = "obs-background-filter"
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<head")
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_POINTER_START = b"version https://git-lfs"

OnProgress = Callable[[int, "int | None"], None]


class FetchError(Exception):
    """A file could not be fetched; the message is for the user, and nothing was put in its place."""


@dataclass(frozen=True)
class Expected:
    """What is known of a file: its SHA-256, or a weaker ``hint`` (see ``catalog.Download``), and its size in bytes."""

    sha256: str | None = None
    hint: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Patience:
    """How often and how long to try; ``schemes`` is https alone except in tests, which have a server of their own."""

    attempts: int = ATTEMPTS
    first_pause_s: float = FIRST_PAUSE_S
    silence_s: float = SILENCE_S
    max_bytes: int = MAX_BYTES
    schemes: tuple[str, ...] = ("https",)


def fetch(url: str, target: Path, expected: Expected, progress: OnProgress, patience: Patience | None = None) -> str:
    """Fetch ``url`` into ``target`` and give its SHA-256; ``progress`` is told the bytes so far and in all.

    Raises FetchError. An interrupted fetch leaves what has come, and the next call goes on from there.
    """
    part = Part(target)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(target.parent / ".fetch.lock") as lock:
            if not lock.try_take():
                raise _InterruptedError(
                    f"Another program is fetching a file into {target.parent}. Wait until it is done."
                )
            part.open()
            _receive(url, part, expected, progress, patience or Patience())
            _check(part, expected)
            return part.finish()
    except _InterruptedError:
        raise
    except FetchError:
        part.discard()
        raise
    except OSError as error:
        if error.errno in _DISK_FULL:
            part.discard()
            raise FetchError(f"The disk of {target.parent} is full.") from None
        raise FetchError(f"{target.parent} can't be written: {error.strerror or error}.") from None
    finally:
        part.close()


class _InterruptedError(FetchError):
    """The rest may come another time."""


class _Passing(Exception):  # noqa: N818  (a state, not an error of anybody's)
    """This attempt failed; another may not. ``pause_s`` is how long the server asks to wait, if it does."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


def _receive(url: str, part: Part, expected: Expected, progress: OnProgress, patience: Patience) -> None:
    """Attempt after attempt until the file is whole; those that bring something do not count."""
    opener = urllib.request.build_opener(_Redirects(patience.schemes))
    failures = 0
    while True:
        before = part.size
        try:
            _attempt(opener, url, part, expected, progress, patience)
            return
        except _Passing as error:
            failures = 1 if part.size > before else failures + 1
            if failures >= patience.attempts:
                host = urlsplit(url).hostname
                raise _InterruptedError(
                    f"{host} could not be reached, or broke off ({error}). Are you online? "
                    "Try again later; what has come is kept."
                ) from None
            pause_s = min(patience.first_pause_s * 2 ** (failures - 1), LONGEST_PAUSE_S)
            time.sleep(max(pause_s, min(error.pause_s, LONGEST_PAUSE_S)))


def _attempt(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Part,
    expected: Expected,
    progress: OnProgress,
    patience: Patience,
) -> None:
    _check_scheme(url, patience.schemes)
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})  # noqa: S310
    if part.size and part.version:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", part.version)
    try:
        with opener.open(request, timeout=patience.silence_s) as answer:
            total = _begin(answer, part)
            _check_size(url, total, expected, part, patience)
            _copy(answer, part, total, progress, patience)
    except urllib.error.HTTPError as error:
        _judge_status(error, url, part)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise FetchError(
                _CERTIFICATE.format(host=urlsplit(url).hostname, reason=error.reason.verify_message)
            ) from None
        raise _Passing(_reason(error)) from None
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Passing(_reason(error)) from None


def _begin(answer: Any, part: Part) -> int | None:
    """Look at the headers: whether the part goes on or begins anew. Gives the size of the whole, if it is told."""
    headers = answer.headers
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if not found or int(found[1]) != part.size:
            part.restart("")
            raise _Passing("the server went on at another place")
        return None if found[2] == "*" else int(found[2])
    etag = headers.get("ETag", "")
    part.restart(headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag)
    length = headers.get("Content-Length", "")
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise FetchError(_PAGE)
    return int(length) if length.isdigit() else None


_CERTIFICATE = (
    "{host} can't prove that it is {host} ({reason}), so nothing was fetched. Is this computer's clock right? Python "
    "for macOS brings its certificates in a program of its own: Install Certificates.command."
)
_PAGE = (
    "The server sent a web page instead of the model. The publisher may have moved the file, or your network asks you "
    "to log in first. Look at the model's page, or fetch it by hand and use: models import FILE"
)


def _check_size(url: str, total: int | None, expected: Expected, part: Part, patience: Patience) -> None:
    if total is None:
        return
    if total > patience.max_bytes:
        raise FetchError(f"{url} is too large: {total:,} bytes; at most {patience.max_bytes:,} are taken.")
    if expected.size not in (None, total):
        raise FetchError(f"{url} has {total:,} bytes; expected {expected.size:,}. It is not the file that was meant.")
    free = shutil.disk_usage(part.folder).free
    if total - part.size > free:
        raise FetchError(f"The disk of {part.folder} is full: {total - part.size:,} bytes needed, {free:,} free.")


def _copy(answer: Any, part: Part, total: int | None, progress: OnProgress, patience: Patience) -> None:
    progress(part.size, total)
    while chunk := _read(answer):
        if part.size + len(chunk) > patience.max_bytes:
            raise FetchError(f"The file is too large: more than {patience.max_bytes:,} bytes.")
        part.write(chunk)
        progress(part.size, total)
    if total is not None and part.size < total:
        raise _Passing(f"the connection broke off after {part.size:,} of {total:,} bytes")
    if total is not None and part.size > total:
        raise FetchError("The server sent more than it had announced.")


def _read(answer: Any) -> bytes:
    """The next bytes: errors here are the network's, not the disk's."""
    try:
        chunk: bytes = answer.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(_reason(error)) from None
    return chunk


def _judge_status(error: urllib.error.HTTPError, url: str, part: Part) -> None:
    """What an answer other than success means: another attempt, or the end."""
    if error.code == 416:  # nothing of the file lies beyond what we have: it is another file now
        part.restart("")
        raise _Passing("the file has changed") from None
    if error.code in _PASSING:
        wait = error.headers.get("Retry-After", "")
        raise _Passing(f"status {error.code}", float(wait) if wait.isdigit() else 0.0) from None
    if error.code in (404, 410):
        raise FetchError(
            f"{url} is not there any more (status {error.code}). Look at the model's page, fetch the file by hand, and "
            "use: models import FILE"
        ) from None
    raise FetchError(f"{url} was refused (status {error.code} {error.reason}).") from None


def _check(part: Part, expected: Expected) -> None:
    """FetchError unless the whole file is the one that was meant."""
    sha256, md5 = part.digests()
    if expected.size not in (None, part.size):
        raise FetchError(f"The file has {part.size:,} bytes; expected {expected.size:,}. It was deleted.")
    if expected.sha256 not in (None, sha256):
        raise FetchError(_mismatch("SHA-256", sha256, str(expected.sha256)))
    if expected.hint:
        kind, _, digits = expected.hint.partition(":")
        found = md5 if kind == "md5" else sha256
        if not found.startswith(digits):
            raise FetchError(_mismatch({"md5": "MD5", "sha256": "SHA-256"}[kind], found, digits))
    if part.size == 0:
        raise FetchError("The server sent an empty file.")
    start = part.start().lstrip().lower()
    if start.startswith(_PAGE_STARTS):
        raise FetchError(_PAGE)
    if start.startswith(_POINTER_START):
        raise FetchError("The server sent Git LFS's pointer to the model instead of the model.")


def _mismatch(kind: str, found: str, expected: str) -> str:
    return (
        f"The file is not the one its publisher names: its {kind} digest is {found}, expected {expected}. It was "
        "deleted. The publisher may have replaced it, or somebody has tampered with it."
    )


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__


def _check_scheme(url: str, schemes: tuple[str, ...]) -> None:
    if urlsplit(url).scheme not in schemes:
        raise FetchError(f"{url} does not begin with https://, so it is not fetched.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, as publishers use them, but never to where a stranger could listen in."""

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self._schemes = schemes

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows; FetchError unless it is https."""
        _check_scheme(newurl, self._schemes)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
