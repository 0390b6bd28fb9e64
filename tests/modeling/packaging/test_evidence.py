from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mltool.artifacts.checks import Check
from mltool.datasets.columns import Columns
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.modeling.config import TaskConfig
from mltool.modeling.packaging import evidence
from mltool.modeling.packaging.made import Made
from mltool.modeling.tasks.task import make_task
from mltool.runtimes.runner import Signature

CLASSES = ("a", "b")
SCHEMA = Schema(
    (Column("numbers", "tensor"),), (TensorSpec("numbers", "float32", (3,)),), Target("y", "class", CLASSES)
)


class Fixed:
    """A model whose answers are the first two numbers of its input."""

    weights_file = None

    def input_names(self, schema: Schema) -> list[str]:
        return [spec.name for spec in schema.inputs]

    def answer(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        logits = np.array(inputs[0][:, :2])
        return {"logits": logits, "probabilities": np.exp(logits) / np.exp(logits).sum(1, keepdims=True)}

    def write(self, folder: Path, signature: Signature, example: Sequence[np.ndarray]) -> Check:
        return Check.passed("export")


def columns(num_rows: int, first: float = 0.0) -> Columns:
    x = np.random.default_rng(0).normal(size=(num_rows, 3)).astype(np.float32)
    if num_rows:
        x[0, 0] += first
    return Columns({"numbers": x}, x[:, :2].argmax(1))


def made(labelled: bool = True, **splits: Columns) -> Made:
    task = make_task(TaskConfig(), SCHEMA, torch.zeros(4, 2))
    return Made(form=Fixed(), task=task, schema=SCHEMA, splits=splits, config={}, is_labelled=labelled)


def test_the_test_split_says_how_good_a_model_is_and_the_nearest_stands_in() -> None:
    rows, none = columns(10), columns(0)
    assert made(train=rows, validation=rows, test=rows).metrics_split == "test"
    assert made(train=rows, validation=rows, test=none).metrics_split == "validation"
    assert made(train=rows, validation=none, test=none).metrics_split == "train"
    assert made(samples=rows).metrics_split == made(samples=rows).reference_split == "samples"
    assert made(train=rows, validation=rows, test=rows).reference_split == "validation"


@pytest.mark.parametrize(("num_rows", "kept"), [(1, 1), (2, 2), (256, 256), (257, 256), (5000, 256)])
def test_samples_are_spread_over_the_whole_split(num_rows: int, kept: int) -> None:
    rows = columns(num_rows)
    samples = evidence.samples(made(test=rows), ["x"])
    assert len(samples) == kept
    assert np.array_equal(samples.inputs["x"][[0, -1]], rows.inputs["numbers"][[0, -1]])
    assert samples.target is not None
    assert np.array_equal(samples.outputs["probabilities"].argmax(1), samples.target)


def test_without_labels_nothing_is_measured() -> None:
    unlabelled = made(labelled=False, samples=columns(40))
    assert evidence.samples(unlabelled, ["x"]).target is None
    assert evidence.measure(unlabelled).metrics == {}
    assert evidence.reference(unlabelled).class_counts is None


def test_answers_that_are_not_finite_are_said_and_not_measured(said: list[str]) -> None:
    broken = made(test=columns(40, first=np.nan))
    measured = evidence.measure(broken)
    assert (measured.metrics, measured.intervals) == ({}, {})
    assert said == ["some answers of the network are not finite, so it has no metrics"]
    signature = Signature((), ())
    page = evidence.report(broken, measured, [], signature, "broken", {"host": {}})
    assert page.confusion is None
    assert page.worst_samples == ()
    assert evidence.reference(broken).reliability is None


def test_the_worst_samples_come_first() -> None:
    good = made(test=columns(60))
    rows = good.splits["test"]
    flipped = Columns(rows.inputs, 1 - rows.target)
    report = evidence.report(good, evidence.measure(made(test=flipped)), [], Signature((), ()), "x", {"host": {}})
    of_target = good.form.answer([rows.inputs["numbers"]])["probabilities"][np.arange(60), flipped.target]
    worst = np.argsort(of_target)[:12]
    assert [loss for *_, loss in report.worst_samples] == pytest.approx(-np.log(of_target[worst]))
    for row, (fields, predicted, actual, _) in zip(worst, report.worst_samples, strict=True):
        assert list(fields.values()) == pytest.approx(rows.inputs["numbers"][row])
        assert (predicted, actual) == (CLASSES[rows.target[row]], CLASSES[flipped.target[row]])


class FirstNumber(Fixed):
    """A model that predicts the first number of its input."""

    def answer(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return {"prediction": inputs[0][:, 0]}


def test_the_worst_predictions_are_the_farthest_off_on_either_side() -> None:
    x = np.zeros((20, 3), np.float32)
    x[:, 0] = np.arange(20)
    target = x[:, 0].copy()
    target[[3, 8, 11]] += np.array([2.0, -5.0, 1.0], np.float32)
    schema = Schema(SCHEMA.columns, SCHEMA.inputs, Target("y", "number"))
    task, columns = make_task(TaskConfig(), schema, torch.zeros(4, 1)), Columns({"numbers": x}, target)
    made = Made(form=FirstNumber(), task=task, schema=schema, splits={"test": columns}, config={})
    report = evidence.report(made, evidence.measure(made), [], Signature((), ()), "x", {"host": {}})
    assert [sample[1:] for sample in report.worst_samples[:3]] == [(8, 3, 5), (3, 5, 2), (11, 12, 1)]


@pytest.mark.parametrize(
    ("picture", "shape"),
    [
        (np.zeros((8, 9), np.uint8), (8, 9)),
        (np.zeros((1, 8, 9), np.float32), (8, 9)),
        (np.random.default_rng(0).normal(size=(3, 8, 9)), (8, 9, 3)),
        (np.array([[np.nan, 1.0]]), (1, 2)),
        (np.full((4, 4), np.nan), (4, 4)),
    ],
)
def test_pictures_of_any_dtype_become_pixels(picture: Any, shape: tuple[int, ...]) -> None:
    pixels = evidence.drawable(picture)
    assert (pixels.dtype, pixels.shape) == (np.uint8, shape)


def test_floats_are_stretched_to_the_whole_range() -> None:
    assert evidence.drawable(np.array([[-1.0, 0.0, 1.0]])).tolist() == [[0, 127, 255]]
