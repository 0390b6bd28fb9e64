from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.statistics.sketch import CHUNK_ROWS, CategoryCounts, QuantileSketch

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FINITE_COLUMNS = st.one_of(
    st.lists(FINITE, min_size=1, max_size=80),
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=80),  # ties
)
SPACED = st.integers(-(10**6), 10**6).map(lambda value: value / 64)
LEVELS = st.integers(2, 40)
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def exact_cdf(column: np.ndarray, values: np.ndarray) -> np.ndarray:
    return (column[None, :] <= values[:, None]).mean(axis=1)


def sketch_of(column: list[float], num_levels: int) -> QuantileSketch:
    return QuantileSketch.from_column(np.array(column, np.float64), num_levels=num_levels)


@given(FINITE_COLUMNS, st.lists(st.floats(allow_nan=False), min_size=2, max_size=30), LEVELS)
def test_the_cdf_is_monotone_and_ends_at_zero_and_one(
    column: list[float], values: list[float], num_levels: int
) -> None:
    sketch = sketch_of(column, num_levels)
    cdf = sketch.cdf(np.array(sorted(values)))
    assert (np.diff(cdf) >= 0).all()
    assert (cdf >= 0).all()
    assert (cdf <= 1).all()
    assert sketch.cdf(np.array([-np.inf, max(column), np.inf])).tolist() == [0, 1, 1]
    if min(column) > -1e308:
        assert sketch.cdf(np.nextafter(min(column), -np.inf)) == 0


@given(FINITE_COLUMNS, st.lists(FINITE, max_size=30), LEVELS)
def test_the_cdf_is_off_by_less_than_one_level(column: list[float], values: list[float], num_levels: int) -> None:
    points = np.array(values + column)
    error = np.abs(sketch_of(column, num_levels).cdf(points) - exact_cdf(np.array(column), points))
    assert error.max() < 1 / (num_levels - 1)


@given(FINITE_COLUMNS, LEVELS)
def test_the_cdf_is_exact_on_the_edges_on_both_sides(column: list[float], num_levels: int) -> None:
    sketch, values = sketch_of(column, num_levels), np.array(column)
    np.testing.assert_allclose(sketch.cdf(sketch.edges), exact_cdf(values, sketch.edges), rtol=1e-12)
    below = (values[None, :] < sketch.edges[:, None]).mean(axis=1)
    np.testing.assert_allclose(sketch.below, below, rtol=1e-12)
    assert sketch.edges[0] == min(column)
    assert sketch.edges[-1] == max(column)
    assert (sketch.edges[1:] > sketch.edges[:-1]).all()


@given(FINITE_COLUMNS, st.lists(FINITE, max_size=30))
def test_a_column_of_no_more_rows_than_levels_is_kept_exactly(column: list[float], values: list[float]) -> None:
    points = np.array(values + column)
    np.testing.assert_allclose(
        sketch_of(column, len(column) + 1).cdf(points), exact_cdf(np.array(column), points), rtol=1e-12
    )


@given(st.lists(SPACED, min_size=1, max_size=80), SHARES, LEVELS)
def test_the_quantile_is_the_inverse_of_the_cdf(column: list[float], shares: list[float], num_levels: int) -> None:
    sketch, q = sketch_of(column, num_levels), np.array(shares)
    at_quantile = sketch.quantile(q)
    assert (sketch.cdf(at_quantile) >= q - 1e-6).all()
    # It is the smallest such value: a little further left the cdf is no higher than q.
    assert (sketch.cdf(at_quantile - 1e-6) <= q + 1e-3).all()
    inside = np.array(column)
    assert (sketch.quantile(sketch.cdf(inside)) <= inside + 1e-6).all()


@given(FINITE_COLUMNS, SHARES, LEVELS)
def test_quantiles_are_monotone_up_to_rounding_and_stay_within_the_column(
    column: list[float], shares: list[float], num_levels: int
) -> None:
    quantiles = sketch_of(column, num_levels).quantile(np.array([0, *sorted(shares), 1]))
    assert quantiles.min() >= min(column)
    assert quantiles[-1] == max(column)
    halves = quantiles / 2  # differences of the largest floats overflow
    assert (np.diff(halves) >= -1e-12 * np.abs(halves[1:])).all()


@given(st.lists(ANY_FLOAT, max_size=60))
def test_missing_and_infinite_values_are_counted_and_left_out(column: list[float]) -> None:
    values = np.array(column, np.float64)
    finite = values[np.isfinite(values)]
    sketch = QuantileSketch.from_column(values)
    assert sketch.num_rows == len(values)
    assert sketch.num_missing == np.isnan(values).sum()
    assert sketch.num_infinite == np.isinf(values).sum()
    assert sketch.num_sampled == len(finite)
    if len(finite):
        np.testing.assert_array_equal(sketch.edges, QuantileSketch.from_column(finite).edges)
        assert sketch.minimum <= sketch.mean <= sketch.maximum
        assert sketch.std >= 0


@pytest.mark.parametrize("column", [[], [np.nan] * 5, [np.inf, np.nan]])
def test_a_column_without_values_is_a_finding_and_not_a_crash(column: list[float]) -> None:
    sketch = QuantileSketch.from_column(np.array(column, np.float64))
    assert len(sketch.edges) == 0
    assert np.isnan([sketch.minimum, sketch.maximum, sketch.mean, sketch.std]).all()
    assert np.isnan(sketch.cdf(np.array([0.0, 1.0]))).all()
    assert np.isnan(sketch.quantile(np.array([0.0, 1.0]))).all()
    assert sketch.num_missing == np.isnan(column).sum()


@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (1e9, 1.0), (0.0, 1e300), (0.0, 1e-300)])
def test_moments_over_many_chunks_are_exact_and_do_not_overflow(offset: float, spread: float) -> None:
    unit = np.random.default_rng(0).normal(size=3 * CHUNK_ROWS + 17)
    sketch = QuantileSketch.from_column(offset + spread * unit)
    assert (sketch.mean - offset) / spread == pytest.approx(unit.mean(), abs=1e-6)
    assert sketch.std / spread == pytest.approx(unit.std(), rel=1e-6)


def test_a_constant_column_has_no_spread_at_all() -> None:
    sketch = QuantileSketch.from_column(np.full(1000, 0.1))
    assert (sketch.mean, sketch.std, sketch.edges.tolist()) == (0.1, 0.0, [0.1])
    assert sketch.cdf(np.array([0.0, 0.1, 0.2])).tolist() == [0, 1, 1]


def test_a_column_that_is_mostly_zero_is_a_step_and_not_a_slope() -> None:
    column = np.concatenate([np.zeros(9_000), np.random.default_rng(0).random(1_000) + 5])
    sketch = QuantileSketch.from_column(column)
    below, at, above = sketch.cdf(np.array([-1e-9, 0.0, 4.9]))
    assert (below, at) == (0, 0.9)
    assert 0.9 <= above < 0.9 + 1 / 255
    assert sketch.quantile(np.array(0.5)) == 0


def test_a_long_memory_mapped_column_is_sampled_evenly_and_its_facts_are_exact(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=5 * CHUNK_ROWS + 11).astype(np.float32)
    rows[::7] = np.nan
    rows[123_456], rows[200_000] = -80, 90
    np.save(tmp_path / "column.npy", rows)
    column = np.load(tmp_path / "column.npy", mmap_mode="r")
    sketch = QuantileSketch.from_column(column, max_sampled_rows=20_000, seed=3)
    finite = rows[~np.isnan(rows)].astype(np.float64)
    assert sketch.num_sampled == 20_002  # the two extremes are added
    assert (sketch.num_rows, sketch.num_missing) == (len(rows), np.isnan(rows).sum())
    assert (sketch.minimum, sketch.maximum) == (sketch.edges[0], sketch.edges[-1]) == (-80, 90)
    assert (sketch.mean, sketch.std) == pytest.approx((finite.mean(), finite.std()))
    points = np.linspace(-3, 3, 50)
    # A sample of 20,000 is within 0.0115 of the whole 99% of the time (DKW); the sketch adds 1/255.
    assert np.abs(sketch.cdf(points) - exact_cdf(finite, points)).max() < 0.0115 + 1 / 255


def test_sampling_follows_the_seed() -> None:
    column = np.random.default_rng(0).normal(size=5_000)
    one, same, other = (QuantileSketch.from_column(column, max_sampled_rows=500, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.edges, same.edges)
    assert not np.array_equal(one.edges, other.edges)


def test_no_row_is_sampled_twice() -> None:
    column = np.arange(1_000.0)
    sketch = QuantileSketch.from_column(column, max_sampled_rows=500, num_levels=1_000)
    assert len(sketch.edges) >= 500


def test_the_cdf_of_nan_is_nan_and_of_one_number_is_one_number() -> None:
    sketch = QuantileSketch.from_column(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(sketch.cdf(np.array([[np.nan, 1.0], [0.0, 2.0]])), [[np.nan, 0.5], [0, 1]])
    assert sketch.cdf(np.array(1.5)) == 0.5
    assert sketch.quantile(np.array(0.25)) == 1


def test_a_sorted_column_is_sampled_from_front_to_back() -> None:
    column = np.arange(4.0 * CHUNK_ROWS)
    sketch = QuantileSketch.from_column(column, max_sampled_rows=1_000)
    assert sketch.quantile(np.array(0.5)) == pytest.approx(2 * CHUNK_ROWS, rel=0.05)
    assert sketch.quantile(np.array(0.9)) == pytest.approx(3.6 * CHUNK_ROWS, rel=0.05)


def test_integers_booleans_and_small_floats_are_columns_too() -> None:
    for dtype in (np.int64, np.uint8, np.bool_, np.float16, np.float32):
        sketch = QuantileSketch.from_column(np.array([0, 1, 1, 1], dtype))
        assert sketch.cdf(np.array([0, 1])).tolist() == [0.25, 1]


def test_what_is_no_column_of_numbers_is_refused() -> None:
    for column in (np.zeros((3, 1)), np.array(["a"]), np.array([None])):
        with pytest.raises(ValueError, match="a column must be numeric"):
            QuantileSketch.from_column(column)
    with pytest.raises(ValueError, match="at least 2"):
        QuantileSketch.from_column(np.ones(3), num_levels=1)
    sketch = QuantileSketch.from_column(np.ones(3))
    for q in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="quantile levels"):
            sketch.quantile(np.array([q]))


@given(st.lists(st.integers(0, 4), max_size=50))
def test_codes_are_counted_with_the_unknown_ones_first(codes: list[int]) -> None:
    counts = CategoryCounts.from_codes(np.array(codes, np.int64), 4)
    assert counts.counts.tolist() == [codes.count(code) for code in range(5)]
    assert counts.num_rows == len(codes)
    assert counts.counts[0] == codes.count(0)


def test_codes_are_counted_over_many_chunks() -> None:
    codes = np.random.default_rng(0).integers(0, 3, 2 * CHUNK_ROWS + 5).astype(np.uint8)
    assert CategoryCounts.from_codes(codes, 2).counts.tolist() == np.bincount(codes).tolist()


@pytest.mark.parametrize(
    ("codes", "message"),
    [(np.array([0, 3]), "code `3`"), (np.array([-1]), "code `-1`"), (np.array([0.5]), "integers")],
)
def test_codes_outside_the_vocabulary_are_refused(codes: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CategoryCounts.from_codes(codes, 2)
