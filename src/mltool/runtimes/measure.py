"""The metrics that a graph's outputs have against the targets, by the names of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.statistics.intervals import metric_intervals
from mltool.statistics.metrics import MAIN_METRIC, classification_metrics, regression_metrics

# Axes: N samples

Outputs = Mapping[str, npt.NDArray[Any]]
_MEASURES: Mapping[str, tuple[str, Callable[..., dict[str, float]]]] = {
    "probabilities": ("classification", classification_metrics),
    "prediction": ("regression", regression_metrics),
}
_AXES = {"probabilities": 2, "prediction": 1}


def has_metrics(outputs: Outputs, target_N: npt.NDArray[Any]) -> bool:
    """Whether the outputs are those of a task with metrics of its own; those of a custom task may only be called so."""
    return target_N.ndim == 1 and any(name in outputs and outputs[name].ndim == _AXES[name] for name in _MEASURES)


def is_finite(outputs: Outputs) -> bool:
    """Whether no answer is NaN or infinite; only then can it be measured."""
    return all(bool(np.isfinite(array).all()) for array in outputs.values())


def main_metric(outputs: Outputs) -> str:
    """The metric that decides for these outputs; `has_metrics` must hold."""
    return MAIN_METRIC[_measure(outputs)[1]]


def metrics_of(outputs: Outputs, target_N: npt.NDArray[Any]) -> dict[str, float]:
    """Every metric of the task that the outputs belong to; none for a custom task."""
    if not has_metrics(outputs, target_N):
        return {}
    name, _, measure = _measure(outputs)
    return measure(outputs[name], target_N)


def intervals_of(outputs: Outputs, target_N: npt.NDArray[Any], level: float) -> dict[str, tuple[float, float]]:
    """A confidence interval for each of `metrics_of`."""
    if not has_metrics(outputs, target_N):
        return {}
    name, _, measure = _measure(outputs)
    return metric_intervals(measure, np.asarray(outputs[name]), target_N, level=level)


def _measure(outputs: Outputs) -> tuple[str, str, Callable[..., dict[str, float]]]:
    name = next(name for name in _MEASURES if name in outputs and outputs[name].ndim == _AXES[name])
    task, measure = _MEASURES[name]
    return name, task, measure
