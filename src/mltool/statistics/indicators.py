"""Columns as questions that each row answers with 0 or 1: is the number at most so large, is it this category.

The places to cut come from the two samples pooled, so that they do not depend on which row is in which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Axes: J columns, N pooled rows, L levels, K indicators

NUM_LEVELS = 23
"""Quantiles at which a column of numbers is cut."""
MAX_CATEGORIES = 32
"""Values of a category that are asked about, the most frequent ones."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Indicators:
    answers_KN: Floats
    column_K: NDArray[np.int64]
    """The column that each belongs to, rising."""


def of_numbers(values_JN: NDArray[np.floating]) -> Indicators:
    """Whether each value is at most some quantile of its column; NaN never is."""
    num_rows = values_JN.shape[1]
    ordered_JN = np.sort(values_JN, axis=1)  # NaN last
    num_known_J = num_rows - np.isnan(values_JN).sum(axis=1)
    levels_L = np.arange(1, NUM_LEVELS + 1) / (NUM_LEVELS + 1)
    places_JL = (levels_L * np.maximum(num_known_J - 1, 0)[:, None]).astype(np.int64)
    below_JL, up_to_JL = (np.take_along_axis(counts, places_JL, axis=1) for counts in _counts(ordered_JN))
    # A value that many rows share is a step: cut on both sides of it.
    is_step_JL = np.zeros(places_JL.shape, bool)
    is_step_JL[:, 1:] = up_to_JL[:, 1:] == up_to_JL[:, :-1]
    counts_JL = np.sort(np.concatenate([np.where(is_step_JL, below_JL, up_to_JL), up_to_JL], axis=1), axis=1)
    is_useful_JL = (counts_JL > 0) & (counts_JL < num_known_J[:, None])
    is_useful_JL[:, 1:] &= counts_JL[:, 1:] != counts_JL[:, :-1]
    column_K, place_K = np.nonzero(is_useful_JL)
    cut_K = ordered_JN[column_K, counts_JL[column_K, place_K] - 1]
    return Indicators((values_JN[column_K] <= cut_K[:, None]).astype(np.float32), column_K)


def _counts(ordered_JN: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each value of rising columns how many are below it, and how many are below or equal [J, N]."""
    num_rows = ordered_JN.shape[1]
    is_new_JN = np.ones((len(ordered_JN), num_rows + 1), bool)
    is_new_JN[:, 1:-1] = ordered_JN[:, 1:] != ordered_JN[:, :-1]
    numbers_N = np.arange(num_rows + 1)
    below_JN = np.maximum.accumulate(np.where(is_new_JN, numbers_N, 0)[:, :-1], axis=1)
    up_to_JN = np.minimum.accumulate(np.where(is_new_JN, numbers_N, num_rows)[:, :0:-1], axis=1)[:, ::-1]
    return below_JN, up_to_JN


def of_categories(codes_JN: NDArray[np.integer]) -> Indicators:
    """Whether each value is one of the most frequent of its column; a value that all rows share asks nothing."""
    column_K, value_K = [], []
    for column, codes_N in enumerate(codes_JN):
        counts = np.bincount(codes_N)
        frequent = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
        values = frequent[(counts[frequent] > 0) & (counts[frequent] < len(codes_N))]
        column_K += [column] * len(values)
        value_K += values.tolist()
    columns = np.array(column_K, np.int64)
    answers_KN = (codes_JN[columns] == np.array(value_K, codes_JN.dtype)[:, None]).astype(np.float32)
    return Indicators(answers_KN, columns)


def of_missing(is_missing_JN: NDArray[np.bool_]) -> Indicators:
    """Whether a value is missing, for the columns where some are and some are not."""
    num_missing_J = is_missing_JN.sum(axis=1)
    columns = np.flatnonzero((num_missing_J > 0) & (num_missing_J < is_missing_JN.shape[1]))
    return Indicators(is_missing_JN[columns].astype(np.float32), columns)
