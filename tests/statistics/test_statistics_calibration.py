from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.statistics.calibration import expected_calibration_error, reliability_curve

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(PAIRS, st.integers(1, 30))
def test_every_sample_is_in_exactly_one_bin_that_holds_its_confidence(
    pairs: list[tuple[float, bool]], num_bins: int
) -> None:
    confidence, correct = (np.array(values) for values in zip(*pairs, strict=True))
    bins = reliability_curve(confidence, correct, num_bins)
    assert sum(entry["num_samples"] for entry in bins) == len(pairs)
    assert sum(entry["accuracy"] * entry["num_samples"] for entry in bins) == pytest.approx(correct.sum())
    for entry in bins:
        assert entry["low"] - 1e-12 <= entry["confidence"] <= entry["high"] + 1e-12


@given(PAIRS)
def test_the_error_is_the_gap_summed_bin_by_bin(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(values, float) for values in zip(*pairs, strict=True))
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for index in range(15):
        inside = (confidence > edges[index]) & (confidence <= edges[index + 1])
        if index == 0:
            inside |= confidence == 0
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected, abs=1e-12)


def test_always_sure_and_always_wrong_is_the_worst_score() -> None:
    assert expected_calibration_error(np.ones(5), np.zeros(5)) == 1.0
    assert expected_calibration_error(np.ones(5), np.ones(5)) == 0.0


def test_gaps_of_different_signs_cancel_only_within_a_bin() -> None:
    confidence, correct = np.array([0.25, 0.75]), np.array([1, 0])
    assert expected_calibration_error(confidence, correct, num_bins=1) == 0.0
    assert expected_calibration_error(confidence, correct, num_bins=2) == 0.75


def test_bins_without_samples_are_left_out() -> None:
    bins = reliability_curve(np.array([0.05, 0.95, 0.96]), np.array([0, 1, 0]), num_bins=10)
    assert [(round(entry["low"], 1), entry["num_samples"]) for entry in bins] == [(0.0, 1), (0.9, 2)]
    assert bins[1]["accuracy"] == 0.5


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    bins = reliability_curve(np.array([0.0, 0.5, 0.75]), np.array([0, 1, 1]), num_bins=2)
    assert [entry["num_samples"] for entry in bins] == [2, 1]


def test_rounding_above_one_is_accepted_and_counts_as_one() -> None:
    (entry,) = reliability_curve(np.array([np.float32(1.0000001)]), np.array([True]))
    assert entry["confidence"] == 1.0


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        ([], []),
        ([0.5], [1, 0]),
        ([1.5], [1]),
        ([-0.5], [1]),
        ([1.01], [1]),
        ([-0.01], [1]),
        ([np.nan], [1]),
        ([0.5], [2]),
        ([[0.5]], [[1]]),
    ],
)
def test_impossible_values_are_refused(confidence: list[float], correct: list[int]) -> None:
    with pytest.raises(ValueError, match=r"confidence|correct|sample"):
        reliability_curve(np.array(confidence), np.array(correct))
    with pytest.raises(ValueError, match="num_bins"):
        reliability_curve(np.array([0.5]), np.array([1]), num_bins=0)
