"""What is kept of a column when its values are not: a few hundred numbers that answer `cdf` and `quantile`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Axes: N rows, E edges, V known values of a category

NUM_LEVELS = 256
MAX_SAMPLED_ROWS = 1_000_000
CHUNK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantileSketch:
    """The distribution of one column of numbers.

    Edges are order statistics, minimum and maximum included. The cdf is exact on the edges, and linear between two
    neighbours, where it is off by less than `1 / (num_levels - 1)`. Both sides of every edge are kept, so that ties
    (a column that is mostly 0, a column of integers) are steps and not slopes. NaN is missing. Infinities are
    counted and, like missing values, left out of everything else.
    """

    edges: NDArray[np.float64]
    """[E], strictly rising; empty if the column has no finite value."""
    below: NDArray[np.float64]
    """Share of the finite values below each edge."""
    up_to: NDArray[np.float64]
    """Share of the finite values below or at each edge."""
    num_rows: int
    num_missing: int
    num_infinite: int
    num_sampled: int
    """Finite values that the edges were drawn from: the sample size to use in a test."""
    minimum: float
    """Exact, as are `maximum`, `mean` and `std` (divided by the count); all four NaN if no value is finite."""
    maximum: float
    mean: float
    std: float

    @classmethod
    def from_column(
        cls,
        column_N: NDArray[Any],
        *,
        seed: int = 0,
        num_levels: int = NUM_LEVELS,
        max_sampled_rows: int = MAX_SAMPLED_ROWS,
    ) -> QuantileSketch:
        """Read the column twice, in chunks; memory is bounded by `max_sampled_rows`, not by its length.

        Args:
            column_N: Floats, integers or booleans; may be memory-mapped.
            seed: Draws the finite values that the edges come from, evenly along the column, where there are more of
                them than `max_sampled_rows`. Counts, extremes and moments always come from all rows.
            num_levels: Quantile levels, at least 2.
            max_sampled_rows: At least 2.

        Raises:
            ValueError: The column is not one-dimensional, not numeric, or a limit is too small.
        """
        if column_N.ndim != 1 or column_N.dtype.kind not in "biuf":
            raise ValueError(f"a column must be numeric [N], got `{column_N.dtype}` {column_N.shape}")
        if num_levels < 2 or max_sampled_rows < 2:
            raise ValueError(f"`{num_levels}` levels of `{max_sampled_rows}` rows: both must be at least 2")
        num_missing = num_finite = 0
        low, high = np.inf, -np.inf
        for chunk in _chunks(column_N):
            finite = chunk[np.isfinite(chunk)]
            num_missing += int(np.isnan(chunk).sum())
            num_finite += len(finite)
            if len(finite):
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        if num_finite == 0:
            low, high, mean, std = (np.nan,) * 4
            sample = np.zeros(0)
        else:
            mean, std = _moments(column_N, low, high)
            sample = _sample(column_N, num_finite, min(num_finite, max_sampled_rows), seed)
            if len(sample) < num_finite:
                sample = np.concatenate([sample, [low, high]])  # edges include the exact extremes
            sample.sort()
        levels = np.unique(np.round(np.linspace(0, len(sample) - 1, num_levels)).astype(np.int64))
        edges = np.unique(sample[levels]) if num_finite else sample
        return cls(
            edges=edges,
            below=np.searchsorted(sample, edges, side="left") / max(len(sample), 1),
            up_to=np.searchsorted(sample, edges, side="right") / max(len(sample), 1),
            num_rows=len(column_N),
            num_missing=num_missing,
            num_infinite=len(column_N) - num_missing - num_finite,
            num_sampled=len(sample),
            minimum=low,
            maximum=high,
            mean=mean,
            std=std,
        )

    def cdf(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Share of the column's finite values below or at each of `values`, in their shape.

        NaN for NaN, and everywhere if the column has no finite value.
        """
        values = np.asarray(values, np.float64)
        if len(self.edges) == 0:
            return np.full(values.shape, np.nan)
        last = np.searchsorted(self.edges, values, side="right") - 1  # the edge at or left of each value
        inside = (last >= 0) & (last < len(self.edges) - 1) & ~np.isnan(values)
        result = np.where(last < 0, 0.0, self.up_to[np.maximum(last, 0)])
        at = last[inside]
        # Halved, because the distance between two float64 may be more than float64 can hold.
        left, right = self.edges[at] / 2, self.edges[at + 1] / 2
        gap = right - left
        position = np.divide(values[inside] / 2 - left, gap, out=np.zeros_like(gap), where=gap > 0)
        climb = self.below[at + 1] - self.up_to[at]
        result[inside] = np.minimum(self.up_to[at] + position * climb, self.below[at + 1])
        result[np.isnan(values)] = np.nan
        return result

    def quantile(self, q: NDArray[Any]) -> NDArray[np.float64]:
        """The smallest value whose `cdf` reaches `q`, up to rounding; NaN if the column has no finite value.

        Raises:
            ValueError: A `q` is not in `[0, 1]`.
        """
        q = np.asarray(q, np.float64)
        if q.size and not (q.min() >= 0 and q.max() <= 1):
            raise ValueError(f"quantile levels span `{q.min()}` to `{q.max()}`, but must be in [0, 1]")
        if len(self.edges) == 0:
            return np.full(q.shape, np.nan)
        right = np.minimum(np.searchsorted(self.up_to, q, side="left"), len(self.edges) - 1)
        left = np.maximum(right - 1, 0)
        climb = self.below[right] - self.up_to[left]
        position = np.divide(q - self.up_to[left], climb, out=np.ones_like(q), where=climb > 0)
        position = np.clip(np.where(right == 0, 1.0, position), 0.0, 1.0)
        low, high = self.edges[left], self.edges[right]
        value: NDArray[np.float64] = np.clip(low * (1 - position) + high * position, low, high)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class CategoryCounts:
    """How often each code of a category occurs."""

    counts: NDArray[np.int64]
    """[V+1]: place 0 counts the unknown values."""

    @classmethod
    def from_codes(cls, codes_N: NDArray[Any], vocabulary_size: int) -> CategoryCounts:
        """Count codes in chunks; `codes_N` may be memory-mapped.

        Raises:
            ValueError: The codes are not integers [N], or one is outside `[0, vocabulary_size]`.
        """
        if codes_N.ndim != 1 or codes_N.dtype.kind not in "iu" or vocabulary_size < 0:
            raise ValueError(f"codes must be integers [N], got `{codes_N.dtype}` {codes_N.shape}")
        counts = np.zeros(vocabulary_size + 1, np.int64)
        for start in range(0, len(codes_N), CHUNK_ROWS):
            chunk = np.asarray(codes_N[start : start + CHUNK_ROWS])
            if chunk.min() < 0 or chunk.max() > vocabulary_size:
                bad = chunk.min() if chunk.min() < 0 else chunk.max()
                raise ValueError(f"code `{bad}` is outside a vocabulary of {vocabulary_size}")
            counts += np.bincount(chunk.astype(np.int64), minlength=len(counts))
        return cls(counts)

    @property
    def num_rows(self) -> int:
        return int(self.counts.sum())


def _chunks(column_N: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(column_N), CHUNK_ROWS):
        yield np.asarray(column_N[start : start + CHUNK_ROWS], np.float64)


def _moments(column_N: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """Mean and standard deviation of the finite values, merged chunk by chunk (Chan et al. 1983)."""
    scale = max(abs(low), abs(high)) or 1.0  # squares of large values must not overflow
    seen, mean, squares = 0, 0.0, 0.0
    for chunk in _chunks(column_N):
        finite = chunk[np.isfinite(chunk)] / scale
        if len(finite) == 0:
            continue
        total = seen + len(finite)
        shift = float(finite.mean()) - mean
        squares += float(((finite - finite.mean()) ** 2).sum()) + shift**2 * seen * len(finite) / total
        mean += shift * len(finite) / total
        seen = total
    if low == high:
        return low, 0.0
    return min(max(mean * scale, low), high), (squares / seen) ** 0.5 * scale


def _sample(column_N: NDArray[Any], num_finite: int, num_wanted: int, seed: int) -> NDArray[np.float64]:
    """`num_wanted` of the finite values, each chunk giving its share."""
    rng = np.random.default_rng(seed)
    sample = np.empty(num_wanted)
    seen = filled = 0
    for chunk in _chunks(column_N):
        finite = chunk[np.isfinite(chunk)]
        seen += len(finite)
        until = seen * num_wanted // num_finite
        if until - filled < len(finite):
            finite = rng.choice(finite, until - filled, replace=False, shuffle=False)
        sample[filled:until] = finite
        filled = until
    return sample
