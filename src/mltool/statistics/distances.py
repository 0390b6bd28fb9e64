"""How far a window of a column is from what is remembered of it: for ranking and for people, never for an alarm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.sketch import CategoryCounts, QuantileSketch

# Axes: N values, B bins (the last one counts what is missing)

_NUM_BINS = 10
_LEVELS = (np.arange(512) + 0.5) / 512
"""Quantiles that are compared."""
_LEAST_SHARE = 1e-4
"""What an empty bin counts as in the PSI, which would be infinite."""
_STEP_SHARE = 1 / (2 * _NUM_BINS)
"""A value that at least so many rows share gets a bin of its own."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """How far one column moved.

    Attributes:
        js: Jensen-Shannon distance of the binned values, missing ones included: 0 is equal, 1 is nothing in common.
        psi: Population stability index of the same bins, with empty ones counted as 0.0001.
        wasserstein_sd: Mean distance that values would have to move, in standard deviations of the reference; None for
            categories, for a reference that is constant, and where either side has no finite value.
        missing: Share of missing values in the window; of a category, also of unknown ones.
    """

    js: float
    psi: float
    wasserstein_sd: float | None
    missing: float
    missing_reference: float
    mean: float | None = None
    mean_reference: float | None = None


class RememberedNumbers:
    """A sketch, prepared so that a window is compared with it in microseconds."""

    def __init__(self, sketch: QuantileSketch) -> None:
        self._sketch = sketch
        self.missing = sketch.num_missing / max(sketch.num_rows, 1)
        levels = np.arange(1, _NUM_BINS) / _NUM_BINS
        self._quantiles = sketch.quantile(_LEVELS)
        is_step = sketch.up_to - sketch.below >= _STEP_SHARE
        steps = sketch.edges[is_step]
        self._ends = np.union1d(sketch.quantile(levels) if len(sketch.edges) else steps, steps)
        self._steps = steps
        self._shares_B = _shares(np.sort(np.append(sketch.cdf(self._ends), sketch.below[is_step])), self.missing)

    def distances(self, values_N: NDArray[np.floating], missing: float) -> Distances:
        """Compare with a window.

        Args:
            values_N: Rising, NaN last.
            missing: Share of values that are missing there.
        """
        if len(values_N) and not np.isfinite(values_N[[0, -1]]).all():
            values_N = values_N[np.isfinite(values_N)]
        sketch, num_values = self._sketch, max(len(values_N), 1)
        num_up_to = np.searchsorted(values_N, self._ends.astype(values_N.dtype), side="right")
        num_below = np.searchsorted(values_N, self._steps.astype(values_N.dtype), side="left")
        # Sorted: the place below a step comes before the one up to it, as in the reference.
        shares_B = _shares(np.sort(np.append(num_up_to, num_below)) / num_values, missing)
        is_comparable = len(values_N) > 0 and len(sketch.edges) > 0
        js, psi = _divergences(self._shares_B, shares_B)
        # The area between both quantile functions.
        quantiles = values_N[(_LEVELS * len(values_N)).astype(np.int64)] if is_comparable else self._quantiles
        wasserstein = float(np.abs(quantiles - self._quantiles).mean())
        return Distances(
            js=js,
            psi=psi,
            wasserstein_sd=wasserstein / sketch.std if is_comparable and sketch.std > 0 else None,
            missing=missing,
            missing_reference=self.missing,
            mean=float(values_N.mean(dtype=np.float64)) if len(values_N) else None,
            mean_reference=sketch.mean if len(sketch.edges) else None,
        )


class RememberedCategories:
    """Counts of codes.

    Args:
        is_class: Code 0 is a class like any other; else it is what is unknown or missing.
    """

    def __init__(self, counts: CategoryCounts, *, is_class: bool = False) -> None:
        self._shares_B = counts.counts / max(counts.num_rows, 1)
        self._is_class = is_class

    def distances(self, codes_N: NDArray[np.integer]) -> Distances:
        counts_B = np.bincount(codes_N, minlength=len(self._shares_B))
        shares_B = counts_B[: len(self._shares_B)] / max(len(codes_N), 1)
        js, psi = _divergences(self._shares_B, shares_B)
        return Distances(
            js=js,
            psi=psi,
            wasserstein_sd=None,
            missing=0.0 if self._is_class else float(shares_B[0]),
            missing_reference=0.0 if self._is_class else float(self._shares_B[0]),
        )


def _shares(cdf: Floats, missing: float) -> Floats:
    known = np.diff(np.concatenate([[0.0], np.nan_to_num(cdf), [1.0]]))
    return np.append(known * (1 - missing), missing)


def _divergences(reference_B: Floats, window_B: Floats) -> tuple[float, float]:
    """Jensen-Shannon distance and PSI."""
    middle_B = (reference_B + window_B) / 2
    bits = sum(
        float((share_B[share_B > 0] * np.log2(share_B[share_B > 0] / middle_B[share_B > 0])).sum()) / 2
        for share_B in (reference_B, window_B)
    )
    occupied = middle_B > 0
    a, b = np.maximum(reference_B[occupied], _LEAST_SHARE), np.maximum(window_B[occupied], _LEAST_SHARE)
    return math.sqrt(min(max(bits, 0.0), 1.0)), float(((b - a) * np.log(b / a)).sum())
