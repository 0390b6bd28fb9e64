"""Values that did not arrive, here and there in every column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption, chosen
from mltool.datasets.schema import UNKNOWN_CATEGORY


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        lost = UNKNOWN_CATEGORY if column.part.kind == "category" else np.nan
        column.values_N[chosen(column, amount, random)] = lost


corruption = TableCorruption(
    change=change,
    amounts=(0.05, 0.1, 0.25, 0.5, 1.0),
    says="{:.0%} of all values missing",
    kinds=("number", "category"),
    needs_gaps=True,
)
