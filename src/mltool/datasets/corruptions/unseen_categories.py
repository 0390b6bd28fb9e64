"""Categories that the training data did not have: to the model they are all unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mltool.datasets.corruptions._table import ColumnValues, TableCorruption, chosen
from mltool.datasets.schema import UNKNOWN_CATEGORY


def change(columns: Sequence[ColumnValues], amount: float, random: np.random.Generator) -> None:
    for column in columns:
        column.values_N[chosen(column, amount, random)] = UNKNOWN_CATEGORY


corruption = TableCorruption(
    change=change,
    amounts=(0.01, 0.05, 0.1, 0.25, 0.5),
    says="{:.0%} of all categories new",
    kinds=("category",),
)
