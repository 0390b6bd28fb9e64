from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from mltool.statistics.metrics import (
    classification_metrics,
    confusion_matrix,
    regression_metrics,
)

FINITE = st.floats(-1e6, 1e6)


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 2**32))
def test_classification_metrics_agree_with_scikit_learn(num_classes: int, num_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(num_classes, 0.3), num_rows)
    target = rng.integers(0, num_classes, num_rows)
    predicted = probabilities.argmax(axis=1)
    ours = classification_metrics(probabilities, target)
    assert list(ours) == ["accuracy", "f1_macro", "log_loss", "calibration_error"]
    assert ours["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(target, predicted))
    f1 = sklearn.metrics.f1_score(target, predicted, average="macro", zero_division=0)
    assert ours["f1_macro"] == pytest.approx(f1)
    log_loss = sklearn.metrics.log_loss(target, probabilities, labels=range(num_classes))
    assert ours["log_loss"] == pytest.approx(log_loss)
    ours_matrix = confusion_matrix(target, predicted, num_classes)
    theirs = sklearn.metrics.confusion_matrix(target, predicted, labels=range(num_classes))
    assert (ours_matrix == theirs).all()


@given(st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=40))
def test_regression_metrics_agree_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    prediction, target = np.array(pairs).T
    ours = regression_metrics(prediction, target)
    assert ours["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(target, prediction))
    assert ours["rmse"] == pytest.approx(sklearn.metrics.root_mean_squared_error(target, prediction))
    if target.std() > 1e-3:
        assert ours["r2"] == pytest.approx(sklearn.metrics.r2_score(target, prediction), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_the_unit_of_the_target_changes_nothing_but_the_unit(unit: float) -> None:
    prediction, target = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.0])
    plain, scaled = regression_metrics(prediction, target), regression_metrics(prediction * unit, target * unit)
    assert scaled["r2"] == pytest.approx(plain["r2"])
    assert scaled["mae"] / unit == pytest.approx(plain["mae"])
    assert scaled["rmse"] / unit == pytest.approx(plain["rmse"])


@given(FINITE, st.integers(1, 50))
def test_r2_of_a_constant_target_is_one_when_exact_and_zero_otherwise(value: float, num_rows: int) -> None:
    target = np.full(num_rows, value)
    assert regression_metrics(target, target)["r2"] == 1.0
    assert regression_metrics(target + 1.0, target)["r2"] == 0.0


def test_a_probability_of_zero_costs_a_finite_amount_that_depends_on_the_dtype() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        probabilities = np.array([[1.0, 0.0]], dtype)
        loss = classification_metrics(probabilities, np.array([1]))["log_loss"]
        assert loss == pytest.approx(-np.log(float(np.finfo(dtype).eps)))


def test_a_class_that_is_never_hit_pulls_f1_down_and_an_absent_class_does_not() -> None:
    probabilities = np.eye(4)[[0, 0, 1, 1]]
    assert classification_metrics(probabilities, np.array([0, 0, 1, 1]))["f1_macro"] == 1.0
    # Class 0: 2/2; class 1: one of two predictions; class 2: a target that is never predicted.
    assert classification_metrics(probabilities, np.array([0, 0, 1, 2]))["f1_macro"] == pytest.approx(5 / 9)


@pytest.mark.parametrize(
    ("probabilities", "target", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "at least one sample"),
        (np.eye(3), np.array([0, 1]), r"must be \[N, C\]"),
        (np.eye(3), np.array([0, 1, 3]), "target `3` is outside the 3 classes"),
        (np.eye(3), np.array([0, -1, 2]), "target `-1`"),
        (np.eye(3), np.array([0.0, 1.0, 2.0]), "integer class index"),
        (np.array([[4.0, -2.0]]), np.array([0]), "logits"),
        (np.array([[1.01, 0.0]]), np.array([0]), "span `0.0` to `1.01`"),
        (np.array([[1.0, -0.01]]), np.array([0]), "span `-0.01` to `1.0`"),
        (np.array([[np.nan, 1.0]]), np.array([0]), "nan"),
    ],
)
def test_classification_arrays_that_do_not_fit_are_refused(
    probabilities: np.ndarray, target: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classification_metrics(probabilities, target)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([], [], "at least one sample"),
        ([1.0], [1.0, 2.0], "both must be"),
        ([[1.0]], [[1.0]], "both must be"),
        ([np.nan, 1.0], [1.0, 1.0], "1 of 2 predictions are not finite"),
        ([1.0, 1.0], [np.inf, 1.0], "1 of 2 targets are not finite"),
    ],
)
def test_regression_arrays_that_do_not_fit_are_refused(
    prediction: list[float], target: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        regression_metrics(np.array(prediction), np.array(target))


def test_a_column_of_predictions_never_broadcasts_against_a_row_of_targets() -> None:
    with pytest.raises(ValueError, match="both must be"):
        regression_metrics(np.ones((3, 1)), np.ones(3))
    with pytest.raises(ValueError, match="both must be"):
        confusion_matrix(np.zeros((3, 1), int), np.zeros(3, int), 2)


def test_the_calibration_error_is_of_the_class_that_was_predicted() -> None:
    sure_and_wrong = classification_metrics(np.array([[0.9, 0.1]]), np.array([1]))
    assert sure_and_wrong["calibration_error"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("target", "predicted", "message"),
    [([0, 2], [0, 1], "target `2`"), ([0, 1], [0, 2], "prediction `2`"), ([0, 1], [-1, 1], "prediction `-1`")],
)
def test_a_confusion_matrix_refuses_classes_that_there_are_not(
    target: list[int], predicted: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(target), np.array(predicted), 2)


def test_a_confusion_matrix_of_nothing_is_all_zero() -> None:
    assert confusion_matrix(np.zeros(0, int), np.zeros(0, int), 2).tolist() == [[0, 0], [0, 0]]
