"""Small runs of the loop: a few hundred samples, networks with everything that makes a resume hard."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling.config import TaskConfig, TrainConfig
from mltool.modeling.network import answer_of
from mltool.modeling.tasks.task import Task, make_task
from mltool.modeling.training.feed import Feed, MemoryFeed
from mltool.modeling.training.loop import Fit
from mltool.modeling.training.speed import as_channels_last

# Axes: N samples, F features

NUM_CLASSES = 3


def plain(num_features: int = 13) -> nn.Module:
    """No batch norm and no dropout: the result depends on the samples of a step only."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(num_features, 16), nn.Tanh(), nn.Linear(16, NUM_CLASSES))


def mlp(num_features: int = 13) -> nn.Module:
    """Widths and a batch whose bytes are no multiple of anything, with batch norm and dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(num_features, 37),
        nn.BatchNorm1d(37),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(37, 37),
        nn.ReLU(),
        nn.Linear(37, NUM_CLASSES),
    )


def cnn(size: int = 6) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 9, 3, padding=1),
        nn.BatchNorm2d(9),
        nn.ReLU(),
        nn.Conv2d(9, 17, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(17 * (size - 2) ** 2, NUM_CLASSES),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (plain, (13,)),
    "mlp": (mlp, (13,)),
    "cnn": (cnn, (1, 6, 6)),
}


def class_feed(num_rows: int, shape: tuple[int, ...], *, seed: int, learnable: bool = True) -> MemoryFeed:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num_rows, *shape, generator=generator)
    noise_N = torch.randint(0, NUM_CLASSES, (num_rows,), generator=generator)
    means_N = inputs.flatten(1)[:, :3].sum(1)
    return MemoryFeed([inputs], torch.bucketize(means_N, torch.tensor([-0.8, 0.8])) if learnable else noise_N)


def schema_of_shape(shape: tuple[int, ...]) -> Schema:
    return Schema(
        columns=(Column("x", "tensor"),),
        inputs=(TensorSpec("x", "float32", shape),),
        target=Target("y", "class", tuple("abc")),
    )


def task_for(network: nn.Module, feed: Feed) -> Task:
    inputs, _ = feed.gather(torch.arange(min(8, len(feed))).numpy())
    return make_task(TaskConfig(), schema_of_shape(tuple(inputs[0].shape[1:])), answer_of(network, inputs))


def make_fit(
    folder: Path,
    network: str | nn.Module = "plain",
    *,
    num_rows: int = 231,
    num_validation: int = 40,
    learnable: bool = True,
    bf16: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] = lambda metrics: None,
    **config: Any,
) -> Fit:
    """A run of 2 epochs in batches of 17 unless `config` says otherwise; call it again for the same run anew."""
    shape: tuple[int, ...] = (13,)
    if isinstance(network, str):
        build, shape = NETWORKS[network]
        network = build()
    network = as_channels_last(network) if bf16 else network
    train = class_feed(num_rows, shape, seed=1, learnable=learnable)
    validation = class_feed(num_validation, shape, seed=2, learnable=learnable)
    task = task_for(network, train)
    knobs = TrainConfig(**{"epochs": 2, "batch_size": 17, **config})
    folder.mkdir(parents=True, exist_ok=True)
    return Fit(network, task, train, validation, knobs, folder, on_epoch=on_epoch, bf16=bf16)


def weights_digest(network: nn.Module) -> str:
    """Of every bit of every weight and buffer."""
    total = hashlib.sha256()
    for name, value in network.state_dict().items():
        total.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return total.hexdigest()


def copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


@contextmanager
def batch_hook(network: nn.Module, call: Callable[[int], None]) -> Iterator[None]:
    """Call `call(number)` before each training batch, counted from 1."""
    count = 0

    def before(module: nn.Module, inputs: Any) -> None:
        nonlocal count
        if module.training:
            count += 1
            call(count)

    handle = network.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def interrupted(fit: Fit, at_batch: int, *, resume: bool = False) -> None:
    """Run until Ctrl-C is pressed in the middle of a batch."""
    with batch_hook(fit.network, lambda number: signal.raise_signal(signal.SIGINT) if number == at_batch else None):
        try:
            fit.run(resume=resume)
        except KeyboardInterrupt:
            return
    raise AssertionError(f"the run ended before batch {at_batch}")
