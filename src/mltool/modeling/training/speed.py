"""How many threads, and in which precision, a network trains fastest here."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mltool.core import events, host
from mltool.core.errors import ConfigError
from mltool.modeling.config import TrainConfig
from mltool.modeling.tasks.task import Task
from mltool.modeling.training.feed import Feed, on_device
from mltool.modeling.user_code import user_code

_SMALL_MACS = 100e6
"""Multiplications a batch below which a second thread costs more than it brings (measured on 2 cores)."""
_WORTH_IT = 1.2
_TRIAL_STEPS = 8
_CPU = torch.device("cpu")


def device_for(wanted: str) -> torch.device:
    """The device to train on.

    Raises:
        ConfigError: It is asked for, but not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not is_there[wanted]:
        raise ConfigError(f"`train.device={wanted}`: torch {torch.__version__} finds no such device here")
    return torch.device(wanted)


def check_processes(config: TrainConfig, device: torch.device) -> None:
    """Refuse more processes than there are samples in a batch, or GPUs; more than there are cores are only slow.

    Raises:
        ConfigError: There are too many, or the device takes one only.
    """
    wanted = config.processes
    if wanted == 1:
        return
    if wanted > config.batch_size:
        raise ConfigError(
            f"`train.processes={wanted}` is more than the samples of a batch, `train.batch_size={config.batch_size}`",
            hint=f"use `processes={config.batch_size}` at most, or a larger batch",
        )
    if device.type == "mps" or not torch.distributed.is_available():
        raise ConfigError(
            f"`train.processes={wanted}` does not go with `{device.type}` and torch {torch.__version__}",
            hint="use `device=cpu`" if device.type == "mps" else "use `processes=1`",
        )
    if device.type == "cuda" and wanted > torch.cuda.device_count():
        raise ConfigError(
            f"`train.processes={wanted}`, but there are {torch.cuda.device_count()} GPUs, and each process needs one",
            hint=f"use `processes={torch.cuda.device_count()}`, or `device=cpu`",
        )
    if device.type == "cpu" and wanted > host.num_cores():
        events.warning(f"`train.processes={wanted}` share {host.num_cores()} cores, which is slower than one on each")


def threads_for(network: nn.Module, feed: Feed, batch_size: int, processes: int = 1) -> int:
    """1 for small networks, else the cores of each process.

    It is the same every time, because results depend on it in the last bits.
    """
    own = -(-batch_size // processes)
    return 1 if macs_a_sample(network, feed) * own < _SMALL_MACS else max(1, host.num_cores() // processes)


@contextmanager
def num_threads(wanted: int) -> Iterator[None]:
    """That many threads for torch until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def macs_a_sample(network: nn.Module, feed: Feed) -> float:
    """Multiply-accumulates of the linear and convolutional layers for one sample."""
    total = 0.0

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal total
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and isinstance(output, Tensor) and weight.dim() >= 2:
            total += weight.numel() * output.numel() / len(output) / weight.shape[0]

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    hooks = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, kinds)]
    was_training = network.training
    network.eval()
    try:
        inputs, _ = feed.gather(np.arange(min(2, len(feed))))
        with torch.no_grad(), user_code("the network's forward"):
            network(*inputs)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total


def fastest_precision(
    network: nn.Module, task: Task, feed: Feed, config: TrainConfig, threads: int, device: torch.device = _CPU
) -> bool:
    """Whether to train in bfloat16: as configured, or by a short trial of both on copies of the network."""
    if config.precision != "auto":
        return config.precision == "bf16"
    inputs, target_N = on_device(feed.gather(np.arange(min(config.batch_size, len(feed)))), device)
    with num_threads(threads), torch.random.fork_rng(devices=[]):
        seconds = {bf16: _seconds_a_step(network, task, inputs, target_N, bf16=bf16) for bf16 in (False, True)}
    return seconds[False] > _WORTH_IT * seconds[True]


def _seconds_a_step(network: nn.Module, task: Task, inputs: list[Tensor], target_N: Tensor, *, bf16: bool) -> float:
    trial = copy.deepcopy(network).to(target_N.device).train()
    if bf16:
        trial = as_channels_last(trial)
    steps = []
    with user_code("training"):
        for _ in range(_TRIAL_STEPS):
            started = time.perf_counter()
            with torch.autocast(target_N.device.type, dtype=torch.bfloat16, enabled=bf16):
                loss = task.loss(trial(*inputs), target_N)
            loss.backward()
            loss.detach().item()  # a GPU is asked for the value, so that it is done
            steps.append(time.perf_counter() - started)
    return min(steps)


def as_channels_last(network: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out as bfloat16 kernels want them."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
