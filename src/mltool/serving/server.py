"""The application on uvicorn: it drains on SIGTERM, loses nothing that it accepted, and ends with 0."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mltool.serving.app import App
from mltool.serving.listening import BACKLOG

_KEEP_ALIVE_S = 75
_LINGER_S = 1.0
"""How long a connection without a request is kept open while draining: its next request may be on the way."""
_TICKS_PER_SWEEP = 10
_MAX_HEAD_BYTES = 64 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with a limit to heads and trailers, which it lacks."""

    _bytes_beside_body = 0
    """Of the request that is coming in: its head, and what follows the parts of a body in chunks."""

    def data_received(self, data: bytes) -> None:
        self._bytes_beside_body += len(data)
        super().data_received(data)
        if not self.is_in_head() and (self.cycle is None or not self.cycle.more_body):
            self._bytes_beside_body = 0
        elif self._bytes_beside_body > _MAX_HEAD_BYTES:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._bytes_beside_body = 0
        super().on_body(body)

    def is_in_head(self) -> bool:
        """Whether a request has begun and its head is not whole."""
        return self.headers is not None and (self.cycle is None or self.cycle.scope["headers"] is not self.headers)

    def is_owed(self) -> bool:
        """Whether we wait for the rest of a request; between requests, uvicorn has a timer of its own."""
        is_whole = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        return not is_whole and self.timeout_keep_alive_task is None

    def give_up(self, timeout_s: float) -> None:
        """Say that the request took too long to arrive, if nothing was said yet, and close."""
        if self.cycle is None or not self.cycle.response_started or self.is_in_head():
            body = orjson.dumps({"error": f"the request was not whole within {timeout_s:g} s"})
            head = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        self.transport.close()


class Server(uvicorn.Server):
    """Answers on a socket until SIGTERM or Ctrl-C.

    Args:
        listener: Closed in the end; another process may have a handle of the same socket, and go on.
        on_closed: Called when no new connection is taken any more.
    """

    def __init__(
        self,
        app: App,
        listener: socket.socket,
        *,
        drain_s: float,
        arrival_s: float,
        on_ready: Callable[[], None] = lambda: None,
        on_closed: Callable[[], None] = lambda: None,
    ) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what clients do wrong is no news
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                loop="uvloop",
                http=Connection,
                lifespan="off",
                ws="none",
                access_log=False,
                proxy_headers=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                backlog=BACKLOG,
                timeout_graceful_shutdown=0,
            )
        )
        self._app, self._listener, self._on_ready, self._on_closed = app, listener, on_ready, on_closed
        self._given = listener.dup()  # uvicorn closes what it is given, and loses what waits in it
        app.tasks = self.server_state.tasks
        self._drain_s, self._arrival_s = drain_s, arrival_s
        self._draining_since: float | None = None
        self._asked_to_stop = self._was_cut_off = False
        self._owed_since: dict[tuple[Connection, int], float] = {}

    def run_until_stopped(self) -> bool:
        """Serve; False if running requests had to be cut off after `drain_s`."""
        self.run(sockets=[self._given])
        self._app.close()
        return not self._was_cut_off

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._asked_to_stop:
            self._was_cut_off = self._is_busy()
            self.should_exit = self.force_exit = True
        self._drain(sig, frame)

    def _drain(self, sig: int, frame: FrameType | None) -> None:
        self._asked_to_stop = self._app.is_draining = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self._drain)  # the terminal, or the supervisor, is gone
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if self._asked_to_stop and self._draining_since is None:
            self._draining_since = time.monotonic()
            await self._stop_accepting()
        if counter % _TICKS_PER_SWEEP == 0:
            self._app.note_levels()
            self._end_late_requests()
        if self._draining_since is not None and not self.should_exit:
            self.should_exit = self._is_drained(time.monotonic() - self._draining_since)
        return await super().on_tick(counter)

    async def _stop_accepting(self) -> None:
        """Close the socket, and take the connections that the system has accepted for us: they would be reset."""
        for server in self.servers:
            server.close()
        self._given.close()
        await asyncio.sleep(0)  # only then is the handle of the loop closed
        await self._accept_waiting()
        self._on_closed()

    async def _accept_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = self._listener.accept()
            except ConnectionAbortedError:  # by its client, before we came to it
                continue
            except OSError:  # there is none left; at once: whoever connects between the two lines is lost
                self._listener.close()
                return
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        return Connection(config=self.config, server_state=self.server_state, app_state={})

    def _is_drained(self, seconds: float) -> bool:
        if not self.server_state.connections:
            return True
        if not self._is_busy() and seconds >= _LINGER_S:
            return True
        if seconds >= max(self._drain_s, _LINGER_S):
            self._was_cut_off = self._is_busy()
            return True
        return False

    def _is_busy(self) -> bool:
        """Whether a request is being answered, or an answer is still on its way to a slow client."""
        on_the_way = (one.transport.get_write_buffer_size() for one in self.server_state.connections)
        return bool(self.server_state.tasks) or any(on_the_way)

    def _end_late_requests(self) -> None:
        """Give up requests whose head or body does not come, or comes too slowly."""
        now = time.monotonic()
        connections = [one for one in self.server_state.connections if isinstance(one, Connection) and one.is_owed()]
        # uvicorn makes a new list of headers for each request: another list is another request, with time of its own.
        owed = [(one, id(one.headers)) for one in connections]
        self._owed_since = {key: self._owed_since.get(key, now) for key in owed}
        for (connection, _), since in self._owed_since.items():
            if now - since > self._arrival_s:
                connection.give_up(self._arrival_s)
