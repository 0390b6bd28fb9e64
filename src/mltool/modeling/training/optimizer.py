"""Optimizers by name, in their fused form where the device has one."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mltool.core.errors import ConfigError


def make_optimizer(network: nn.Module, name: str, *, lr: float, weight_decay: float, momentum: float) -> Optimizer:
    """Build the optimizer of all trainable weights; biases and norms (one axis) are not decayed.

    Raises:
        ConfigError: The network has no trainable weights.
    """
    weights = [p for p in network.parameters() if p.requires_grad]
    if not weights:
        raise ConfigError("the network has no trainable weights", hint="leave `requires_grad` on for some of them")
    groups = [
        {"params": [p for p in weights if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda", "mps") and p.dtype == torch.float32 for p in weights)
    if name == "sgd":
        return SGD(groups, lr=lr, momentum=momentum, fused=fused)
    return (AdamW if name == "adamw" else Adam)(groups, lr=lr, fused=fused)
