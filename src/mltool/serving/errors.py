"""What a request can be refused for: one class, because only the status differs."""

from __future__ import annotations


class HttpError(Exception):
    """A request that is not answered with a prediction.

    Args:
        status: HTTP status code.
        message: One sentence without a final period, naming what was sent.
        headers: More headers of the answer, such as `Retry-After`.
        close: Whether the connection cannot be used again, because not all of the request was read.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.headers, self.close = status, message, hint, headers, close


RETRY_AFTER = ((b"retry-after", b"1"),)
