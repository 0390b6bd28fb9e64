from __future__ import annotations

from dataclasses import dataclass, field

from mltool.datasets.config import DataConfig
from mltool.integrations.config import HydraConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DataJob:
    """All that `mltool data add` reads."""

    name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    hydra: HydraConfig = field(default_factory=HydraConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveJob:
    """All that `mltool data push` and `data pull` read; of the section they use `data.remote`."""

    data: DataConfig = field(default_factory=DataConfig)
