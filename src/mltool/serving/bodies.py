"""The body of a request: read within the limit of its size, and unpacked within the same.

How long a body may take is watched by `server.py`, for all connections at once: a timer for each request would cost
more than reading most of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mltool.serving.errors import HttpError

Receive = Callable[[], Awaitable[Any]]
Headers = Mapping[bytes, bytes]

_GZIP_OR_ZLIB = 47
"""What zlib calls both of HTTP's `gzip` and `deflate`, told apart by their first bytes."""


class DisconnectedError(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


async def read_body(receive: Receive, headers: Headers, max_bytes: int) -> bytes:
    """The whole body, unpacked.

    Raises:
        HttpError: 413 too large, 415 packed in a way that is not read, 400 not what it claims to be.
        DisconnectedError: It never became whole.
    """
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > max_bytes:
        # The server goes on reading what comes, into nothing: a client that writes first would miss the answer. One
        # that asked before it writes will not write at all.
        raise _too_large(max_bytes, close=b"expect" in headers)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    encoding = headers.get(b"content-encoding")
    return body if encoding is None else _unpacked(body, encoding, max_bytes)


def _too_large(max_bytes: int, *, close: bool = False) -> HttpError:
    return HttpError(413, f"the body is larger than {max_bytes:,} bytes", close=close)


def _unpacked(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    name = encoding.strip().lower().decode("latin-1")
    if name == "identity":
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise HttpError(
            415, f"the content encoding `{name[:40]}` is not read", hint="send it plain, or as gzip or deflate"
        )
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise HttpError(400, f"the body is not {name}: {error}") from error
    if len(plain) > max_bytes:
        raise HttpError(413, f"the unpacked body is larger than {max_bytes:,} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise HttpError(400, f"the body is not one whole {name} stream")
    return plain
