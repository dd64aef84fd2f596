# SPDX-License-Identifier: GPL-2.0-or-later
"""A publisher on this machine: a real HTTP server that serves one file, and misbehaves as it is told."""

import contextlib
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"version-1"'


@dataclass
class Publisher:
    """``faults`` are taken one by one, each for one request; without one the file is served as it should be."""

    data: bytes
    faults: "list[Callable[[Answer], None]]" = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": ETAG})
    requests: list[dict[str, str]] = field(default_factory=list)
    base: str = ""

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"{self.base}/models/net.onnx"

    @property
    def sha256(self) -> str:
        """The file's digest."""
        return hashlib.sha256(self.data).hexdigest()


class Answer(BaseHTTPRequestHandler):
    """One request."""

    publisher: Publisher

    def do_GET(self) -> None:
        """Serve the file, or the next fault."""
        publisher = self.publisher
        publisher.requests.append({"path": self.path, **dict(self.headers.items())})
        with contextlib.suppress(ConnectionError):
            if publisher.faults:
                publisher.faults.pop(0)(self)
            else:
                self.serve()

    def serve(self, cut_after: int | None = None, pause_s: float = 0.0) -> None:
        """The file, or the part of it that is asked for; ``cut_after`` bytes the connection ends."""
        data, publisher = self.publisher.data, self.publisher
        start = 0
        asked, version = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and version == publisher.headers.get("ETag"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        for name, value in publisher.headers.items():
            self.send_header(name, value)
        self.end_headers()
        end = len(data) if cut_after is None else min(len(data), start + cut_after)
        for at in range(start, end, 10_000):
            self.wfile.write(data[at : min(at + 10_000, end)])
            self.wfile.flush()
            time.sleep(pause_s)
        self.close_connection = True

    def status(self, code: int, **headers: str) -> None:
        """An answer without a file."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def page(self, content_type: str = "text/html; charset=utf-8") -> None:
        """A web page where the file should be."""
        text = b"\n<!DOCTYPE html><html><title>Log in</title></html>"
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
        """Nothing: the tests look at ``requests``."""


@contextlib.contextmanager
def published(data: bytes, tls: ssl.SSLContext | None = None) -> Iterator[Publisher]:
    """A server that runs for a while, for http or, with ``tls``, for https."""
    publisher = Publisher(data)
    handler = type("OneAnswer", (Answer,), {"publisher": publisher})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        publisher.base = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield publisher
        finally:
            server.shutdown()
            thread.join()
