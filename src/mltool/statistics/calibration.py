"""How far a classifier's confidence is from how often it is right."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

# Axes: N samples

NUM_BINS = 15
"""Equal-width bins over confidence, as in Guo et al. 2017."""

RANGE_TOLERANCE = 1e-3
"""How far below 0 or above 1 a probability may lie: room for float16 and int8 runtimes, none for logits."""


class ReliabilityBin(TypedDict):
    """The samples whose confidence is in `(low, high]`; the first bin holds 0 as well."""

    low: float
    high: float
    confidence: float
    """Mean confidence of the bin's samples."""
    accuracy: float
    num_samples: int


def reliability_curve(
    confidence_N: NDArray[Any], correct_N: NDArray[Any], num_bins: int = NUM_BINS
) -> list[ReliabilityBin]:
    """Accuracy against confidence, one entry for each bin that has samples, in rising order.

    Args:
        confidence_N: Probability given to the predicted class.
        correct_N: Whether the prediction was right, as booleans or as 0 and 1.
        num_bins: Equal-width bins over `[0, 1]`, empty ones included.

    Raises:
        ValueError: There are no samples, the lengths differ, a value is out of range, or `num_bins` is below 1.
    """
    if num_bins < 1:
        raise ValueError(f"`num_bins` is `{num_bins}`, but must be at least 1")
    confidence, correct = _checked(confidence_N, correct_N)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    bin_N = np.searchsorted(edges[1:-1], confidence, side="left")
    counts = np.bincount(bin_N, minlength=num_bins)
    confidence_sums = np.bincount(bin_N, weights=confidence, minlength=num_bins)
    correct_sums = np.bincount(bin_N, weights=correct, minlength=num_bins)
    return [
        ReliabilityBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            confidence=float(confidence_sums[index] / counts[index]),
            accuracy=float(correct_sums[index] / counts[index]),
            num_samples=int(counts[index]),
        )
        for index in np.flatnonzero(counts)
    ]


def expected_calibration_error(confidence_N: NDArray[Any], correct_N: NDArray[Any], num_bins: int = NUM_BINS) -> float:
    """Mean gap between confidence and accuracy, weighted by bin size; 0 is perfect, 1 is worst.

    The estimate is biased upwards when bins hold few samples: a perfect model scores above 0.

    Raises:
        ValueError: As `reliability_curve`.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 2.
    """
    bins = reliability_curve(confidence_N, correct_N, num_bins)
    num_samples = sum(entry["num_samples"] for entry in bins)
    gaps = (abs(entry["accuracy"] - entry["confidence"]) * entry["num_samples"] for entry in bins)
    return sum(gaps) / num_samples


def _checked(confidence_N: NDArray[Any], correct_N: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    confidence = np.asarray(confidence_N, dtype=np.float64)
    correct = np.asarray(correct_N, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        raise ValueError(f"confidence is {confidence.shape} and correct {correct.shape}, but both must be [N]")
    if len(confidence) == 0:
        raise ValueError("calibration needs at least one sample")
    # Written so that NaN fails too.
    if not (confidence.min() >= -RANGE_TOLERANCE and confidence.max() <= 1 + RANGE_TOLERANCE):
        raise ValueError(f"confidence spans `{confidence.min()}` to `{confidence.max()}`, but must be in [0, 1]")
    if not np.isin(correct, (0.0, 1.0)).all():
        raise ValueError("correct holds values other than 0 and 1")
    return np.clip(confidence, 0.0, 1.0), correct
