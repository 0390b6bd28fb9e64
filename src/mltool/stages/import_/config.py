from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.datasets.config import DataConfig
from mltool.integrations.config import HydraConfig
from mltool.modeling.config import ModelConfig, TaskConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """All that `mltool import WEIGHTS` reads."""

    name: str | None = None

    part: str | None = setting(None, shapes=False)
    """The part of a checkpoint to take, such as `ema`, where it holds several sets of weights that fit."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    hydra: HydraConfig = field(default_factory=HydraConfig)
