"""How far a column moved, held against what it is by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy.stats import wasserstein_distance

from mltool.statistics.distances import RememberedCategories, RememberedNumbers
from mltool.statistics.sketch import CategoryCounts, QuantileSketch

# Axes: N rows


def moved(reference_N: np.ndarray, window_N: np.ndarray, missing: float = 0.0):  # type: ignore[no-untyped-def]
    known = RememberedNumbers(QuantileSketch.from_column(reference_N.astype(np.float32)))
    return known.distances(np.sort(window_N.astype(np.float32)), missing)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.5, 3.0, -20.0])
@pytest.mark.parametrize("form", ["bell", "counts", "mostly zero"])
def test_the_wasserstein_distance_is_near_the_exact_one(shift: float, form: str) -> None:
    random = np.random.default_rng(3)
    draw = {
        "bell": lambda: random.normal(size=3_000),
        "counts": lambda: random.poisson(2, 3_000).astype(float),
        "mostly zero": lambda: np.where(random.random(3_000) < 0.9, 0.0, random.exponential(size=3_000)),
    }[form]
    reference_N, window_N = draw(), draw() + shift
    exact = wasserstein_distance(reference_N, window_N) / reference_N.std()
    assert moved(reference_N, window_N).wasserstein_sd == pytest.approx(exact, rel=0.03, abs=0.01)


def test_equal_columns_have_no_distance_and_disjoint_ones_have_all() -> None:
    values_N = np.random.default_rng(0).normal(size=1_000)
    same, far = moved(values_N, values_N), moved(values_N, values_N + 100)
    assert same.js < 0.02
    assert same.psi < 0.01
    assert same.wasserstein_sd == pytest.approx(0, abs=0.01)
    assert far.js > 0.85  # the last of ten bins is open
    assert far.psi > 5


def test_a_psi_is_what_its_definition_says() -> None:
    reference = RememberedCategories(CategoryCounts(np.array([0, 50, 50])))
    window = reference.distances(np.repeat([1, 2], [80, 20]))
    assert window.psi == pytest.approx(0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5))
    assert window.wasserstein_sd is None
    assert window.missing == 0.0


def test_what_is_missing_is_a_bin_of_its_own() -> None:
    values_N = np.random.default_rng(0).normal(size=1_000)
    none_left = moved(values_N, np.zeros(0), missing=1.0)
    assert (none_left.js, none_left.missing, none_left.wasserstein_sd, none_left.mean) == (1.0, 1.0, None, None)
    half = moved(values_N, values_N, missing=0.5)
    assert 0.4 < half.js < 0.8


def test_a_constant_column_has_moved_when_it_is_another_constant() -> None:
    constant = np.full(100, 7.0)
    assert moved(constant, constant).js == 0.0
    for other in (6.9, 7.1):
        assert moved(constant, np.full(50, other)).js == 1.0
        assert moved(constant, np.full(50, other)).wasserstein_sd is None


def test_unknown_codes_count_as_missing_but_a_class_of_code_0_does_not() -> None:
    counts = CategoryCounts(np.array([10, 90]))
    codes = np.repeat([0, 1], [30, 70])
    assert RememberedCategories(counts).distances(codes).missing == 0.3
    assert RememberedCategories(counts).distances(codes).missing_reference == 0.1
    assert RememberedCategories(counts, is_class=True).distances(codes).missing == 0.0


COLUMN = nps.arrays(
    np.float32,
    st.integers(0, 80),
    elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, 1.0, np.nan, np.inf]),
)


@given(COLUMN, COLUMN)
def test_distances_of_any_two_columns_are_in_their_range(reference_N: np.ndarray, window_N: np.ndarray) -> None:
    missing = float(np.isnan(window_N).mean()) if len(window_N) else 0.0
    found = moved(reference_N, window_N, missing)
    assert 0 <= found.js <= 1
    assert found.psi >= 0
    assert found.wasserstein_sd is None or found.wasserstein_sd >= 0
