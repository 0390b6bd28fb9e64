"""A source that hangs: some rows, at last all, have the usual value of the column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption, chosen


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        column.values_N[chosen(column, amount, random)] = column.middle


corruption = TableCorruption(
    change=change,
    amounts=(0.05, 0.1, 0.25, 0.5, 1.0),
    says="in {:.0%} of the rows",
    kinds=("number", "category"),
    is_for_one=True,
)
