from __future__ import annotations

from dataclasses import dataclass, field

from mltool.serving.config import ServeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeJob:
    """All that `mltool serve REF` reads."""

    serve: ServeConfig = field(default_factory=ServeConfig)
