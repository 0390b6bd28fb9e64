"""The resolved config as YAML that can be copied into `mltool.yaml`."""

from __future__ import annotations

from typing import Any

from mltool.core.config import plain
from mltool.core.config.load import Resolved


def with_origins(resolved: Resolved[Any]) -> str:
    """YAML with the source of each value as a comment."""
    lines: list[tuple[str, str]] = [("version: 1", "")]
    section = ""
    for key, value in resolved.values.items():
        head, _, name = key.rpartition(".")
        if head != section:
            section = head
            lines.append((f"{head}:", ""))
        text = plain.dump(value)
        lines.append((f"{'  ' if head else ''}{name}: {text}", resolved.origins.get(key, "default")))
    width = min(48, max(len(line) for line, _ in lines))
    return "\n".join(f"{line:<{width}}  # {origin}" if origin else line for line, origin in lines)
