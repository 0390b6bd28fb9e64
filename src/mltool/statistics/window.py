"""The rows of a window that are looked at, and what of the reference they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.distances import Distances, RememberedCategories, RememberedNumbers
from mltool.statistics.reference import Reference
from mltool.statistics.sketch import CategoryCounts, QuantileSketch
from mltool.statistics.watched import Arrays, Part

# Axes: N rows, J columns

MIN_WINDOW_ROWS = 10
MAX_WINDOW_ROWS = 2_000
"""Rows of the window that are tested; of more, so many are drawn: beyond, the reference limits what can be seen."""
MAX_DISTANCE_ROWS = 20_000
"""Rows that the distances of numbers are measured on. Categories and missing values are counted in all rows."""
_SKETCH_LEVELS = 65

Remembered = RememberedNumbers | RememberedCategories


class Window:
    """The arrays that the reference has too, and the rows of them that are looked at.

    Attributes:
        arrays: For each part that is there: its place among `parts`, itself, and its array.
        tested: The rows that the decision is made on.
        not_tested: The arrays of the reference that are not there.
    """

    def __init__(self, parts: Sequence[Part], inputs: Arrays, outputs: Arrays, seed: int) -> None:
        given = {False: inputs, True: outputs}
        self.arrays = [
            (place, part, given[part.is_output][part.array])
            for place, part in enumerate(parts)
            if part.array in given[part.is_output]
        ]
        absent = [part.array for part in parts if part.array not in given[part.is_output]]
        self.not_tested = tuple(dict.fromkeys(absent))
        lengths = {len(array) for _, _, array in self.arrays}
        if not lengths:
            raise ValueError("the window has none of the inputs and outputs of the reference")
        if len(lengths) > 1:
            raise ValueError(f"inputs and outputs differ in their number of rows: {sorted(lengths)}")
        (self.num_rows,) = lengths
        if self.num_rows < MIN_WINDOW_ROWS:
            raise ValueError(f"the window has {self.num_rows} rows, but at least {MIN_WINDOW_ROWS} are needed")
        rng = np.random.default_rng([seed, 1])
        self.tested = draw_rows(self.num_rows, MAX_WINDOW_ROWS, rng)
        self._measured = draw_rows(self.num_rows, MAX_DISTANCE_ROWS, rng)

    def distances(self, part: Part, array: NDArray[Any], own: Sequence[Any]) -> list[Distances]:
        """How far each column of a part is from what is remembered of it."""
        if part.kind in ("category", "class"):
            return [known.distances(codes_N) for known, codes_N in zip(own, part.take(array), strict=True)]
        # Pictures are large, and so many of them are enough for a ranking.
        rows = self.tested if part.kind in ("pixel", "summary") else self._measured
        values_JN = part.take(array if len(rows) == len(array) else array[rows])
        missing_J = np.isnan(values_JN).mean(axis=1) if part.kind != "number" else part.missing(array)
        values_JN.sort(axis=1)
        return [
            known.distances(values_N, missing)
            for known, values_N, missing in zip(own, values_JN, missing_J.tolist(), strict=True)
        ]


def remembered(part: Part, values_JN: NDArray[Any], reference: Reference) -> list[Any]:
    """What each column is held against: the sketch of the training data, else one of the held-out rows."""
    if part.kind == "class":
        num_classes = reference.outputs[part.array].shape[1]
        return [RememberedCategories(CategoryCounts.from_codes(values_JN[0], num_classes - 1), is_class=True)]
    if part.kind == "category":
        return [RememberedCategories(reference.categories[name]) for name in part.names]
    sketched = {} if part.is_output else reference.numbers
    return [
        RememberedNumbers(sketched.get(name) or QuantileSketch.from_column(values_N, num_levels=_SKETCH_LEVELS))
        for name, values_N in zip(part.names, values_JN, strict=True)
    ]


def draw_rows(num_rows: int, at_most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows in their order, so that a memory-mapped column is read from front to back."""
    if num_rows <= at_most:
        return np.arange(num_rows)
    return np.sort(rng.choice(num_rows, at_most, replace=False, shuffle=False))
