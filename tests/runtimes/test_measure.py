from __future__ import annotations

import numpy as np
import pytest

from mltool.runtimes.measure import has_metrics, intervals_of, is_finite, main_metric, metrics_of

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
LABELS = np.array([0, 1, 1, 1])


def test_probabilities_are_measured_as_a_classification() -> None:
    outputs = {"logits": np.log(PROBABILITIES), "probabilities": PROBABILITIES}
    assert main_metric(outputs) == "accuracy"
    assert metrics_of(outputs, LABELS)["accuracy"] == 0.75
    low, high = intervals_of(outputs, LABELS, 0.9)["accuracy"]
    assert low <= 0.75 <= high


def test_predictions_are_measured_as_a_regression() -> None:
    outputs = {"prediction": np.array([1.0, 2.0, 3.0])}
    assert main_metric(outputs) == "r2"
    assert metrics_of(outputs, np.array([1.0, 2.0, 3.0]))["r2"] == 1.0


@pytest.mark.parametrize(
    ("outputs", "target"),
    [
        ({"output": PROBABILITIES}, LABELS),
        ({"probabilities": np.zeros((4, 2, 8, 8))}, np.zeros((4, 8, 8))),
        ({"probabilities": PROBABILITIES}, np.zeros((4, 2))),
        ({"prediction": np.zeros((4, 3))}, np.zeros((4, 3))),
        ({"probabilities": PROBABILITIES[:, :, None]}, LABELS),
        ({"prediction": np.zeros((4, 3))}, np.zeros(4)),
    ],
)
def test_a_custom_tasks_outputs_have_no_metrics_whatever_they_are_called(
    outputs: dict[str, np.ndarray], target: np.ndarray
) -> None:
    assert not has_metrics(outputs, target)
    assert metrics_of(outputs, target) == {}
    assert intervals_of(outputs, target, 0.95) == {}


def test_answers_that_are_not_finite_are_known() -> None:
    assert is_finite({"mask": np.array([1, 2]), "y": np.array([1.0])})
    assert not is_finite({"mask": np.array([1, 2]), "y": np.array([np.nan])})
    assert not is_finite({"y": np.array([np.inf])})
