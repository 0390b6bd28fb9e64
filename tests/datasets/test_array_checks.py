"""Whole arrays pass only as what the schema says they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mltool.core.errors import InputError
from mltool.datasets.array_checks import check_array, checked_arrays
from mltool.datasets.schema import Column, Schema, Target, TensorSpec

TABLE = Schema(
    columns=(Column("age", "number"), Column("city", "category", ("oslo", "rome"))),
    inputs=(TensorSpec("numbers", "float32", (1,)), TensorSpec("categories", "int64", (1,))),
    target=Target("y", "number"),
)
WAVES = Schema(
    columns=(Column("wave", "tensor"),), inputs=(TensorSpec("wave", "float32", (2,)),), target=Target("y", "number")
)


def table(numbers: Any, codes: Any) -> dict[str, Any]:
    return {"numbers": np.array(numbers), "categories": np.array(codes)}


def test_arrays_come_back_in_the_dtypes_and_the_order_of_the_schema() -> None:
    checked = checked_arrays({"categories": np.array([[2]], np.int8), "numbers": np.array([[0.5]])}, TABLE)
    assert list(checked) == ["numbers", "categories"]
    assert [checked[name].dtype for name in checked] == [np.float32, np.int64]
    assert (checked["numbers"].tolist(), checked["categories"].tolist()) == ([[0.5]], [[2]])


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.array([[300]]), "holds 300, which uint8 cannot hold"),
        (np.array([[-1]]), "holds -1, which uint8 cannot hold"),
        (np.array([[0.5]]), "holds 0.5, which uint8 cannot hold"),
        (np.array([["1"]]), "uint8 is needed"),
        (np.array([[1, 2]]), r"shape \[1, 2\], but \[N, 1\] is needed"),
        (np.array(1), r"shape \[\], but \[N, 1\] is needed"),
    ],
)
def test_a_value_that_would_change_and_a_wrong_shape_are_refused(array: Any, why: str) -> None:
    with pytest.raises(InputError, match=f"`x` .*{why}"):
        check_array(array, TensorSpec("x", "uint8", (1,)))


@pytest.mark.parametrize("code", [-1, 3])
def test_a_code_of_no_category_is_refused_and_the_unknown_one_is_not(code: int) -> None:
    with pytest.raises(InputError, match="codes of `city` must be from 0 to 2"):
        checked_arrays(table([[1.0], [2.0]], [[0], [code]]), TABLE)
    assert checked_arrays(table([[1.0], [2.0]], [[0], [2]]), TABLE)["categories"].tolist() == [[0], [2]]


def test_inputs_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="differ in their number of rows"):
        checked_arrays(table([[1.0], [2.0]], [[0]]), TABLE)


def test_a_missing_and_an_unknown_input_are_named() -> None:
    with pytest.raises(InputError, match="`categories` is missing"):
        checked_arrays({"numbers": np.ones((1, 1))}, TABLE)
    with pytest.raises(InputError, match="no input `category`") as caught:
        checked_arrays({"category": np.ones((1, 1))}, TABLE)
    assert "`categories`" in str(caught.value.hint)


def test_nan_passes_only_in_number_columns_where_it_is_filled_in() -> None:
    assert np.isnan(checked_arrays(table([[np.nan]], [[0]]), TABLE)["numbers"]).all()
    with pytest.raises(InputError, match="`numbers` holds an infinite value in row 2"):
        checked_arrays(table([[1.0], [np.inf]], [[0], [0]]), TABLE)
    with pytest.raises(InputError, match="`wave` holds NaN in row 1"):
        checked_arrays({"wave": np.array([[0, np.nan]], np.float32)}, WAVES)
