"""A column in another unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        column.write(column.values_N.astype(np.float64) * amount)


corruption = TableCorruption(
    change=change,
    amounts=(1.05, 1.15, 1.5, 10.0, 1000.0),
    says="times {:g}",
    kinds=("number",),
    is_for_one=True,
)
