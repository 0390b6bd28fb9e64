"""The metrics that a graph's outputs have against the targets, by task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.statistics.intervals import metric_intervals
from mltool.statistics.metrics import MAIN_METRIC, classification_metrics, regression_metrics

# Axes: N samples

Outputs = Mapping[str, npt.NDArray[Any]]
_MEASURES: Mapping[str, tuple[str, Callable[..., dict[str, float]]]] = {
    "classification": ("probabilities", classification_metrics),
    "regression": ("prediction", regression_metrics),
}
"""The output that is measured, and how; a custom task has only the metric of its user."""


def task_of(model: Artifact) -> str:
    """`classification`, `regression` or `custom`: outputs of a custom task may have the names of the others'."""
    return str(model.config.get("rebuild", {}).get("task", "custom"))


def has_metrics(task: str) -> bool:
    return task in _MEASURES


def is_finite(outputs: Outputs) -> bool:
    """Whether no answer is NaN or infinite; only then can it be measured."""
    return all(bool(np.isfinite(array).all()) for array in outputs.values())


def main_metric(task: str) -> str:
    """The metric that decides; `has_metrics` must hold."""
    return MAIN_METRIC[task]


def metrics_of(task: str, outputs: Outputs, target_N: npt.NDArray[Any]) -> dict[str, float]:
    """Every metric of the task; none for a custom one."""
    if task not in _MEASURES:
        return {}
    name, measure = _MEASURES[task]
    return measure(outputs[name], target_N)


def intervals_of(
    task: str, outputs: Outputs, target_N: npt.NDArray[Any], level: float
) -> dict[str, tuple[float, float]]:
    """A confidence interval for each of `metrics_of`."""
    if task not in _MEASURES:
        return {}
    name, measure = _MEASURES[task]
    return metric_intervals(measure, np.asarray(outputs[name]), target_N, level=level)
