from __future__ import annotations

import json

import numpy as np
import pytest
from artifact_testing import commit
from hypothesis import given
from hypothesis import strategies as st

from mltool.artifacts.checks import Check, CheckStatus, any_failed
from mltool.artifacts.store import Store

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, FINITE)
def test_a_limit_itself_passes(value: float, limit: float) -> None:
    assert (Check.at_most("x", value, limit).status is CheckStatus.passed) == (value <= limit)
    assert (Check.at_least("x", value, limit).status is CheckStatus.passed) == (value >= limit)
    assert Check.at_most("x", limit, limit).status is Check.at_least("x", limit, limit).status is CheckStatus.passed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_a_value_that_is_no_number_fails_and_can_be_stored(store: Store, value: float) -> None:
    check = Check.at_most("export_difference", value, 1e-4, "batch of 2")
    assert check == Check(
        "export_difference", CheckStatus.failed, None, 1e-4, f"batch of 2; the value is {float(value)}"
    )
    assert commit(store, checks=[check]).checks == (check,)
    assert Check.at_least("accuracy", float("nan"), 0.0).status is CheckStatus.failed


@given(st.builds(Check, st.text(), st.sampled_from(CheckStatus), FINITE | st.none(), FINITE | st.none(), st.text()))
def test_a_check_reads_back_as_it_was_written(check: Check) -> None:
    assert Check.from_json(json.loads(json.dumps(check.to_json(), allow_nan=False))) == check


def test_numbers_of_numpy_are_stored_as_numbers(store: Store) -> None:
    made = commit(
        store, checks=[Check.at_least("accuracy", np.float32(0.5), np.float64(0.25))], metrics={"a": np.float32(2)}
    )
    assert (made.checks[0].value, made.checks[0].limit, made.metrics) == (0.5, 0.25, {"a": 2.0})


def test_what_was_not_run_has_not_failed() -> None:
    assert not any_failed([Check.not_run("a", "no labels"), Check.passed("b")])
    assert any_failed([Check.passed("b"), Check.failed("c", "broken")])
    assert not any_failed([])
