"""Values that belong to another row, as from a cache: each column keeps its distribution, which is hard to notice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption, chosen


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        rows_N, others_N = chosen(column, amount, random), random.permutation(len(column.values_N))
        column.values_N[rows_N] = column.values_N[others_N][rows_N]


corruption = TableCorruption(
    change=change,
    amounts=(0.05, 0.1, 0.25, 0.5, 1.0),
    says="{:.0%} of all values from another row",
    kinds=("number", "category"),
)
