"""What can be wrong with a bucket of Google's, found out in seconds where gcsfs would try for minutes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mltool.core.errors import RemoteError

LOGIN = (
    "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS; "
    "the account needs the role Storage Object Admin on the bucket"
)
_GOOGLE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_CONNECT_TIMEOUT_S = 10.0
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def expect_access(fs: Any, bucket: str) -> None:
    """Ask once for credentials, for an answer, and for the bucket.

    Args:
        fs: DVC's file system for the bucket.

    Raises:
        RemoteError: There is no such bucket.
        Exception: What Google's libraries raise where there is no access or no answer.
    """
    _expect_credentials(fs.fs_args)
    _expect_answer(fs.fs_args.get("endpoint_url") or _GOOGLE)
    try:
        fs.fs.call("GET", "b/{}/o", bucket, maxResults=1, json_out=True)
    except FileNotFoundError:
        raise RemoteError(
            f"there is no bucket `{bucket}`",
            hint=f"make it with `gcloud storage buckets create gs://{bucket}`, or mend the address",
        ) from None


def _expect_credentials(settings: Any) -> None:
    """Without any, gcsfs would go on as an anonymous stranger, and say only that this one has no rights."""
    if settings.get("token") == "anon":
        return
    if settings.get("token"):
        Path(settings["token"]).read_bytes()
        return
    import google.auth

    google.auth.default(scopes=[_SCOPE])


def _expect_answer(address: str) -> None:
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES):
        return
    parts = urlsplit(address)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConnectionError(f"{parts.hostname}:{port}: {error.strerror or error}") from error


def refusal(error: BaseException) -> str | None:
    """Why Google refuses, in its own words; None if the error is another one."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if type(error).__module__.startswith("google.auth"):
        return lines[0]
    if getattr(error, "code", None) in (401, 403, "401", "403"):
        return lines[0]
    # gcsfs makes of a 403 an error of the disk without a number: the path, then what Google said.
    if isinstance(error, OSError) and error.errno is None and lines[0].startswith("Forbidden"):
        return lines[-1]
    return None
