"""The key that requests must carry, and who could ask without one."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from mltool.core import events
from mltool.core.errors import ConfigError
from mltool.serving.config import ServeConfig

VARIABLE = "MLTOOL_API_KEY"


def api_key(config: ServeConfig) -> str | None:
    """The key that requests must carry; None if they need none.

    Raises:
        ConfigError: The file of the key cannot be read or is empty.
    """
    if config.api_key_file is None:
        return os.environ.get(VARIABLE, "").strip() or None
    try:
        key = Path(config.api_key_file).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"`serve.api_key_file={config.api_key_file}` cannot be read: {error}") from error
    if not key:
        raise ConfigError(f"`serve.api_key_file={config.api_key_file}` has no key in its first line")
    return key


def has_key(headers: Mapping[bytes, bytes], key: bytes) -> bool:
    """Whether a request carries the key, compared in a time that tells nothing of it."""
    given = headers.get(b"x-api-key", b"")
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        given = value.strip()
    elif scheme.lower() == b"basic":  # what browsers ask people for: any name, and the key as the password
        try:
            given = base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            given = b""
    return hmac.compare_digest(given, key)


def warn_if_open(config: ServeConfig) -> None:
    """Say it if others than this machine can ask the model, and need no key.

    Raises:
        ConfigError: As `api_key`.
    """
    if api_key(config) is None and not _is_loopback(config.host):
        events.warning(f"everyone who reaches {config.host} can ask the model: {VARIABLE} sets a key")


def _is_loopback(host: str) -> bool:
    try:
        addresses = [found[4][0] for found in socket.getaddrinfo(host, None)]
        return all(ipaddress.ip_address(str(address)).is_loopback for address in addresses)
    except (OSError, ValueError, UnicodeError):
        return False
