"""Neighbouring number columns that changed places, in some of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption, chosen


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    rows_N = chosen(columns[0], amount, random)
    for one, other in zip(columns[::2], columns[1::2], strict=False):  # the last of an odd number stays
        kept = np.array(one.values_N[rows_N])
        one.values_N[rows_N] = other.values_N[rows_N]
        other.values_N[rows_N] = kept


corruption = TableCorruption(
    change=change,
    amounts=(0.05, 0.1, 0.25, 0.5, 1.0),
    says="in {:.0%} of the rows",
    kinds=("number",),
    fewest=2,
)
