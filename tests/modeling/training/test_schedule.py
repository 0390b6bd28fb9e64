from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.modeling.config import SCHEDULES
from mltool.modeling.training.schedule import learning_rate

PEAK = 0.1


def rates(shape: str, num_steps: int, warmup: float = 0.0) -> list[float]:
    at = learning_rate(PEAK, shape, num_steps=num_steps, warmup=warmup)
    return [at(step) for step in range(num_steps)]


def test_without_warm_up_each_shape_is_its_formula() -> None:
    assert rates("constant", 5) == [PEAK] * 5
    assert rates("linear", 5) == pytest.approx([0.1, 0.08, 0.06, 0.04, 0.02])
    assert rates("cosine", 4) == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], abs=1e-6)


def test_the_warm_up_rises_in_equal_steps_and_then_the_shape_begins() -> None:
    assert rates("linear", 10, 0.4) == pytest.approx(
        [0.02, 0.04, 0.06, 0.08, 0.1, 0.1 * 5 / 6, 0.1 * 4 / 6, 0.1 * 3 / 6, 0.1 * 2 / 6, 0.1 * 1 / 6]
    )
    assert rates("constant", 4, 0.5) == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1])


@pytest.mark.parametrize("shape", SCHEDULES)
@given(num_steps=st.integers(1, 500), warmup=st.floats(0.0, 1.0))
def test_a_schedule_rises_then_falls_and_never_leaves_its_bounds(shape: str, num_steps: int, warmup: float) -> None:
    values = rates(shape, num_steps, warmup)
    num_warmup = round(num_steps * warmup)
    assert all(0 < value <= PEAK for value in values)
    assert values[:num_warmup] == sorted(values[:num_warmup])
    assert values[num_warmup:] == sorted(values[num_warmup:], reverse=True)
    if num_warmup < num_steps:
        assert values[num_warmup] == PEAK


@pytest.mark.parametrize(("shape", "last"), [("cosine", 0.0), ("linear", 0.0), ("constant", PEAK)])
def test_after_the_last_step_the_end_stays(shape: str, last: float) -> None:
    at = learning_rate(PEAK, shape, num_steps=10, warmup=0.1)
    assert [at(10), at(11), at(500)] == pytest.approx([last] * 3, abs=1e-12)


def test_a_short_run_reaches_nearly_zero() -> None:
    assert rates("cosine", 100)[-1] < 0.001 * PEAK
    assert rates("linear", 100)[-1] == pytest.approx(0.01 * PEAK)
