"""The knobs of the `model`, `task` and `train` sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mltool.core.config.fields import setting
from mltool.core.registry import Family

networks: Family[Any] = Family("network", "mltool.modeling.networks", "build")
TASKS = ("auto", "classification", "regression", "custom")
LOSSES = ("auto", "cross_entropy", "nll", "mse", "l1", "huber")

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("fp32", "bf16", "auto")
DEVICES = ("auto", "cpu", "cuda", "mps")
TRACKER_MODES = ("auto", "online", "offline")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    name: str = setting("auto", choices=lambda: ("auto", *networks.names()))
    """A built-in network: `mlp` for tables, `cnn` or `resnet` for pictures; `auto` takes the one that fits the data."""

    target: str | None = None
    """Import path of your own `nn.Module`, such as `src.models.model:MyAwesomeModel`; replaces `model.name`."""

    args: dict[str, Any] = setting(default_factory=dict)
    """Arguments of the network, as `model.args.hidden=64`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConfig:
    kind: str = setting("auto", choices=TASKS)
    """`auto` is classification where the target is a class, regression where it is a number, else custom."""

    loss: str = "auto"
    """`cross_entropy`, `nll` (for networks that end in LogSoftmax), `mse`, `l1`, `huber`, or the import path of
    `loss(outputs, targets) -> scalar`; `auto` is measured on the network's outputs."""

    metric: str | None = None
    """Import path of `metric(outputs, targets) -> float` on numpy arrays, for custom tasks; higher is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    epochs: int = setting(30, minimum=1, known_as=("num_epochs", "n_epochs", "max_epochs", "num_train_epochs"))
    """Passes over the training split."""

    batch_size: int = setting(64, minimum=1, known_as=("bs", "batchsize", "train_batch_size"))
    """Samples a step; must not be larger than the training split."""

    lr: float = setting(2e-3, above=0.0, maximum=10.0, known_as=("learning_rate", "learningrate", "max_lr"))
    """Peak learning rate."""

    optimizer: str = setting("adamw", choices=OPTIMIZERS)

    weight_decay: float = setting(0.01, minimum=0.0, maximum=1.0, known_as=("wd", "l2"))

    momentum: float = setting(0.9, minimum=0.0, maximum=1.0)
    """Of `sgd` only."""

    schedule: str = setting("cosine", choices=SCHEDULES, known_as=("scheduler", "lr_scheduler"))
    """How the learning rate falls after the warm-up: to 0 by `cosine` or `linear`, or not at all."""

    warmup: float = setting(0.05, minimum=0.0, maximum=1.0)
    """Share of all steps over which the learning rate rises, as a fraction of 1."""

    clip_norm: float = setting(0.0, minimum=0.0, known_as=("gradient_clip_val", "max_grad_norm", "grad_clip"))
    """Largest norm of the gradients; 0 does not clip."""

    accumulate: int = setting(
        1, minimum=1, known_as=("accumulate_grad_batches", "gradient_accumulation_steps", "grad_accum")
    )
    """Batches whose gradients are added up before a step."""

    patience: int = setting(0, minimum=0, known_as=("early_stopping", "early_stopping_patience"))
    """Epochs without a better validation loss before training stops early; 0 never stops early."""

    max_time_s: float = setting(0.0, minimum=0.0, known_as=("max_time",))
    """Seconds of training after which no further epoch begins; 0 has no limit."""

    seed: int = setting(0, minimum=0, maximum=2**63 - 1, known_as=("random_seed", "random_state", "manual_seed"))
    """Of the weights and the order of samples."""

    precision: str = setting("fp32", choices=PRECISIONS, known_as=("dtype", "mixed_precision", "amp"))
    """`bf16` trains in bfloat16 with channels-last pictures; `auto` times both for a moment and takes the faster."""

    device: str = setting("auto", choices=DEVICES, known_as=("accelerator", "gpu", "gpus"))
    """`auto` is `cuda` where there is a GPU, else `cpu`."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads of each process; by default 1 for small networks, where more are slower, else all cores."""

    processes: int = setting(
        1, minimum=1, maximum=1024, shapes=False, known_as=("nproc_per_node", "num_processes", "world_size", "devices")
    )
    """Processes that share each batch, on as many GPUs or on the cores of this machine."""

    checkpoint_every_s: float = setting(30.0, minimum=0.0, shapes=False)
    """Seconds between checkpoints within an epoch; the end of an epoch writes one too, at most once a second."""

    wandb_project: str | None = setting(None, shapes=False)
    """Weights & Biases project to log to, beside the local history that is always written."""

    wandb_mode: str = setting("auto", choices=TRACKER_MODES, shapes=False)
    """`auto` is online where a key is found and the server answers, else offline."""
