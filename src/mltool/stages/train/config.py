"""All that `mltool train` reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from mltool.datasets.config import DataConfig
from mltool.integrations.config import HydraConfig
from mltool.modeling.config import ModelConfig, TaskConfig, TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """All that `mltool train` reads."""

    name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    hydra: HydraConfig = field(default_factory=HydraConfig)
