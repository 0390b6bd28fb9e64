"""Whole arrays, held to what a schema says of them, whoever made them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.core.errors import InputError
from mltool.datasets.cells import did_you_mean
from mltool.datasets.schema import UNKNOWN_CATEGORY, Schema, TensorSpec

Array = npt.NDArray[Any]
_FEW_VALUES = 4096


def check_array(array: Array, spec: TensorSpec) -> Array:
    """A whole array [N,*shape] in the dtype of `spec`; values that would change on the way are refused.

    Raises:
        InputError: The shape differs, or the values do not fit the dtype.
    """
    if array.ndim == 0 or array.shape[1:] != spec.shape:
        wanted = ", ".join(map(str, ("N", *spec.shape)))
        raise InputError(f"`{spec.name}` has the shape {list(array.shape)}, but [{wanted}] is needed")
    try:
        return cast(array, spec.dtype)
    except ValueError as error:
        raise InputError(f"`{spec.name}` {error}") from error


def checked_arrays(arrays: Mapping[str, Array], schema: Schema) -> dict[str, Array]:
    """Whole arrays by input name as the inputs of a model, whoever made them.

    Raises:
        InputError: A name, a shape, a dtype or the number of rows differs; a code is of no category; or a value is
            infinite, or NaN where nothing fills it in.
    """
    specs = {spec.name: spec for spec in schema.inputs}
    for name in arrays:
        if name not in specs:
            raise InputError(f"the model has no input `{name}`", hint=did_you_mean(name, specs, "inputs"))
    for name in specs:
        if name not in arrays:
            raise InputError(f"the input `{name}` is missing", hint=f"the inputs are {', '.join(specs)}")
    checked = {name: check_array(arrays[name], spec) for name, spec in specs.items()}
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the inputs differ in their number of rows: {lengths}")
    if not all(lengths.values()):
        return checked
    check_values(checked, schema)
    return checked


def check_values(arrays: Mapping[str, Array], schema: Schema) -> None:
    """Refuse what no model can answer for, in arrays of the right shapes with at least one row.

    Raises:
        InputError: A code is of no category; or a value is infinite, or NaN where nothing fills it in.
    """
    check_finite(arrays, schema)
    if "categories" not in arrays:
        return
    for k, column in enumerate(schema.columns_of("category")):
        codes_N = arrays["categories"][:, k]
        if codes_N.min() < UNKNOWN_CATEGORY or codes_N.max() > len(column.vocabulary):
            raise InputError(f"the codes of `{column.name}` must be from 0 to {len(column.vocabulary)}")


def check_finite(arrays: Mapping[str, Array], schema: Schema) -> None:
    """Refuse infinite values, and NaN where nothing fills it in: everywhere but in number columns.

    Raises:
        InputError: Names the input and the first such row, counted from 1.
    """
    for name, array in arrays.items():
        if array.dtype.kind != "f" or _is_finite(array):
            continue
        is_filled = name == "numbers" and schema.columns_of("number")
        bad = np.isinf(array) if is_filled else ~np.isfinite(array)
        rows_N = np.flatnonzero(bad.reshape(len(array), -1).any(axis=1))
        if len(rows_N):
            value = "an infinite value" if np.isinf(array[rows_N[0]]).any() else "NaN"
            raise InputError(f"`{name}` holds {value} in row {rows_N[0] + 1}, which the model cannot answer for")


def _is_finite(array: Array) -> bool:
    """The quick answer for a few values: one that is not finite makes the sum of squares so; else it is looked at."""
    if array.size <= _FEW_VALUES and array.dtype.itemsize >= 4 and math.isfinite(np.vdot(array, array)):
        return True
    return bool(np.isfinite(array).all())


def cast(array: Array, dtype_name: str) -> Array:
    """The array in another dtype.

    Raises:
        ValueError: A value would change on the way; says which, for a caller that knows the name of the input.
    """
    dtype = np.dtype(dtype_name)
    if array.dtype == dtype:
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError(f"holds {array.dtype}, but {dtype_name} is needed")
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype)
    lost = np.isinf(converted) & ~np.isinf(array) if dtype.kind == "f" else converted != array
    if lost.any():
        raise ValueError(f"holds {array[lost].flat[0]}, which {dtype_name} cannot hold")
    return converted
