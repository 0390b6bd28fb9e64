"""Measuring errors in every number, in deviations of its column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        noise = random.standard_normal(column.values_N.shape)
        column.write(column.values_N + amount * column.deviation * noise)


corruption = TableCorruption(
    change=change,
    amounts=(0.1, 0.25, 0.5, 1.0, 2.0),
    says="noise of {:g} sd",
    kinds=("number", "tensor"),
)
