"""The socket that a server listens on; bound before anything heavy loads."""

from __future__ import annotations

import socket

from mltool.core.errors import ConfigError, MltoolError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        ConfigError: There is no such address.
        MltoolError: The port is taken, or may not be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"`host={host}` is no address of this machine") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = "choose another with `port=`; `port=0` takes a free one"
        raise MltoolError(f"cannot listen on {host}:{port}: {error.strerror}", hint=hint) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
