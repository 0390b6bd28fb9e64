"""Moments as people write them: how long ago, or a date with a time."""

from __future__ import annotations

import datetime
import re

from mltool.core.errors import ConfigError

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def moment(text: str, key: str, now_s: float) -> float:
    """Unix seconds of `24h` (so long ago), or of `2026-11-26`, `2026-11-26T08:00` and the like; UTC if it says no zone.

    Raises:
        ConfigError: It is neither, and `key` is what it was given for.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now_s - float(ago[1]) * _SECONDS[ago[2]]
    try:
        written = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"`{key}` is `{text}`, but a moment is needed", hint="write `90m`, `24h`, `7d` or `2026-11-26T08:00`"
        ) from None
    return (written if written.tzinfo else written.replace(tzinfo=datetime.UTC)).timestamp()


def shown(time_s: float) -> str:
    """A moment for people, in UTC."""
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).strftime("%Y-%m-%d %H:%M")
