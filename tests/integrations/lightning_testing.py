"""Small LightningModules, of both names of the library, and runs of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mltool.core import events
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling.config import TaskConfig, TrainConfig
from mltool.modeling.tasks.task import make_task
from mltool.modeling.training.feed import MemoryFeed
from mltool.modeling.training.loop import Fit

# Axes: N samples, F features, C classes

NUM_FEATURES, NUM_CLASSES = 7, 3


def module(package: str = "lightning.pytorch", **methods: Callable[..., Any]) -> Any:
    """A module with dropout and a learning rate that falls; `methods` replace its own."""

    class LitNet(importlib.import_module(package).LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Linear(NUM_FEATURES, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, NUM_CLASSES)
            )
            self.batches: list[Any] = []

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.batches.append(batch)
            inputs, target_N = batch
            return F.cross_entropy(self(inputs), target_N)

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), lr=0.02)
            return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)]

    for name, method in methods.items():
        setattr(LitNet, name, method)
    return LitNet()


def feed(num_rows: int, seed: int) -> MemoryFeed:
    inputs = torch.randn(num_rows, NUM_FEATURES, generator=torch.Generator().manual_seed(seed))
    return MemoryFeed([inputs], torch.bucketize(inputs[:, :3].sum(1), torch.tensor([-0.8, 0.8])))


def fit_of(folder: Path, network: Any, *, num_validation: int = 40, **config: Any) -> Fit:
    """3 epochs of 121 samples in batches of 20, of which the last has one and is left out."""
    schema = Schema(
        (Column("x", "tensor"),), (TensorSpec("x", "float32", (NUM_FEATURES,)),), Target("y", "class", tuple("abc"))
    )
    train = feed(121, 1)
    task = make_task(TaskConfig(), schema, torch.zeros(2, NUM_CLASSES) + torch.tensor([1.0, -2.0, 3.0]))
    folder.mkdir(exist_ok=True)
    knobs = TrainConfig(**{"epochs": 3, "batch_size": 20, **config})
    return Fit(network, task, train, feed(num_validation, 2), knobs, folder)


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


def weights(network: nn.Module) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in network.state_dict().items()}


class Heard:
    """The events of a block."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progress: list[events.Progress] = []

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Message):
            self.said.append(event.text)
        else:
            self.progress.append(event)
