"""An instrument that drifts: values move up within the range that the column has always had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        is_there_N = np.isfinite(column.values_N)
        if column.usual_values.size < 2 or not is_there_N.any():
            continue
        levels = np.linspace(0, 1, column.usual_values.size)
        values_N = column.values_N[is_there_N].astype(np.float64)
        rank_N = np.interp(values_N, column.usual_values, levels)
        moved_N = np.interp(rank_N ** (1 / (1 + amount)), levels, column.usual_values)
        column.values_N[is_there_N] = np.maximum(moved_N, values_N)  # ties and what lies outside stay


corruption = TableCorruption(
    change=change,
    amounts=(0.1, 0.25, 0.5, 1.0, 2.0),
    says="tilted upwards by {:g}",
    kinds=("number",),
    is_for_one=True,
)
