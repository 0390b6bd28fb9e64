"""All that `mltool tune` reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mltool.core.config.fields import setting
from mltool.datasets.config import DataConfig
from mltool.integrations.config import HydraConfig
from mltool.modeling.config import ModelConfig, TaskConfig, TrainConfig

PRUNERS = ("median", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """The knobs of the `tune` section."""

    trials: int = setting(20, minimum=1, maximum=100_000, known_as=("n_trials", "num_trials", "count", "max_trials"))
    """Configurations to try, with those that failed or were stopped early; a small space is tried whole instead."""

    space: dict[str, Any] = setting(default_factory=dict)
    """What to search: by key of the config a range, `space.lr=1e-4..1e-1:log`, or choices,
    `space.batch_size=32,64,128`; a range of whole numbers has whole ends, and without `:log` all of it is drawn alike.
    By default the learning rate, the batch size and the weight decay."""

    metric: str = setting("auto", known_as=("objective", "monitor"))
    """Of the validation split: `loss`, or a metric of the task, such as `f1_macro`; `auto` is the one that decides:
    accuracy, R², or your own."""

    study: str | None = None
    """Name of the study; by default the model's with a number."""

    seed: int = setting(0, minimum=0, maximum=2**31 - 1)
    """Of what is tried; each trial trains with `train.seed`."""

    pruner: str = setting("median", choices=PRUNERS)
    """`median` stops a trial that is worse than most were at its epoch; `none` trains every trial to its end."""

    processes: int = setting(1, minimum=1, maximum=256, known_as=("n_jobs", "workers"))
    """Trials that run at once, each in a process of its own."""

    timeout_s: float | None = setting(None, above=0.0, known_as=("timeout", "budget_s"))
    """Seconds after which no new trial begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneJob:
    """All that `mltool tune` reads."""

    name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)
    hydra: HydraConfig = field(default_factory=HydraConfig)
