"""What damage costs: the metric of the task where there are labels, else how many answers stay as they were."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import expand
from mltool.core.errors import DataError
from mltool.runtimes.measure import has_metrics, main_metric, metrics_of, task_of
from mltool.statistics.intervals import metric_intervals, paired_interval

# Axes: N samples, C classes

Outputs = Mapping[str, npt.NDArray[Any]]
Interval = tuple[float, float]
AGREEMENT = "agreement"
"""The metric without labels: the share of answers that stay, or what is left of the variance of numbers."""
_LEVEL = 0.95
_HUGE = 1e30
"""What stands for an infinite answer, so that it counts as very wrong."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What damage costs; always finite.

    Attributes:
        value: What is left of the metric.
        lost: What is gone of it.
        interval: Where `lost` may lie, at the level of 95%.
        is_number: Whether the metric answered a finite number; if not, all of it counts as lost.
    """

    value: float
    lost: float
    interval: Interval | None
    is_number: bool = True


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Measures outputs for the same samples.

    Attributes:
        metric: Its name; higher is better.
        clean: Its value for samples without damage.
    """

    metric: str
    clean: float
    measure: Callable[[Outputs], float]
    interval: Callable[[Outputs], Interval | None]

    def cost(self, outputs: Outputs) -> Cost:
        value = self.measure(outputs)
        if math.isfinite(value):
            return Cost(value, self.clean - value, self.interval(outputs))
        # Of a metric below 0, such as a negated error, nothing is left at no value: at least 1 is lost.
        lost = self.clean if self.clean > 0 else max(1.0, -self.clean)
        return Cost(self.clean - lost, lost, None, is_number=False)


def yardstick_for(
    model: Artifact, store: Store, clean: Outputs, target_N: npt.NDArray[Any] | None, seed: int
) -> Yardstick:
    """How to measure a model, given what it answers to samples without damage.

    Raises:
        DataError: The user's own metric is no number for them.
    """
    task = task_of(model)
    if task == "classification" and "probabilities" in clean:
        truth_N = _classes(clean) if target_N is None else np.asarray(target_N)
        return _classification(clean, truth_N, AGREEMENT if target_N is None else main_metric(task))
    if has_metrics(task):
        truth_N = clean["prediction"] if target_N is None else np.asarray(target_N)
        return _regression(clean, truth_N, AGREEMENT if target_N is None else main_metric(task), seed)
    metric = _own_metric(model, store) if target_N is not None else None
    if metric is None or target_N is None:
        return Yardstick(AGREEMENT, 1.0, lambda outputs: agreement(clean, outputs), lambda outputs: None)
    return _custom(clean, np.asarray(target_N), metric)


def _classification(clean: Outputs, truth_N: npt.NDArray[Any], name: str) -> Yardstick:
    before_N = _classes(clean) == truth_N

    def measure(outputs: Outputs) -> float:
        return float((_classes(outputs) == truth_N).mean())

    def interval(outputs: Outputs) -> Interval:
        return paired_interval(before_N, _classes(outputs) == truth_N, _LEVEL)

    return Yardstick(name, float(before_N.mean()), measure, interval)


def _classes(outputs: Outputs) -> npt.NDArray[np.int64]:
    """The predicted class; -1, which is never right, where an answer is no number."""
    probabilities_NC = outputs["probabilities"]
    classes_N: npt.NDArray[np.int64] = probabilities_NC.argmax(axis=1)
    return np.where(np.isfinite(probabilities_NC).all(axis=1), classes_N, -1)


def _regression(clean: Outputs, truth_N: npt.NDArray[Any], name: str, seed: int) -> Yardstick:
    key = main_metric("regression")

    def measure(outputs: Outputs) -> float:
        return metrics_of("regression", {"prediction": _numbers(outputs["prediction"])}, truth_N)[key]

    def both(before_N: npt.NDArray[Any], after_N: npt.NDArray[Any], some_N: npt.NDArray[Any]) -> dict[str, float]:
        values = [metrics_of("regression", {"prediction": one}, some_N)[key] for one in (before_N, after_N)]
        return {"lost": values[0] - values[1]}

    def interval(outputs: Outputs) -> Interval:
        predictions = (_numbers(clean["prediction"]), _numbers(outputs["prediction"]))
        return metric_intervals(both, *predictions, truth_N, level=_LEVEL, seed=seed)["lost"]

    return Yardstick(name, measure(clean), measure, interval)


def _numbers(values_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.nan_to_num(values_N.astype(np.float64), nan=_HUGE, posinf=_HUGE, neginf=-_HUGE)


def _custom(clean: Outputs, target_N: npt.NDArray[Any], metric: Callable[..., Any]) -> Yardstick:
    from mltool.modeling.tasks.task import task_metrics  # the user's own code, which may need torch

    def measure(outputs: Outputs) -> float:
        return task_metrics("custom", outputs, target_N, metric)["metric"]

    value = measure(clean)
    if not math.isfinite(value):
        raise DataError(
            f"`task.metric` is `{value}` for data without any damage", hint="mend the metric, or give other rows"
        )
    return Yardstick("metric", value, measure, lambda outputs: None)


def _own_metric(model: Artifact, store: Store) -> Callable[..., Any] | None:
    path = model.config.get("task", {}).get("metric")
    if path is None:
        return None
    if not store.holds(model):
        events.info(f"`{model.path}` is not in this project's store, so the metric that it names is not run")
        return None
    from mltool.modeling.user_code import import_object

    metric: Callable[..., Any] = import_object(expand(path), "task.metric")
    return metric


def agreement(before: Outputs, after: Outputs) -> float:
    """How far outputs of any kind are the same: 1 if they are, 0 or less if nothing of their variance is left.

    The mean over all outputs: the share of equal values of whole numbers, and R² of the others.
    """
    shares = []
    for name, expected in before.items():
        actual = after[name]
        if not np.issubdtype(expected.dtype, np.floating):
            shares.append(float(np.mean(actual == expected)))
            continue
        expected, actual = _numbers(expected), _numbers(actual)
        error, variance = float(np.mean((actual - expected) ** 2)), float(expected.var())
        shares.append(1 - error / variance if variance > 0 else float(error == 0))
    return float(np.mean(shares)) if shares else 1.0
