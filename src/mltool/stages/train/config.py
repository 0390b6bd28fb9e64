"""The knobs of the `train` section."""

from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.datasets.config import DataConfig
from mltool.modeling.config import ModelConfig, TaskConfig

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("fp32", "bf16", "auto")
TRACKER_MODES = ("auto", "online", "offline")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    epochs: int = setting(30, minimum=1)
    """Passes over the training split."""

    batch_size: int = setting(64, minimum=1)
    """Samples a step; must not be larger than the training split."""

    lr: float = setting(2e-3, above=0.0, maximum=10.0)
    """Peak learning rate."""

    optimizer: str = setting("adamw", choices=OPTIMIZERS)

    weight_decay: float = setting(0.01, minimum=0.0, maximum=1.0)

    momentum: float = setting(0.9, minimum=0.0, maximum=1.0)
    """Of `sgd` only."""

    schedule: str = setting("cosine", choices=SCHEDULES)
    """How the learning rate falls after the warm-up: to 0 by `cosine` or `linear`, or not at all."""

    warmup: float = setting(0.05, minimum=0.0, maximum=1.0)
    """Share of all steps over which the learning rate rises, as a fraction of 1."""

    clip_norm: float = setting(0.0, minimum=0.0)
    """Largest norm of the gradients; 0 does not clip."""

    accumulate: int = setting(1, minimum=1)
    """Batches whose gradients are added up before a step."""

    patience: int = setting(0, minimum=0)
    """Epochs without a better validation loss before training stops early; 0 never stops early."""

    seed: int = setting(0, minimum=0)
    """Of the weights and the order of samples."""

    precision: str = setting("fp32", choices=PRECISIONS)
    """`bf16` trains in bfloat16 with channels-last pictures; `auto` times both for a moment and takes the faster."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads; by default 1 for small networks, where more are slower, else all cores."""

    checkpoint_every_s: float = setting(30.0, minimum=0.0)
    """Seconds between checkpoints within an epoch; the end of an epoch always writes one."""

    wandb_project: str | None = None
    """Weights & Biases project to log to, beside the local history that is always written."""

    wandb_mode: str = setting("auto", choices=TRACKER_MODES)
    """`auto` is online where a key is found and the server answers, else offline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """All that `mltool train` reads."""

    name: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
