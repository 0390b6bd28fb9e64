"""One decision a window: as seldom wrong as it says, and right about what moved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from drift_testing import CLASSES, Rows, reference, rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from mltool.statistics.drift import Detector, Drift
from mltool.statistics.reference import build_reference
from mltool.statistics.window import MAX_WINDOW_ROWS


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.of(reference(), CLASSES)


def check(detector: Detector, window: Rows, **options: float) -> Drift:
    return detector.check(window.inputs, window.outputs, **options)  # type: ignore[arg-type]


def false_alarms(num_windows: int, num_rows: int, num_reference: int = 150) -> int:
    """Alarms on windows drawn like the reference, which is drawn anew each time, as its own error counts too."""
    return sum(
        Detector.of(reference(num_reference, 2 * trial)).check(w.inputs, w.outputs, seed=trial).alarm
        for trial in range(num_windows)
        for w in [rows(num_rows, 2 * trial + 1)]
    )


@pytest.mark.parametrize("num_rows", [10, 50])
def test_one_window_in_twenty_is_a_false_alarm(num_rows: int) -> None:
    # Above 13 of 100 comes with a chance of 1 in 3,000 at 5%, and 0 with 1 in 170 at 5%.
    assert 1 <= false_alarms(100, num_rows) <= 13


@pytest.mark.soak
@pytest.mark.parametrize("num_rows", [10, 50, 200, 500])
def test_false_alarms_stay_near_their_rate_over_many_windows(num_rows: int) -> None:
    assert 0.02 <= false_alarms(400, num_rows) / 400 <= 0.08


def _dead(window: Rows) -> None:
    window.column("age")[:] = 40


def _missing(window: Rows) -> None:
    window.column("age")[:] = np.nan


def _shifted(window: Rows) -> None:
    window.column("age")[:] += 12


def _gaps(window: Rows) -> None:
    window.column("visits")[::5] = np.nan


def _unknown(window: Rows) -> None:
    window.column("colour")[::3] = 0


def _merged(window: Rows) -> None:
    window.column("colour")[window.column("colour") == 2] = 1


def _moved_constant(window: Rows) -> None:
    window.column("constant")[:] = 6.5


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_dead, "age"),
        (_missing, "age"),
        (_shifted, "age"),
        (_gaps, "visits"),
        (_unknown, "colour"),
        (_merged, "colour"),
        (_moved_constant, "constant"),
    ],
)
def test_a_column_that_changed_is_found_and_comes_first(
    detector: Detector, change: Callable[[Rows], None], name: str
) -> None:
    window = rows(200, 77)
    change(window)
    found = check(detector, window)
    assert found.alarm
    assert found.p_value <= 0.05
    assert found.columns[0].name == name
    assert [column.name for column in found.columns if column.is_drifted] == [name]


def test_outputs_that_changed_are_found_by_the_names_of_the_classes(detector: Detector) -> None:
    window = rows(200, 78)
    window.outputs["probabilities"] = window.outputs["probabilities"][:, [1, 2, 0]]
    found = check(detector, window)
    drifted = {column.name for column in found.columns if column.is_drifted}
    assert {"probabilities[no]", "probabilities[yes]", "predicted class"} <= drifted
    assert not {"age", "income", "colour"} & drifted


def test_a_class_that_does_not_come_any_more_is_found(detector: Detector) -> None:
    window = rows(600, 79)
    kept = window.outputs["probabilities"].argmax(axis=1) != 2
    seen = {name: array[kept] for name, array in window.outputs.items()}
    found = detector.check({}, seen)
    assert found.alarm
    assert found.heads["classes"] <= 0.05
    assert set(found.not_tested) == {"numbers", "categories"}


def test_the_same_window_gives_the_same_numbers_and_another_seed_nearly_the_same(detector: Detector) -> None:
    window = rows(100, 80)
    first = check(detector, window)
    assert first == check(detector, window)
    other = check(detector, window, seed=1)
    assert other.p_value == pytest.approx(first.p_value, abs=0.15)
    assert {c.name: c.distances for c in other.columns} == {c.name: c.distances for c in first.columns}


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-6])
def test_the_last_digits_of_a_runtime_are_no_drift(scale: float) -> None:
    random = np.random.default_rng(2)
    answers = (random.integers(0, 3, (400, 1)) / 2).astype(np.float32) * np.float32(scale)
    known = build_reference(
        numbers={}, categories={}, target_classes=None, rows={}, outputs={"prediction": answers}, row_split="test"
    )
    again = answers[:200] * np.float32(1 - 1e-7)
    assert not np.array_equal(again, answers[:200])
    assert not Detector.of(known).notices({}, {"prediction": again})
    assert Detector.of(known).notices({}, {"prediction": answers[:200] * np.float32(1 + 1e-4)})


def test_noticing_is_the_alarm_of_the_check(detector: Detector) -> None:
    for seed in range(20):
        window = rows(60, seed)
        window.column("age")[:] += 5
        assert detector.notices(window.inputs, window.outputs, seed=seed) == check(detector, window, seed=seed).alarm


def test_an_alarm_and_the_columns_that_drifted_agree(detector: Detector) -> None:
    """No column is called drifted without an alarm, whatever the level."""
    for seed in range(30):
        window = rows(40, 500 + seed)
        window.column("age")[:] += seed / 5
        found = check(detector, window, seed=seed)
        assert found.alarm == (found.p_value <= found.alpha)
        assert found.alarm or not any(column.is_drifted for column in found.columns)
        assert min(column.p_value for column in found.columns) >= found.p_value
        assert min(found.heads.values()) <= found.p_value


def test_a_p_value_of_exactly_the_level_is_an_alarm(detector: Detector) -> None:
    """At least as far as observed are `alpha` of all assignments, no fewer: that is what the error rate counts."""
    window = rows(40, 520)
    window.column("age")[:] += 7
    level = check(detector, window).p_value
    assert 1 / 400 < level < 0.2
    found = check(detector, window, alpha=level)
    assert found.p_value == found.alpha == level
    assert found.alarm
    assert detector.notices(window.inputs, window.outputs, alpha=level)
    assert found.columns[0].p_value == level
    assert found.columns[0].is_drifted
    just_below = math.nextafter(level, 0)
    assert not check(detector, window, alpha=just_below).alarm
    assert not detector.notices(window.inputs, window.outputs, alpha=just_below)


def test_a_smaller_level_asks_for_more_evidence(detector: Detector) -> None:
    window = rows(200, 77)
    _shifted(window)
    found = check(detector, window, alpha=0.002)
    assert found.alarm
    assert found.p_value <= 0.002


def test_order_and_number_of_columns_are_those_of_the_reference(detector: Detector) -> None:
    found = check(detector, rows(50, 3))
    assert {column.name: column.kind for column in found.columns} == {
        **dict.fromkeys(("age", "income", "visits", "constant", "rare"), "number"),
        **dict.fromkeys(("colour", "town"), "category"),
        **dict.fromkeys((f"probabilities[{name}]" for name in CLASSES), "output"),
        "confidence": "output",
        "predicted class": "class",
    }
    assert json.loads(json.dumps(found.to_json()))["columns"][0].keys() == {
        "name", "kind", "drifted", "p_value", "js", "psi", "wasserstein_sd", "missing", "missing_reference", "mean",
        "mean_reference",
    }  # fmt: skip


@pytest.mark.parametrize("num_rows", [30, 200])
def test_the_smallest_shift_that_is_named_is_noticed_about_four_times_in_five(num_rows: int) -> None:
    rng = np.random.default_rng(num_rows)
    named = plain(rng.normal(size=(500, 10))).check({"x": narrow(rng.normal(size=(num_rows, 10)))}, {})
    assert named.smallest_shift_sd is not None
    num_noticed = 0
    for seed in range(60):
        window = rng.normal(size=(num_rows, 10))
        window[:, 3] += named.smallest_shift_sd
        num_noticed += plain(rng.normal(size=(500, 10))).notices({"x": narrow(window)}, {}, seed=seed)
    assert 0.6 <= num_noticed / 60 <= 0.99


def test_fewer_rows_see_only_larger_shifts(detector: Detector) -> None:
    named = [check(detector, rows(num_rows, 5)).smallest_shift_sd for num_rows in (10, 50, 500)]
    assert [math.inf if one is None else one for one in named] == sorted(
        (math.inf if one is None else one for one in named), reverse=True
    )


def test_of_a_large_window_a_part_is_tested_and_all_gaps_are_counted(detector: Detector) -> None:
    window = rows(30_000, 6)
    window.column("visits")[:150] = np.nan
    found = check(detector, window)
    assert (found.num_rows, found.num_tested_rows) == (30_000, MAX_WINDOW_ROWS)
    (visits,) = (column for column in found.columns if column.name == "visits")
    assert visits.distances.missing == pytest.approx(150 / 30_000)


@pytest.mark.parametrize(("num_rows", "message"), [(0, "0 rows"), (1, "1 rows"), (9, "9 rows, but at least 10")])
def test_a_window_that_is_too_small_is_refused(detector: Detector, num_rows: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(detector, rows(20, 1)[:num_rows])


def test_what_does_not_fit_the_reference_is_refused(detector: Detector) -> None:
    window = rows(50, 1)
    with pytest.raises(ValueError, match="differ in their number of rows"):
        detector.check(window.inputs, window[:20].outputs)
    with pytest.raises(ValueError, match=r"`numbers` has rows of shape \[4\], not \[5\]"):
        detector.check({"numbers": window.inputs["numbers"][:, 1:]}, {})
    with pytest.raises(ValueError, match="none of the inputs and outputs"):
        detector.check({"other": np.zeros(50)}, {})
    with pytest.raises(ValueError, match="`alpha` is"):
        check(detector, window, alpha=1.5)
    with pytest.raises(ValueError, match="keeps 19 rows, but at least 20"):
        Detector.of(reference(19))


def plain(rows_NF: np.ndarray) -> Detector:
    """A detector for one tensor of numbers."""
    return Detector.of(
        build_reference(
            numbers={}, categories={}, target_classes=None, rows={"x": narrow(rows_NF)}, outputs={}, row_split="test"
        )
    )


def narrow(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)


NUMBERS_OF_ANY_KIND = nps.arrays(
    np.float32,
    st.tuples(st.integers(10, 30), st.just(2)),
    elements=st.floats(width=32) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf]),
)


@given(NUMBERS_OF_ANY_KIND, st.booleans())
def test_whatever_comes_in_there_is_a_decision(window: np.ndarray, is_output: bool) -> None:
    random = np.random.default_rng(0)
    known = narrow(random.normal(size=(40, 2)))
    known[::7, 0] = np.nan
    arrays = {"inputs": {"x": window}, "outputs": {}}
    rows = {"rows": {"x": known}, "outputs": {}}
    if is_output:
        arrays, rows = {"inputs": {}, "outputs": {"y": window}}, {"rows": {}, "outputs": {"y": known}}
    found = Detector.of(
        build_reference(numbers={}, categories={}, target_classes=None, row_split="test", **rows)
    ).check(**arrays)
    assert 0 < found.p_value <= 1
    assert all(0 <= column.distances.js <= 1 for column in found.columns)
    json.dumps(found.to_json())
