"""From a config and a dataset to a network and to samples that it can be trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mltool.core import events
from mltool.datasets.columns import Columns
from mltool.datasets.dataset import Dataset
from mltool.datasets.schema import Schema
from mltool.modeling import preprocess as preprocessing
from mltool.modeling.config import ModelConfig, TaskConfig, TrainConfig
from mltool.modeling.network import PROBE_ROWS, answer_of, input_names, make_network
from mltool.modeling.preprocess import input_words
from mltool.modeling.tasks.task import Task, check_same_output_kind, make_task
from mltool.modeling.training.feed import MEMORY_SHARE, Feed, make_feed
from mltool.modeling.training.loop import Fit, OnEpoch
from mltool.modeling.training.speed import as_channels_last, device_for, fastest_precision, threads_for


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset that is preprocessed, for any number of trainings.

    Attributes:
        modules: The fitted preprocessing of each input.
        scale: Mean and deviation of a regression's target; (0, 1) leaves targets as they are.
    """

    schema: Schema
    splits: dict[str, Columns]
    modules: list[nn.Module]
    scale: tuple[float, float]
    train: Feed
    validation: Feed

    def probe(self) -> list[Tensor]:
        """Some training samples, which tell what a network answers."""
        return self.train.gather(np.arange(min(PROBE_ROWS, len(self.train))))[0]


def prepare(dataset: Dataset, *, scale_target: bool, memory_share: float = MEMORY_SHARE) -> Prepared:
    """Fit the preprocessing on the training split, and apply it to what is trained on.

    Args:
        scale_target: As `scales_target` says.
        memory_share: As `make_feed` takes it.
    """
    schema = dataset.schema
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    modules = preprocessing.fit(schema, splits["train"])
    scale = _target_scale(schema, splits["train"]) if scale_target else (0.0, 1.0)
    train, validation = (
        make_feed(splits[name], schema, modules, scale, memory_share) for name in ("train", "validation")
    )
    return Prepared(schema, splits, modules, scale, train, validation)


def scales_target(model: ModelConfig, task: TaskConfig) -> bool:
    """Whether a number to predict is scaled: the user's own network or loss gets targets as they are."""
    return model.target is None and ":" not in task.loss


def _target_scale(schema: Schema, train: Columns) -> tuple[float, float]:
    if schema.target.kind != "number":
        return 0.0, 1.0
    target_N = np.asarray(train.target, dtype=np.float64)
    return float(target_N.mean()), float(target_N.std()) or 1.0


@dataclass(frozen=True, slots=True)
class SetUp:
    """A network before its first step, and how it is to be trained here."""

    network: nn.Module
    task: Task
    threads: int
    bf16: bool
    device: torch.device

    def fit(self, prepared: Prepared, train: TrainConfig, run_folder: Path, on_epoch: OnEpoch) -> Fit:
        """The run of the loop that trains it."""
        network, task, scale = self.network, self.task, prepared.scale
        feeds = prepared.train, prepared.validation
        return Fit(network, task, *feeds, train, run_folder, scale, on_epoch, self.bf16, self.device)


def build(model: ModelConfig, task: TaskConfig, train: TrainConfig, prepared: Prepared) -> tuple[nn.Module, Task]:
    """Build the network, and measure what it answers; the same in every process of a training.

    Raises:
        ConfigError: The network or the task does not fit the data.
        UserCodeError: The user's network raises.
    """
    network = make_network(model, prepared.schema, train.seed)
    input_names(network, prepared.schema)
    probed = prepared.probe()
    made_task = make_task(task, prepared.schema, answer_of(network, probed))
    check_same_output_kind(made_task, network, probed)
    return network, made_task


def set_up(
    model: ModelConfig,
    task: TaskConfig,
    train: TrainConfig,
    prepared: Prepared,
    remembered: Callable[[str, Callable[[], Any]], Any] = lambda name, decide: decide(),
) -> SetUp:
    """Build the network, and decide how it trains fastest.

    Args:
        remembered: Takes a decision of a name, or has taken it before.

    Raises:
        ConfigError: The network or the task does not fit the data.
        UserCodeError: The user's network raises.
    """
    device = device_for(train.device)
    network, made_task = build(model, task, train, prepared)
    if model.target is not None:
        events.info(f"the network gets {input_words(prepared.schema)}; it answers {made_task.in_words()}")
    threads = train.threads or threads_for(network, prepared.train, train.batch_size, train.processes)
    bf16 = remembered("bf16", lambda: fastest_precision(network, made_task, prepared.train, train, threads, device))
    return SetUp(as_channels_last(network) if bf16 else network, made_task, threads, bf16, device)
