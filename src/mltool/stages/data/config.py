from __future__ import annotations

from dataclasses import dataclass, field

from mltool.datasets.config import DataConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DataJob:
    """All that `mltool data add` reads."""

    name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
