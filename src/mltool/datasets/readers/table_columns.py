"""What kind of values a column of a table holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mltool.datasets.cells import FLOAT32_MAX, MISSING_TEXT, category_key, category_text, parse_number, shorten

# Axes: N rows, D distinct values

NUMBER_SHARE = 0.95
"""A column of texts holds numbers if at least this share of its cells does; the other cells are damaged."""

_ABSENT = -1


@dataclass(slots=True)
class NumberColumn:
    """float64, NaN where a cell is missing; `damaged` has the cells that are no usable number, by row."""

    name: str
    values_N: npt.NDArray[np.float64]
    damaged: dict[int, str] = field(default_factory=dict)

    def is_missing(self) -> npt.NDArray[np.bool_]:
        return np.isnan(self.values_N)

    def keep(self, rows: npt.NDArray[np.int64]) -> NumberColumn:
        return NumberColumn(self.name, self.values_N[rows])

    def cells(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return self.values_N[rows]

    def is_constant(self) -> bool:
        return bool((self.values_N == self.values_N[0]).all())

    def as_texts(self) -> TextColumn:
        distinct_D, codes_N = np.unique(self.values_N, return_inverse=True)
        return _texts(self.name, list(distinct_D), codes_N)


@dataclass(slots=True)
class TextColumn:
    """Codes of the distinct texts, -1 where a cell is missing; so the last of `texts_D` is None."""

    name: str
    codes_N: npt.NDArray[np.int64]
    texts_D: npt.NDArray[np.object_]

    def is_missing(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.codes_N, _ABSENT)

    def keep(self, rows: npt.NDArray[np.int64]) -> TextColumn:
        return TextColumn(self.name, self.codes_N[rows], self.texts_D)

    def cells(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        return self.texts_D[self.codes_N[rows]]

    def is_constant(self) -> bool:
        return bool((self.codes_N == self.codes_N[0]).all())

    def present(self, rows: npt.NDArray[np.int64] | slice) -> list[str]:
        """The distinct texts of some rows, in no order."""
        codes = self.codes_N[rows]
        return [str(self.texts_D[code]) for code in np.unique(codes[codes != _ABSENT])]


def type_column(name: str, cells: Any, *, untyped: bool, as_texts: bool) -> NumberColumn | TextColumn | str:
    """Find out what the Arrow array `cells` holds; or why it cannot be used, to follow the name of the column.

    Args:
        name: Of the column.
        cells: A chunked array.
        untyped: The cells are texts that may mean numbers.
        as_texts: The user asked for categories.
    """
    if untyped:
        column = _from_untyped(name, cells, as_texts=as_texts)
    else:
        if as_texts and pa.types.is_integer(cells.type):  # not through float64, which merges large identifiers
            codes_N, values = _distinct(cells)
            return _texts(name, values, codes_N)
        typed = _from_typed(name, cells)
        if isinstance(typed, str):
            return typed
        column = typed.as_texts() if as_texts and isinstance(typed, NumberColumn) else typed
    if isinstance(column, NumberColumn):
        large_N = np.abs(column.values_N) > FLOAT32_MAX
        for row in np.flatnonzero(large_N).tolist():
            column.damaged[row] = f"`{name}` is {column.values_N[row]:g}, which is infinite or too large"
    return column


def _from_untyped(name: str, cells: Any, *, as_texts: bool) -> NumberColumn | TextColumn:
    absent = pc.is_in(cells, value_set=pa.array(sorted(MISSING_TEXT), cells.type))
    present = pc.if_else(absent, pa.scalar(None, cells.type), cells)
    if not as_texts:
        try:  # ten times as fast as Python, and stricter
            return NumberColumn(name, _to_float64(pc.cast(present, pa.float64())))
        except pa.ArrowInvalid:
            pass
    codes_N, texts = _distinct(present)
    if as_texts:
        return _texts(name, texts, codes_N, missing=MISSING_TEXT)
    numbers_D = np.full(len(texts) + 1, np.nan)
    odd_D = np.zeros(len(texts) + 1, bool)
    for code, text in enumerate(texts):
        try:
            numbers_D[code] = parse_number(text)
        except ValueError:
            odd_D[code] = True
    odd_N = odd_D[codes_N]
    num_present = len(codes_N) - int((codes_N == _ABSENT).sum())
    if odd_N.sum() > (1 - NUMBER_SHARE) * num_present + 1e-9:
        return _texts(name, texts, codes_N, missing=MISSING_TEXT)
    return NumberColumn(
        name,
        numbers_D[codes_N],
        {row: f"`{name}` is `{shorten(texts[codes_N[row]])}`, not a number" for row in np.flatnonzero(odd_N).tolist()},
    )


def _from_typed(name: str, cells: Any) -> NumberColumn | TextColumn | str:
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells, kind = cells.cast(kind.value_type), kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return NumberColumn(name, _to_float64(pc.cast(cells, pa.float64(), safe=False)))
    if pa.types.is_boolean(kind):
        codes_N, values = _distinct(cells)
        return _texts(name, values, codes_N)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        codes_N, values = _distinct(cells)
        return _texts(name, values, codes_N)
    if pa.types.is_null(kind):
        return NumberColumn(name, np.full(len(cells), np.nan))
    return f"holds values of the type {kind}, which cannot be used"


def _to_float64(cells: Any) -> npt.NDArray[np.float64]:
    return np.array(cells.to_numpy(zero_copy_only=False), np.float64)


def _distinct(cells: Any) -> tuple[npt.NDArray[np.int64], list[Any]]:
    encoded = cells.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # no chunk at all
        encoded = pa.array([], cells.type).dictionary_encode()
    codes_N = pc.fill_null(pc.cast(encoded.indices, pa.int64()), _ABSENT).to_numpy(zero_copy_only=False)
    return codes_N, encoded.dictionary.to_pylist()


def _texts(
    name: str, values: list[Any], codes_N: npt.NDArray[np.int64], missing: frozenset[str] = frozenset()
) -> TextColumn:
    """Unite the values that are spelled differently but are one category."""
    code_of: dict[str, int] = {}
    texts: list[str] = []
    united_D = np.full(len(values) + 1, _ABSENT, np.int64)
    for code, value in enumerate(values):
        text = category_text(value)
        if text is not None and text not in missing:
            united_D[code] = code_of.setdefault(category_key(text), len(texts))
            if united_D[code] == len(texts):
                texts.append(text)
    texts_D = np.empty(len(texts) + 1, object)
    texts_D[:-1] = texts
    return TextColumn(name, united_D[codes_N], texts_D)
