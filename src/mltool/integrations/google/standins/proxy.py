"""The address of a service: every request goes to one of its revisions, in the shares that were asked for."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
_STEP = 61
"""Near the golden section of 100, and with no divisor in common: it comes by every place once, evenly spread."""
_MAX_BODY_BYTES = 32 << 20
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
    "upgrade", "content-length",
}  # fmt: skip
_RESERVED = ("/healthz", "/eventlog")
"""Paths that Google's front end keeps to itself: they never reach a container."""

Shares = Sequence[tuple[str, int]]


class Proxy:
    """A port of this machine in front of the revisions of a service.

    Args:
        shares: The revisions that answer now, and the percentage of each.
        port_of: Where a revision answers; None if it does not run.
        is_allowed: Whether a request with these headers may pass.
        timeout_s: How long an answer may take.
    """

    def __init__(
        self,
        shares: Callable[[], Shares],
        port_of: Callable[[str], int | None],
        is_allowed: Callable[[Mapping[str, str]], bool],
        timeout_s: Callable[[], float],
    ) -> None:
        self.shares, self.port_of, self.is_allowed, self.timeout_s = shares, port_of, is_allowed, timeout_s
        self._num_requests, self._lock = 0, threading.Lock()
        proxy = self

        class Handler(_Handler):
            front = proxy

        self._server = _Server((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def choose(self) -> str | None:
        """The revision that answers next; of a hundred requests, each revision gets exactly its share."""
        with self._lock:
            place = self._num_requests * _STEP % 100
            self._num_requests += 1
        for name, percent in self.shares():
            place -= percent
            if place < 0:
                return name
        return None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class _Handler(BaseHTTPRequestHandler):
    front: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._forward()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """What is answered is in the log of the container."""

    def _forward(self) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0 or "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True
            return self._say(411, "Length Required")
        if length > _MAX_BODY_BYTES:
            self.close_connection = True
            return self._say(413, "Request Entity Too Large: the limit of Cloud Run over HTTP/1 is 32 MiB")
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path in _RESERVED or path.startswith("/_ah/"):
            return self._say(404, "Not Found: Google keeps this path to itself")
        if not self.front.is_allowed(dict(self.headers.items())):
            return self._say(
                403, f"Forbidden: Your client does not have permission to get URL {path} from this server."
            )
        name = self.front.choose()
        port = self.front.port_of(name) if name else None
        if port is None:
            return self._say(503, "Service Unavailable")
        return self._ask(port, body)

    def _ask(self, port: int, body: bytes) -> None:
        headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP_BY_HOP}
        headers |= {"X-Forwarded-Proto": "http", "X-Forwarded-For": self.client_address[0]}
        connection = http.client.HTTPConnection(HOST, port, timeout=self.front.timeout_s())
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        except TimeoutError:
            return self._say(504, "upstream request timeout")
        except (OSError, http.client.HTTPException):
            return self._say(503, "Service Unavailable: the container did not answer")
        finally:
            connection.close()
        self.send_response_only(answer.status, answer.reason)
        for key, value in answer.getheaders():
            if key.lower() not in _HOP_BY_HOP:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        return None

    def _say(self, status: int, text: str) -> None:
        content = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
