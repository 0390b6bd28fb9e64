"""Digests: what a thing is, as one line of hexadecimal.

A digest proves that nothing changed since it was written; it says nothing about who wrote it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHORT = 12
"""Characters of a digest that name its directory and are enough to tell artifacts apart."""


def of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_json(value: Any) -> str:
    """The digest of plain data, the same whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def files_below(folder: Path) -> Iterable[str]:
    """Relative POSIX paths of all files below `folder`, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
