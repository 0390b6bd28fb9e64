from __future__ import annotations

import numpy as np
import pytest

from mltool.runtimes.measure import has_metrics, intervals_of, is_finite, main_metric, metrics_of

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
LABELS = np.array([0, 1, 1, 1])


def test_a_classification_is_measured_by_its_probabilities() -> None:
    outputs = {"logits": np.log(PROBABILITIES), "probabilities": PROBABILITIES}
    assert main_metric("classification") == "accuracy"
    assert metrics_of("classification", outputs, LABELS)["accuracy"] == 0.75
    low, high = intervals_of("classification", outputs, LABELS, 0.9)["accuracy"]
    assert low <= 0.75 <= high


def test_a_regression_is_measured_by_its_prediction() -> None:
    outputs = {"prediction": np.array([1.0, 2.0, 3.0])}
    assert main_metric("regression") == "r2"
    assert metrics_of("regression", outputs, np.array([1.0, 2.0, 3.0]))["r2"] == 1.0


@pytest.mark.parametrize("name", ["output", "probabilities", "prediction"])
def test_a_custom_tasks_outputs_have_no_metrics_whatever_they_are_called(name: str) -> None:
    assert not has_metrics("custom")
    assert metrics_of("custom", {name: PROBABILITIES}, LABELS) == {}
    assert intervals_of("custom", {name: PROBABILITIES}, LABELS, 0.95) == {}


def test_answers_that_are_not_finite_are_known() -> None:
    assert is_finite({"mask": np.array([1, 2]), "y": np.array([1.0])})
    assert not is_finite({"mask": np.array([1, 2]), "y": np.array([np.nan])})
    assert not is_finite({"y": np.array([np.inf])})
