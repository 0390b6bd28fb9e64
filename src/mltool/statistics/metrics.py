"""Metrics of a task, from plain arrays."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.calibration import RANGE_TOLERANCE, expected_calibration_error

# Axes: N samples, C classes

MAIN_METRIC = MappingProxyType({"classification": "accuracy", "regression": "r2"})
"""The metric that decides, by task."""
LOWER_IS_BETTER = frozenset({"log_loss", "calibration_error", "mae", "rmse"})
"""Of all others, a higher value is better."""


class ClassificationRows(NamedTuple):
    """All that the classification metrics need of each sample [N], whatever the number of classes."""

    target: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """Probability of the predicted class."""
    loss: NDArray[np.float64]
    """Negative logarithm of the probability of the true class."""


def classification_rows(probabilities_NC: NDArray[Any], target_N: NDArray[Any]) -> ClassificationRows:
    """Check the arrays and reduce them to a few numbers for each sample.

    Probabilities are clipped at the epsilon of their dtype before the logarithm, so that a zero costs a finite
    amount. Rows need not sum to 1: those of an int8 runtime do not.

    Raises:
        ValueError: There are no samples, shapes do not fit, a probability is outside `[0, 1]` or NaN, or a target is
            not an integer in `[0, C)`.
    """
    probabilities_NC, target_N = np.asarray(probabilities_NC), np.asarray(target_N)
    if probabilities_NC.ndim != 2 or target_N.shape != probabilities_NC.shape[:1]:
        raise ValueError(
            f"probabilities are {probabilities_NC.shape} and targets {target_N.shape}, but must be [N, C] and [N]"
        )
    if probabilities_NC.size == 0:
        raise ValueError(f"metrics need at least one sample and one class, got {probabilities_NC.shape}")
    low, high = float(probabilities_NC.min()), float(probabilities_NC.max())
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # NaN fails too
        raise ValueError(f"probabilities span `{low}` to `{high}`, but must be in [0, 1]; are they logits?")
    target_N = _class_indices(target_N, probabilities_NC.shape[1], "target")
    dtype = probabilities_NC.dtype if probabilities_NC.dtype.kind == "f" else np.dtype(np.float64)
    predicted_N = probabilities_NC.argmax(axis=1)
    index_N = np.arange(len(target_N))
    of_target_N = probabilities_NC[index_N, target_N].astype(np.float64)
    of_predicted_N = probabilities_NC[index_N, predicted_N].astype(np.float64)
    return ClassificationRows(
        target=target_N,
        predicted=predicted_N.astype(np.int64),
        confidence=np.clip(of_predicted_N, 0.0, 1.0),
        loss=-np.log(np.clip(of_target_N, float(np.finfo(dtype).eps), 1.0)),
    )


def metrics_of_rows(
    target_N: NDArray[np.int64],
    predicted_N: NDArray[np.int64],
    confidence_N: NDArray[np.float64],
    loss_N: NDArray[np.float64],
) -> dict[str, float]:
    """`classification_metrics` from the fields of `classification_rows`."""
    correct_N = target_N == predicted_N
    num_classes = int(max(target_N.max(), predicted_N.max())) + 1
    hits_C = np.bincount(target_N[correct_N], minlength=num_classes)
    # 2 tp / (2 tp + fp + fn): targets and predictions of a class, counted together, are the denominator.
    seen_C = np.bincount(target_N, minlength=num_classes) + np.bincount(predicted_N, minlength=num_classes)
    f1 = 2 * hits_C[seen_C > 0] / seen_C[seen_C > 0]
    return {
        "accuracy": float(correct_N.mean()),
        "f1_macro": float(f1.mean()),
        "log_loss": float(loss_N.mean()),
        "calibration_error": expected_calibration_error(confidence_N, correct_N),
    }


def classification_metrics(probabilities_NC: NDArray[Any], target_N: NDArray[Any]) -> dict[str, float]:
    """`accuracy`, `f1_macro`, `log_loss` (nats) and `calibration_error` (15 bins).

    `f1_macro` is the plain mean over the classes that occur as a target or as a prediction; a class that is never
    hit counts as 0.

    Raises:
        ValueError: As `classification_rows`.
    """
    return metrics_of_rows(*classification_rows(probabilities_NC, target_N))


def regression_metrics(prediction_N: NDArray[Any], target_N: NDArray[Any]) -> dict[str, float]:
    """`r2`, and `mae` and `rmse` in the unit of the target.

    With a constant target `r2` has no meaning: it is then 1 if every prediction is exact and 0 otherwise, never NaN.

    Raises:
        ValueError: There are no samples, the shapes are not both [N], or a value is not finite.
    """
    prediction_N, target_N = np.asarray(prediction_N, np.float64), np.asarray(target_N, np.float64)
    if prediction_N.ndim != 1 or prediction_N.shape != target_N.shape:
        raise ValueError(f"predictions are {prediction_N.shape} and targets {target_N.shape}, but both must be [N]")
    if len(target_N) == 0:
        raise ValueError("metrics need at least one sample")
    for name, values_N in (("predictions", prediction_N), ("targets", target_N)):
        if num_bad := int((~np.isfinite(values_N)).sum()):
            raise ValueError(f"{num_bad} of {len(values_N)} {name} are not finite")
    # In units of the largest value, squares neither overflow nor vanish.
    scale = float(max(np.abs(target_N).max(), np.abs(prediction_N).max())) or 1.0
    target_N = target_N / scale
    error_N = prediction_N / scale - target_N
    squared_error, variance = float(np.mean(error_N**2)), float(target_N.var())
    # Compared as well: the computed variance of a constant may be a rounding error away from zero.
    if variance == 0.0 or target_N.min() == target_N.max():
        r2 = 0.0 if error_N.any() else 1.0
    else:
        r2 = 1.0 - squared_error / variance
    return {"r2": r2, "mae": float(np.abs(error_N).mean()) * scale, "rmse": squared_error**0.5 * scale}


def confusion_matrix(target_N: NDArray[Any], predicted_N: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Counts [C, C]: row is the target, column the prediction.

    Raises:
        ValueError: The lengths differ, or an index is not an integer in `[0, num_classes)`.
    """
    target_N, predicted_N = np.asarray(target_N), np.asarray(predicted_N)
    if target_N.ndim != 1 or target_N.shape != predicted_N.shape:
        raise ValueError(f"targets are {target_N.shape} and predictions {predicted_N.shape}, but both must be [N]")
    target_N = _class_indices(target_N, num_classes, "target")
    predicted_N = _class_indices(predicted_N, num_classes, "prediction")
    counts = np.bincount(target_N * num_classes + predicted_N, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def _class_indices(index_N: NDArray[Any], num_classes: int, what: str) -> NDArray[np.int64]:
    if len(index_N) == 0:
        return np.zeros(0, np.int64)
    if index_N.dtype.kind not in "biu":
        raise ValueError(f"each {what} must be an integer class index, got dtype `{index_N.dtype}`")
    if index_N.min() < 0 or index_N.max() >= num_classes:
        bad = index_N.min() if index_N.min() < 0 else index_N.max()
        raise ValueError(f"{what} `{bad}` is outside the {num_classes} classes 0 to {num_classes - 1}")
    return index_N.astype(np.int64)
