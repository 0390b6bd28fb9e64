from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mltool.datasets.columns import Columns
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec
from mltool.modeling.preprocess import Identity, ImageScaling, NumberScaling, fit, from_weights, unfitted

# Axes: N samples, C channels, H height, W width, F number columns

TARGET = Target("y", "class", ("a", "b"))


def number_schema(num_columns: int) -> Schema:
    columns = tuple(Column(f"n{index}", "number") for index in range(num_columns))
    return Schema(columns, (TensorSpec("numbers", "float32", (num_columns,)),), TARGET)


def image_schema(channels: int, height: int, width: int) -> Schema:
    inputs = (TensorSpec("image", "uint8", (channels, height, width)),)
    return Schema((Column("image", "image"),), inputs, TARGET, ImageSpec(channels, height, width))


def columns_of(**inputs: np.ndarray) -> Columns:
    return Columns(inputs, np.zeros(len(next(iter(inputs.values()))), np.int64))


def fitted_numbers(numbers_NF: np.ndarray) -> tuple[NumberScaling, Tensor]:
    (module,) = fit(number_schema(numbers_NF.shape[1]), columns_of(numbers=numbers_NF))
    assert isinstance(module, NumberScaling)
    return module, module(torch.from_numpy(numbers_NF))


def test_numbers_get_mean_0_and_deviation_1_and_missing_ones_the_median() -> None:
    numbers_NF = np.array([[1, 10], [2, np.nan], [3, 30], [10, 20]], np.float32)
    module, scaled_NF = fitted_numbers(numbers_NF)
    assert module.median_F.tolist() == [2.5, 20.0]
    torch.testing.assert_close(scaled_NF.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(scaled_NF.std(0, correction=0), torch.ones(2))
    assert float(scaled_NF[1, 1]) == 0.0
    # Rows that were not there when it was fitted, missing ones too, get the same treatment.
    later_NF = module(torch.tensor([[float("nan"), 20.0]]))
    assert later_NF.tolist() == [[pytest.approx((2.5 - 4.0) / np.sqrt(12.5)), 0.0]]


def test_a_constant_or_empty_column_becomes_zeros() -> None:
    numbers_NF = np.array([[7.3, np.nan, 1e30], [7.3, np.nan, 1e30]], np.float32)
    _, scaled_NF = fitted_numbers(numbers_NF)
    assert scaled_NF.tolist() == [[0.0, 0.0, 0.0]] * 2


@given(
    seed=st.integers(0, 1000),
    num_rows=st.integers(1, 60),
    offset=st.sampled_from([0.0, 1e-3, 1.0, 1e4, -1e6]),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    missing=st.floats(0.0, 1.0),
)
def test_scaled_numbers_are_always_finite(
    seed: int, num_rows: int, offset: float, spread: float, missing: float
) -> None:
    generator = np.random.default_rng(seed)
    numbers_NF = (offset + spread * generator.normal(size=(num_rows, 3))).astype(np.float32)
    numbers_NF[generator.random((num_rows, 3)) < missing] = np.nan
    module, scaled_NF = fitted_numbers(numbers_NF)
    assert bool(scaled_NF.isfinite().all())
    # No value of n is further than sqrt(n) deviations from their mean, up to the last bit of a float32.
    rounding = np.nanmax(np.abs(numbers_NF), initial=0.0) * 2.0**-23 / float(module.std_F.min())
    assert float(scaled_NF.abs().max()) <= np.sqrt(num_rows) + 1e-3 + rounding


@pytest.mark.parametrize("num_rows", [3, 4000])
def test_pictures_get_mean_0_and_deviation_1_in_each_channel(num_rows: int) -> None:
    generator = np.random.default_rng(0)
    image_NCHW = np.stack(
        [generator.integers(0, 100, (num_rows, 8, 8)), generator.integers(50, 256, (num_rows, 8, 8))], axis=1
    ).astype(np.uint8)  # 4,000 are several chunks
    (module,) = fit(image_schema(2, 8, 8), columns_of(image=image_NCHW))
    assert isinstance(module, ImageScaling)
    scaled_NCHW = module(torch.from_numpy(image_NCHW))
    torch.testing.assert_close(scaled_NCHW.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled_NCHW.std((0, 2, 3), correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_a_channel_of_one_colour_is_not_divided_by_zero() -> None:
    image_NCHW = np.full((5, 1, 2, 2), 255, np.uint8)
    (module,) = fit(image_schema(1, 2, 2), columns_of(image=image_NCHW))
    assert module(torch.from_numpy(image_NCHW)).abs().max() < 1e-6


def test_codes_and_prepared_tensors_stay_as_they_are() -> None:
    schema = Schema(
        (Column("colour", "category", ("red",)), Column("x", "tensor"), Column("numbers", "tensor")),
        (
            TensorSpec("categories", "int64", (1,)),
            TensorSpec("x", "uint8", (1, 2, 2)),
            TensorSpec("numbers", "float32", (2,)),  # only a name: prepared by the user, not by us
        ),
        TARGET,
    )
    columns = columns_of(
        categories=np.ones((3, 1), np.int64), x=np.ones((3, 1, 2, 2), np.uint8), numbers=np.ones((3, 2), np.float32)
    )
    assert [type(module) for module in fit(schema, columns)] == [Identity, Identity, Identity]


def test_weights_trained_elsewhere_get_pixels_between_0_and_1() -> None:
    (module,) = unfitted(image_schema(3, 1, 1))
    pixels_NCHW = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    torch.testing.assert_close(module(pixels_NCHW).flatten(), torch.tensor([0.0, 0.2, 1.0]))
    (module,) = unfitted(number_schema(2))
    assert isinstance(module, Identity)


def test_a_long_column_is_fitted_on_evenly_spaced_rows() -> None:
    numbers_NF = np.zeros((250_001, 1), np.float32)
    numbers_NF[::3] = 4.0  # every third row is looked at: at most 100,000 of them
    module, _ = fitted_numbers(numbers_NF)
    assert module.mean_F.tolist() == [4.0]


def test_what_was_fitted_comes_back_from_stored_weights() -> None:
    generator = np.random.default_rng(0)
    schema = Schema(
        (Column("image", "image"), Column("x", "tensor"), Column("n", "number")),
        (
            TensorSpec("image", "uint8", (1, 2, 2)),
            TensorSpec("x", "float32", (2,)),
            TensorSpec("numbers", "float32", (3,)),
        ),
        TARGET,
        ImageSpec(1, 2, 2),
    )
    modules = fit(
        schema,
        columns_of(
            image=generator.integers(0, 256, (9, 1, 2, 2), dtype=np.uint8),
            x=generator.normal(size=(9, 2)).astype(np.float32),
            numbers=generator.normal(size=(9, 3)).astype(np.float32),
        ),
    )
    stored = torch.nn.ModuleList(modules).state_dict(prefix="preprocess.") | {"network.0.weight": torch.ones(1)}
    again = from_weights(stored, 3)
    assert [type(module) for module in again] == [ImageScaling, Identity, NumberScaling]
    for module, other in zip(modules, again, strict=True):
        assert module.state_dict().keys() == other.state_dict().keys()
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in module.state_dict().items())
