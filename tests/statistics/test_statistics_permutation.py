"""The validity of the decision without any chance: of all that could be observed, no more is an alarm than is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mltool.statistics import indicators
from mltool.statistics.permutation import Assignments, Decision, p_values

# Axes: H heads, A assignments, N rows, K indicators

HEADS = ("one", "two", "three")
# Few values, so that ties are common.
STATISTICS = nps.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(2, 40)), elements=st.integers(0, 6).map(float)
)


def decision(statistics_HA: np.ndarray, observed: int) -> Decision:
    """As if the assignment at `observed` had been the real one."""
    order = [observed, *(a for a in range(statistics_HA.shape[1]) if a != observed)]
    return Decision(dict(zip(HEADS, statistics_HA[:, order], strict=False)))


@given(STATISTICS, st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5]))
def test_no_more_of_all_assignments_than_alpha_would_have_been_an_alarm(
    statistics_HA: np.ndarray, alpha: float
) -> None:
    num_assignments = statistics_HA.shape[1]
    p = [decision(statistics_HA, observed).p_value for observed in range(num_assignments)]
    assert np.mean(np.array(p) <= alpha) <= alpha
    assert min(p) >= 1 / num_assignments


@given(STATISTICS)
def test_the_largest_of_a_head_is_as_significant_as_the_head_and_never_more_than_the_decision(
    statistics_HA: np.ndarray,
) -> None:
    made = decision(statistics_HA, 0)
    for head, statistic_A in zip(HEADS, statistics_HA, strict=False):
        (adjusted,) = made.adjusted(head, statistic_A[:1])
        assert adjusted >= made.p_value
        assert adjusted >= made.head_p_values()[head] - 1e-12
        smaller, larger = made.adjusted(head, np.array([0.0, 100.0]))
        assert smaller >= larger


@given(STATISTICS, st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_what_is_above_the_critical_value_is_an_alarm_and_what_is_below_is_none(
    statistics_HA: np.ndarray, alpha: float
) -> None:
    made = decision(statistics_HA, 0)
    for head, statistic_A in zip(HEADS, statistics_HA, strict=False):
        critical = made.critical(head, alpha)
        seen = np.unique(statistic_A)
        is_alarm = made.adjusted(head, seen) <= alpha
        assert np.array_equal(is_alarm, seen > critical)


def test_a_head_that_sees_nothing_costs_nothing() -> None:
    statistic_A = np.arange(20, 0, -1).astype(np.float32)
    alone = Decision({"one": statistic_A})
    beside = Decision({"one": statistic_A, "two": np.zeros(20, np.float32)})
    assert alone.p_value == beside.p_value == 1 / 20


def test_two_heads_that_see_the_same_cost_nothing() -> None:
    statistic_A = np.arange(20, 0, -1).astype(np.float32)
    assert Decision({"one": statistic_A, "two": statistic_A}).p_value == 1 / 20


def test_the_observed_assignment_is_one_of_them() -> None:
    assert p_values(np.array([3.0, 2.0, 9.0]), np.array([3.0, 1.0, 2.0, 2.0])).tolist() == [0.25, 0.75, 0.0]


def test_assignments_keep_the_sizes_and_begin_with_the_observed_one() -> None:
    drawn = Assignments.draw(30, 12, 50, 3)
    assert drawn.in_window_AN.shape == (51, 42)
    assert set(drawn.in_window_AN.sum(axis=1).tolist()) == {12.0}
    assert drawn.in_window_AN[0].tolist() == [0.0] * 30 + [1.0] * 12
    assert len(np.unique(drawn.in_window_AN, axis=0)) > 45
    assert np.array_equal(Assignments.draw(30, 12, 50, 3).in_window_AN, drawn.in_window_AN)


def test_a_difference_is_in_standard_deviations_but_for_rare_events() -> None:
    drawn = Assignments.draw(100, 100, 1, 0)
    common, rare = np.zeros((2, 200), np.float32)
    common[:60] = 1
    rare[100:102] = 1
    statistics = drawn.differences(np.stack([common, rare]), floor=0.3)[0]
    share = 0.3
    assert statistics[0] == pytest.approx(0.6 / np.sqrt(share * (1 - share) * 2 / 100), rel=1e-5)
    assert statistics[1] == pytest.approx(0.02 / (0.15 * np.sqrt(2 / 100)), rel=1e-5)


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(nps.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 60)), elements=FLOATS | st.just(1.0)))
def test_columns_of_any_numbers_ask_only_what_rows_answer_differently(values_JN: np.ndarray) -> None:
    asked = indicators.of_numbers(values_JN)
    total_K = asked.answers_KN.sum(axis=1)
    assert ((total_K > 0) & (total_K < values_JN.shape[1])).all()
    assert (np.diff(asked.column_K) >= 0).all()
    for column, values_N in enumerate(values_JN):
        answers = asked.answers_KN[asked.column_K == column]
        assert len(np.unique(answers, axis=0)) == len(answers) <= 2 * indicators.NUM_LEVELS
        order = np.argsort(values_N)  # NaN last, which is at most nothing
        assert (np.diff(answers[:, order]) <= 0).all()


@given(nps.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(2, 60)), elements=st.integers(0, 50)))
def test_columns_of_any_codes_ask_for_the_most_frequent_ones(codes_JN: np.ndarray) -> None:
    asked = indicators.of_categories(codes_JN)
    total_K = asked.answers_KN.sum(axis=1)
    assert ((total_K > 0) & (total_K < codes_JN.shape[1])).all()
    for column, codes_N in enumerate(codes_JN):
        num_distinct = len(np.unique(codes_N))
        expected = 0 if num_distinct == 1 else min(num_distinct, indicators.MAX_CATEGORIES)
        assert (asked.column_K == column).sum() == expected


def test_a_step_is_cut_on_both_sides() -> None:
    """-1 at one row in fifty is seen although every quantile is 0."""
    values = np.zeros((1, 200), np.float32)
    values[0, :4], values[0, 4:8] = -1, 1
    answers = indicators.of_numbers(values).answers_KN
    assert sorted(answers.sum(axis=1).tolist()) == [4.0, 196.0]
