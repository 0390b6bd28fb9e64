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
from mltool.core.config.load import expand
from mltool.core.errors import ArtifactError, DataError
from mltool.runtimes.evaluation import answers, dataset_of
from mltool.runtimes.measure import has_metrics, intervals_of, is_finite, metrics_of, task_of
from mltool.runtimes.runner import Runner, load
from mltool.runtimes.samples import SAMPLES, Samples
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
    """Run the model over a split and measure it; one that was saved from a script has only the samples it carries.

    Raises:
        ArtifactError: The dataset is not in this store.
        DataError: The split has no rows, or the answers are not finite.
    """
    runner = load(model, None if job.backend == "auto" else job.backend, job.threads)
    if not any(parent.kind is ArtifactKind.dataset for parent in model.manifest.parents):
        split, outputs, target_N = _on_samples(model, runner)
    else:
        split, columns = job.split, dataset_of(model, store).split(job.split)
        if not len(columns):
            raise DataError(
                f"the dataset of `{model.label}` has no rows in its split `{split}`",
                hint="measure another, such as `split=validation`",
            )
        outputs = answers(runner, columns, job.batch_size, f"evaluate {model.label}")
        target_N = np.asarray(columns.target)
    metrics, intervals = _measured(model, outputs, target_N, job, store)
    return Evaluation(model.label, split, len(target_N), metrics, intervals, job.confidence)


def _on_samples(model: Artifact, runner: Runner) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
    samples = Samples.load(model.path / SAMPLES)
    if samples.target is None:
        raise ArtifactError(
            f"`{model.label}` was made without a dataset, and of samples without labels",
            hint="give labels: `mltool.save(module, inputs, labels)`, or `data.source=` when importing",
        )
    events.info(f"`{model.label}` was made without a dataset: measured on the samples that it carries")
    return "samples", runner.run(samples.inputs), samples.target


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

        return task_metrics("custom", outputs, target_N, import_object(expand(path), "task.metric")), {}
    task = task_of(model)
    if not has_metrics(task):
        raise DataError(
            f"`{model.label}` has a custom task without a metric",
            hint="train it with `task.metric=package.module:function`",
        )
    return metrics_of(task, outputs, target_N), intervals_of(task, outputs, target_N, job.confidence)
