"""Trains one trial after another, in this process."""

from __future__ import annotations

import contextvars
import math
import re
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mltool.artifacts import digest
from mltool.artifacts.store import Store
from mltool.core import events, host
from mltool.core.errors import ConfigError, MltoolError
from mltool.datasets.dataset import Dataset
from mltool.integrations import lightning
from mltool.modeling.network import answer_of
from mltool.modeling.sources.open import open_dataset
from mltool.modeling.training.setup import Prepared, SetUp, prepare, scales_target, set_up
from mltool.modeling.training.speed import num_threads
from mltool.modeling.training.stopping import stop_on_interrupt
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.journal import Journal, Running
from mltool.stages.tune.point import at
from mltool.stages.tune.trial import Metric
from mltool.statistics.metrics import LOWER_IS_BETTER

_LOSS = "validation_loss"
_OF_CHECKPOINTS = re.compile(r"; (no checkpoint was|the last good checkpoint is) .*$")
"""What a training that diverged says of itself, and no trial has."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is told of the trials.

    Attributes:
        on_step: Called with what a trial is at.
        on_end: Called when a trial is over.
    """

    on_step: Callable[[str], object]
    on_end: Callable[[], object]


class Data:
    """The dataset of the config, prepared once for all trials that read it in the same way."""

    def __init__(self, job: TuneJob, dataset: Dataset, store: Store) -> None:
        self.dataset, self._store = dataset, store
        self._own = digest.of_json(asdict(job.data))
        self._key: tuple[str, bool] | None = None
        self._prepared: Prepared | None = None

    def for_(self, job: TuneJob) -> Prepared:
        key = digest.of_json(asdict(job.data)), scales_target(job.model, job.task)
        if self._prepared is None or self._key != key:
            self._prepared = None  # one at a time is held in memory
            dataset = self.dataset if key[0] == self._own else open_dataset(job.data, self._store)
            self._prepared, self._key = prepare(dataset, scale_target=key[1]), key
        return self._prepared


def metric_of(job: TuneJob, data: Data, written: Collection[str]) -> Metric:
    """The metric that trials are judged by, after a network was built and asked once.

    Args:
        written: The keys that somebody wrote, or that are searched.

    Raises:
        ConfigError: There is no such metric or no validation split, the network does not fit the data, or a key has no
            effect on it.
        UserCodeError: The user's network or metric raises.
    """
    prepared = data.for_(job)
    if not len(prepared.validation):
        raise ConfigError(
            "a search needs a validation split to judge by, but this data has none",
            hint="give `data.validation_fraction=0.15`",
        )
    with events.collected():
        ready = set_up(job.model, job.task, job.train, prepared)
    if lightning.trains(ready.network):
        _check_lightning(ready.network, job, written)
    wanted = job.tune.metric if job.tune.metric != "auto" else ready.task.main_metric
    if wanted == "loss":
        return Metric(_LOSS, minimize=True)
    names = _metric_names(ready, prepared)
    if wanted not in names:
        known = ", ".join(f"`{name}`" for name in (*names, "loss"))
        raise ConfigError(f"`tune.metric={wanted}` is no metric of this task", hint=f"known are {known}")
    return Metric(f"validation_{wanted}", minimize=wanted in LOWER_IS_BETTER)


def _check_lightning(network: nn.Module, job: TuneJob, written: Collection[str]) -> None:
    if not job.tune.space:
        raise ConfigError(
            f"`{type(network).__name__}` decides about its own training, so the default space has no effect on it",
            hint="say what to search, such as `space.model.args.lr=1e-4..1e-1:log`",
        )
    lightning.check(network, job.train, written)


def _metric_names(ready: SetUp, prepared: Prepared) -> list[str]:
    inputs, target_N = prepared.validation.gather(np.arange(min(64, len(prepared.validation))))
    with torch.no_grad():
        outputs = ready.task.head(prepared.scale)(answer_of(ready.network, inputs))
    measured = ready.task.metrics({name: value.numpy() for name, value in outputs.items()}, target_N.numpy())
    return [name for name in measured if name != "log_loss"]  # it is the loss once more


class Search:
    """Runs trials of a study until it has all of them."""

    def __init__(self, job: TuneJob, data: Data, metric: Metric, journal: Journal, store: Store) -> None:
        self.job, self.data, self.metric, self.journal, self.store = job, data, metric, journal, store

    def run(self, num_trials: int, deadline: float, watch: Watch) -> None:
        """Run trials until there are `num_trials`, or until a time of `time.monotonic`.

        Raises:
            KeyboardInterrupt: Somebody stopped it; the trial that was running is tried again later.
        """
        with stop_on_interrupt() as stop:  # what is written into the journal is not cut in half
            while time.monotonic() < deadline and (trial := self.journal.next(num_trials)) is not None:
                if not trial.repeat():
                    self._train(trial, watch)
                watch.on_end()
                if stop.is_set():
                    raise KeyboardInterrupt

    def _train(self, trial: Running, watch: Watch) -> None:
        job = at(self.job, trial.point)
        outside = contextvars.copy_context()  # where what is said is heard
        kept: dict[str, float] = {}

        def on_epoch(row: dict[str, Any]) -> None:
            outside.run(watch.on_step, f"trial {trial.number}, epoch {row['epoch']}/{job.train.epochs}")
            if not kept or row[_LOSS] < kept["loss"]:
                kept.update(loss=row[_LOSS], value=row[self.metric.key])
            if not math.isfinite(kept["value"]):
                raise MltoolError(f"{self.metric.in_words} became {kept['value']} in epoch {row['epoch']}")
            goes_on = trial.report(kept["value"], row["epoch"])
            if not goes_on and row["epoch"] < job.train.epochs:  # at its end it is complete
                raise _PrunedError("worse than most at its epoch")

        try:
            with events.collected(), self.store.scratch() as folder:
                prepared = self.data.for_(job)
                ready = set_up(job.model, job.task, job.train, prepared)
                fit = ready.fit(prepared, job.train, folder, on_epoch)
                with num_threads(self._threads(ready.threads)):
                    if lightning.trains(ready.network):
                        lightning.fit(fit, resume=False)
                    else:
                        fit.run()
        except _PrunedError:
            trial.pruned()
        except MltoolError as error:
            trial.failed(_OF_CHECKPOINTS.sub("", error.message))
        except (MemoryError, torch.OutOfMemoryError):
            trial.failed("there is not enough memory")
        else:
            trial.complete(kept["value"], kept["loss"])

    def _threads(self, wanted: int) -> int:
        """No more than the share of this process, unless they were asked for."""
        share = max(1, host.num_cores() // self.job.tune.processes)
        return wanted if self.job.train.threads else min(wanted, share)


class _PrunedError(MltoolError):
    """The trial is not worth its time; as one of ours, it passes through whatever runs code of the user."""
