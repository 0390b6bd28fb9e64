"""Measure a model on a split of the dataset it was made with; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import ArtifactError, DataError
from mltool.datasets.dataset import Dataset
from mltool.runtimes.measure import has_metrics, intervals_of, is_finite, metrics_of
from mltool.runtimes.runner import Whole, load
from mltool.stages.evaluate.config import EvaluateJob

# Axes: N samples


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of a model on one split, with intervals."""

    model: str
    split: str
    num_samples: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confidence: float
    """Level of the intervals, as a fraction of 1."""

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "split": self.split,
            "num_samples": self.num_samples,
            "metrics": dict(self.metrics),
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "confidence": self.confidence,
        }


def evaluate(model: Artifact, job: EvaluateJob, store: Store) -> Evaluation:
    """Run the model over a split and measure it.

    Raises:
        ArtifactError: The dataset is not in this store.
        DataError: The split has no rows, or the answers are not finite.
    """
    columns = dataset_of(model, store).split(job.split)
    if not len(columns):
        raise DataError(f"the dataset of `{model.label}` has no rows in its split `{job.split}`")
    runner = load(model, job.backend, job.threads)
    names = [spec.name for spec in runner.signature.inputs]
    outputs = Whole(len(columns))
    with events.track(f"evaluate {model.label}", len(columns), "samples") as bar:
        for inputs, target_N in columns.batches(job.batch_size):
            outputs.write(bar.done, runner.run(dict(zip(names, inputs.values(), strict=True))))
            bar.advance(len(target_N))
    metrics, intervals = _measured(model, outputs.arrays, np.asarray(columns.target), job, store)
    return Evaluation(model.label, job.split, len(columns), metrics, intervals, job.confidence)


def dataset_of(model: Artifact, store: Store) -> Dataset:
    """The dataset that a model was made with.

    Raises:
        ArtifactError: The model has none, or it is not in this store.
    """
    parent = next((parent for parent in model.manifest.parents if parent.kind is ArtifactKind.dataset), None)
    if parent is None:
        raise ArtifactError(
            f"`{model.label}` was made without a dataset", hint="give one when importing: `data.source=…`"
        )
    try:
        return Dataset(store.find(parent.digest, ArtifactKind.dataset))
    except ArtifactError as error:
        raise ArtifactError(
            f"the dataset `{parent.name or parent.digest[:12]}` of `{model.label}` is not usable: {error.message}",
            hint="make it again with `mltool data add`",
        ) from error


def _measured(
    model: Artifact, outputs: Mapping[str, np.ndarray], target_N: np.ndarray, job: EvaluateJob, store: Store
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    if not is_finite(outputs):
        raise DataError(f"`{model.label}` gives answers that are not finite, so it cannot be measured")
    path = model.config.get("task", {}).get("metric")
    if path is not None:
        if not store.holds(model):
            raise ArtifactError(
                f"`{model.path}` is not in this project's store, so the metric that it names is not run"
            )
        from mltool.modeling.tasks.task import task_metrics  # the user's own code, which may need torch
        from mltool.modeling.user_code import import_object

        return task_metrics("custom", outputs, target_N, import_object(path, "task.metric")), {}
    if not has_metrics(outputs, target_N):
        raise DataError(
            f"`{model.label}` has a custom task without a metric",
            hint="train it with `task.metric=package.module:function`",
        )
    return metrics_of(outputs, target_N), intervals_of(outputs, target_N, job.confidence)
