"""What the corruptions of tables share: each sees columns, wherever they lie in the arrays of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mltool.datasets.layout import Part, PartKind

# Axes: N samples, R rows of the reference


@dataclass
class ColumnValues:
    """One column of all rows, to be changed in place.

    Attributes:
        values_N: A view into the array of the model; a tensor that is taken as a whole has more axes.
        usual_R: The same column of the reference.
    """

    part: Part
    values_N: npt.NDArray[Any]
    usual_R: npt.NDArray[Any]

    @cached_property
    def usual_values(self) -> npt.NDArray[Any]:
        """Those of `usual_R` that are there, rising."""
        values: npt.NDArray[Any] = np.sort(self.usual_R[np.isfinite(self.usual_R)], axis=None)
        return values

    @property
    def deviation(self) -> float:
        return float(self.usual_values.std(dtype=np.float64)) if self.usual_values.size else 1.0

    @property
    def middle(self) -> Any:
        """The median of numbers, the most frequent category."""
        if self.part.kind == "category":
            return np.bincount(self.usual_R.astype(np.int64)).argmax() if self.usual_R.size else 0
        return self.usual_values[self.usual_values.size // 2] if self.usual_values.size else 0.0

    def write(self, values_N: npt.NDArray[Any]) -> None:
        """Take the place of all values; what the dtype cannot hold becomes the largest that it can."""
        if self.values_N.dtype.kind == "f":
            limit = np.finfo(self.values_N.dtype).max
            values_N = np.clip(values_N, -limit, limit)
        self.values_N[...] = values_N


class Change(Protocol):
    def __call__(self, columns: Sequence[ColumnValues], amount: float, random: np.random.Generator, /) -> None:
        """Change the columns in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCorruption:
    """A corruption of columns.

    Attributes:
        kinds: Of the columns that it can befall.
        needs_gaps: Whether only those that the model lets be missing.
        fewest: Columns without which it makes no sense.
    """

    change: Change
    amounts: tuple[float, float, float, float, float]
    says: str
    kinds: tuple[PartKind, ...]
    is_for_one: bool = False
    needs_gaps: bool = False
    fewest: int = 1

    def fitting(self, parts: Sequence[Part]) -> list[Part]:
        found = [p for p in parts if p.kind in self.kinds and (p.may_be_missing or not self.needs_gaps)]
        return found if len(found) >= self.fewest else []

    def corrupted(
        self,
        inputs: Mapping[str, npt.NDArray[Any]],
        parts: Sequence[Part],
        reference: Mapping[str, npt.NDArray[Any]],
        amount: float,
        random: np.random.Generator,
    ) -> dict[str, npt.NDArray[Any]]:
        changed = {name: np.array(array) for name, array in inputs.items()}
        columns = [ColumnValues(p, _column(changed[p.input], p), _column(reference[p.input], p)) for p in parts]
        self.change(columns, amount, random)
        return changed


def _column(array: npt.NDArray[Any], part: Part) -> npt.NDArray[Any]:
    return array if part.index is None else array[:, part.index]


def chosen(column: ColumnValues, share: float, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A random share of the rows [N]; a larger share holds the smaller one."""
    return random.random(len(column.values_N)) < share
