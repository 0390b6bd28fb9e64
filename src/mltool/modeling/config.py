"""The knobs of the `model` and `task` sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mltool.core.config.fields import setting
from mltool.core.registry import Family

networks: Family[Any] = Family("network", "mltool.modeling.networks", "build")
TASKS = ("auto", "classification", "regression", "custom")
LOSSES = ("auto", "cross_entropy", "nll", "mse", "l1", "huber")


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
