"""How much each column and each head speaks for a difference, as observed and under all drawn assignments of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mltool.statistics import indicators
from mltool.statistics.indicators import Indicators
from mltool.statistics.permutation import Assignments, Decision, Floats
from mltool.statistics.watched import Part

# Axes: A assignments, N pooled rows, J columns, K indicators

FLOOR = 0.3
FLOOR_RARE = 0.1
"""Where there are few indicators, so that rare events may speak."""
_CHUNK_COLUMNS = 64
_RELATIVE_NOISE = 2.0**-20
"""How far the same answer may differ from batch to batch and from runtime to runtime."""


class Evidence:
    """The statistics, gathered part by part, so that memory does not grow with the number of columns."""

    def __init__(self, assignments: Assignments) -> None:
        self.assignments = assignments
        self._num_assignments = len(assignments.in_window_AN)
        nothing_A: Floats = np.zeros(self._num_assignments, np.float32)
        self._heads = {"columns": nothing_A, "spread": nothing_A, "missing": nothing_A}
        self._observed: list[tuple[str, Floats, Floats]] = []
        """For some columns: the head that they take part in, their statistics in it, and in the head `missing`."""

    def add(self, part: Part, columns_JN: NDArray[Any]) -> None:
        """Take in the columns of a part: the rows of the reference, then those of the window."""
        if part.kind == "class":
            self._add_classes(columns_JN)
            return
        if part.kind == "output":
            columns_JN = _without_last_digits(columns_JN)
        for start in range(0, len(columns_JN), _CHUNK_COLUMNS):
            chunk_JN = columns_JN[start : start + _CHUNK_COLUMNS]
            if part.kind == "category":
                self._add(indicators.of_categories(chunk_JN), chunk_JN == 0)
            else:
                self._add(indicators.of_numbers(chunk_JN), np.isnan(chunk_JN))

    def _add(self, asked: Indicators, is_missing_JN: NDArray[np.bool_]) -> None:
        largest_AJ, square_AJ = self._by_column(asked, len(is_missing_JN), FLOOR)
        missing_AJ, _ = self._by_column(indicators.of_missing(is_missing_JN), len(is_missing_JN), FLOOR_RARE)
        self._heads["columns"] = np.maximum(self._heads["columns"], largest_AJ.max(axis=1))
        self._heads["spread"] = self._heads["spread"] + square_AJ.sum(axis=1)
        self._heads["missing"] = np.maximum(self._heads["missing"], missing_AJ.max(axis=1))
        self._observed.append(("columns", largest_AJ[0], missing_AJ[0]))

    def _add_classes(self, codes_JN: NDArray[np.int64]) -> None:
        """The chi-squared statistic of how often each class is predicted."""
        asked = indicators.of_categories(codes_JN)
        rest_K = 1 - asked.answers_KN.mean(axis=1)
        statistic_A = (self.assignments.differences(asked.answers_KN, FLOOR_RARE) ** 2 * rest_K).sum(axis=1)
        self._heads["classes"] = statistic_A
        self._observed.append(("classes", statistic_A[:1], np.zeros(1, np.float32)))

    def _by_column(self, asked: Indicators, num_columns: int, floor: float) -> tuple[Floats, Floats]:
        """The largest and the mean squared statistic of each column [A, J]; 0 where there is nothing to ask."""
        largest_AJ = np.zeros((self._num_assignments, num_columns), np.float32)
        square_AJ = np.zeros_like(largest_AJ)
        if len(asked.column_K):
            statistic_AK = self.assignments.differences(asked.answers_KN, floor)
            starts = np.flatnonzero(np.diff(asked.column_K, prepend=-1))
            columns, counts = asked.column_K[starts], np.diff(np.append(starts, len(asked.column_K)))
            largest_AJ[:, columns] = np.maximum.reduceat(statistic_AK, starts, axis=1)
            square_AJ[:, columns] = np.add.reduceat(statistic_AK**2, starts, axis=1) / counts.astype(np.float32)
        return largest_AJ, square_AJ

    def decision(self) -> Decision:
        return Decision(self._heads)

    def adjusted(self, decision: Decision) -> NDArray[np.float64]:
        """The p-value of each column, in the order in which they were added."""
        return np.concatenate(
            [
                np.minimum(decision.adjusted(head, own), decision.adjusted("missing", missing))
                for head, own, missing in self._observed
            ]
        )


def _without_last_digits(values_JN: NDArray[np.floating]) -> NDArray[np.floating]:
    """The values on a grid so coarse that rounding errors vanish.

    Many answers are one number, as a probability of 1. Where the window was answered in other batches, or by another
    runtime, than the reference, it is 0.9999999 on one side, and that would be a difference.
    """
    finite_JN = np.where(np.isfinite(values_JN), np.abs(values_JN), 0)
    largest_J = finite_JN.max(axis=1, keepdims=True)
    step_J = np.exp2(np.floor(np.log2(np.maximum(largest_J * _RELATIVE_NOISE, np.finfo(np.float32).tiny))))
    with np.errstate(over="ignore"):  # the very largest numbers become infinite, which is as large
        rounded: NDArray[np.floating] = np.round(values_JN / step_J) * step_J
    return rounded
