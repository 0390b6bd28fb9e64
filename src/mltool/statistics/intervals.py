"""How far a metric could be off because the sample is finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.metrics import classification_metrics, classification_rows, metrics_of_rows

# Axes: N samples

NUM_RESAMPLES = 200


def wilson_interval(num_correct: int, num_samples: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion; unlike the normal approximation it holds near 0 and 1 and for few samples.

    Raises:
        ValueError: There are no samples, `num_correct` is not in `[0, num_samples]`, or `level` not in `(0, 1)`.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    _check_level(level)
    if num_samples < 1 or not 0 <= num_correct <= num_samples:
        raise ValueError(f"`{num_correct}` of `{num_samples}` is not a proportion")
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate = num_correct / num_samples
    denominator = 1 + z**2 / num_samples
    centre = (rate + z**2 / (2 * num_samples)) / denominator
    half = z * math.sqrt(rate * (1 - rate) / num_samples + z**2 / (4 * num_samples**2)) / denominator
    # The ends are exact at 0 and 1 in theory; rounding must not push the rate out of its own interval.
    return max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate))


def paired_interval(
    before_N: NDArray[np.bool_], after_N: NDArray[np.bool_], level: float = 0.95
) -> tuple[float, float]:
    """Interval of how much a proportion fell, `mean(before) - mean(after)`, where both are of the same samples.

    Wald's interval with half a sample more in each cell, which holds for few samples, and for none that changed.

    Raises:
        ValueError: There are no samples, the lengths differ, or `level` is not in `(0, 1)`.

    Source: Agresti and Min 2005, https://doi.org/10.1002/sim.1781.
    """
    _check_level(level)
    if before_N.ndim != 1 or before_N.shape != after_N.shape or not len(before_N):
        raise ValueError(f"pairs must be [N] with N above 0, got {before_N.shape} and {after_N.shape}")
    z, num_samples = NormalDist().inv_cdf((1 + level) / 2), len(before_N)
    num_lost, num_won = int((before_N & ~after_N).sum()), int((~before_N & after_N).sum())
    fell = (num_lost - num_won) / num_samples
    n, lost, won = num_samples + 2, num_lost + 0.5, num_won + 0.5
    centre = (lost - won) / n
    half = z * math.sqrt((lost + won) / n - centre**2) / math.sqrt(n)
    return max(-1.0, min(centre - half, fell)), min(1.0, max(centre + half, fell))


def metric_intervals(
    metric_function: Callable[..., Mapping[str, float]],
    *arrays: NDArray[Any],
    level: float = 0.95,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> dict[str, tuple[float, float]]:
    """A `(low, high)` for each metric that `metric_function(*arrays)` returns.

    Percentile bootstrap over rows, except the accuracy of `classification_metrics`, which is Wilson's interval.
    Every resample draws as many rows as there are: nothing is subsampled, so time grows with rows times resamples,
    and someone with too many rows must choose some before the call. An interval is widened to hold the value itself,
    which matters for `calibration_error`: resampling adds noise, and noise only ever adds to it, so that its low end
    says nothing about whether the model is calibrated.

    Args:
        metric_function: Takes `arrays` and returns the same names every time. It must not keep its arguments.
        arrays: Axis 0 is the sample, and of equal length.
        level: Share of samples for which the interval should hold the true value.
        seed: Of the resampling; the same seed gives the same intervals.
        num_resamples: Calls of `metric_function`, less one.

    Raises:
        ValueError: There are no rows, lengths differ, or `level` or `num_resamples` is out of range.
    """
    _check_level(level)
    if num_resamples < 1:
        raise ValueError(f"`num_resamples` is `{num_resamples}`, but must be at least 1")
    lengths = [len(array) for array in arrays]
    if not lengths or len(set(lengths)) != 1 or lengths[0] == 0:
        raise ValueError(f"intervals need arrays of one length above 0, got lengths `{lengths}`")
    if metric_function is classification_metrics:
        # Four numbers a row say all: resampling them costs the same for 2 classes and for 1,000.
        rows = classification_rows(*arrays)
        intervals = _bootstrap(metrics_of_rows, rows, level, seed, num_resamples)
        num_correct = int((rows.target == rows.predicted).sum())
        intervals["accuracy"] = wilson_interval(num_correct, lengths[0], level)
        return intervals
    return _bootstrap(metric_function, arrays, level, seed, num_resamples)


def _bootstrap(
    metric_function: Callable[..., Mapping[str, float]],
    arrays: tuple[NDArray[Any], ...],
    level: float,
    seed: int,
    num_resamples: int,
) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(seed)
    num_rows = len(arrays[0])
    values = metric_function(*arrays)
    draws: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(num_resamples):
        index_N = rng.integers(0, num_rows, num_rows)
        for name, value in metric_function(*(array[index_N] for array in arrays)).items():
            draws[name].append(value)
    tail = (1 - level) / 2
    intervals = {}
    for name, value in values.items():
        low, high = np.quantile(draws[name], (tail, 1 - tail))
        intervals[name] = (float(min(low, value)), float(max(high, value)))
    return intervals


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"`level` is `{level}`, but must be between 0 and 1")
