from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mltool.core.errors import ConfigError, UserCodeError
from mltool.datasets.schema import Schema, Target
from mltool.modeling.config import TaskConfig
from mltool.modeling.network import answer_of
from mltool.modeling.tasks.heads import ClassificationHead, RegressionHead
from mltool.modeling.tasks.outputs import measure_output_kind
from mltool.modeling.tasks.task import Task, check_same_output_kind, make_task, measured_again, task_metrics

LABELS = torch.tensor([0, 2, 1, 2])
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 3.0], [-4.0, 5.0, 1.0], [0.0, 0.0, 0.0]])
WANTED = F.cross_entropy(LOGITS, LABELS)


def task_of(outputs: Any, target: str, classes: tuple[str, ...] = (), **config: Any) -> Task:
    return make_task(TaskConfig(**config), Schema((), (), Target("y", target, classes)), outputs)  # type: ignore[arg-type]


def classes_task(outputs: Any, **config: Any) -> Task:
    return task_of(outputs, "class", ("a", "b", "c"), **config)


def on_scale(logits: Tensor, kind: str) -> Tensor:
    return {"logits": logits, "log_probabilities": logits.log_softmax(1), "probabilities": logits.softmax(1)}[kind]


@pytest.mark.parametrize("kind", ["logits", "log_probabilities", "probabilities"])
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    classes=st.integers(2, 12),
    spread=st.floats(0.1, 60),
    half=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_kind_of_an_answer_is_measured(
    kind: str, seed: int, rows: int, classes: int, spread: float, half: bool
) -> None:
    logits = torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed)) * spread
    # Raw logits that happen to sum to one are not asked for.
    assume(kind != "logits" or bool((logits.sum(dim=1) - 1).abs().max() > 0.1))
    answers = on_scale(logits, kind)
    assert measure_output_kind(answers.to(torch.bfloat16).float() if half and kind == "logits" else answers) == kind


def test_one_row_that_is_none_makes_all_of_them_logits() -> None:
    answers = LOGITS.softmax(1)
    answers[3] = torch.tensor([0.9, 0.9, 0.9])
    assert measure_output_kind(answers) == "logits"
    assert measure_output_kind(torch.full((2, 3), torch.nan)) == "logits"


def test_certain_answers_with_infinite_logarithms_are_still_log_probabilities() -> None:
    assert measure_output_kind(torch.eye(3).log()) == "log_probabilities"


@pytest.mark.parametrize("kind", ["logits", "log_probabilities", "probabilities"])
def test_the_loss_and_the_served_probabilities_are_the_same_for_all_kinds(kind: str) -> None:
    answers = on_scale(LOGITS, kind)
    task = classes_task(answers)
    assert task.output_kind == kind
    assert torch.allclose(task.loss(answers, LABELS), WANTED)
    served = task.head((0.0, 1.0))(answers)
    assert torch.allclose(served["probabilities"], LOGITS.softmax(1))
    assert torch.allclose(served["logits"].softmax(1), LOGITS.softmax(1))


def test_the_loss_is_right_whatever_the_network_answers_once_it_is_trained() -> None:
    """A last layer that starts as the log of the class shares looks like log-probabilities, until it has learned."""
    for answers in (LOGITS, LOGITS.log_softmax(1)):
        task = classes_task(answers)
        assert task.loss_name == "cross_entropy"
        assert torch.allclose(task.loss(LOGITS, LABELS), WANTED)
        assert measured_again(task, LOGITS).output_kind == "logits"
        assert measured_again(task, LOGITS.log_softmax(1)).output_kind == "log_probabilities"


def test_rows_that_are_probabilities_only_before_the_training_are_refused() -> None:
    with pytest.raises(ConfigError, match="answered probabilities before it was trained, and answers logits now"):
        measured_again(classes_task(LOGITS.softmax(1)), LOGITS)
    with pytest.raises(ConfigError, match="answered logits before it was trained, and answers probabilities now"):
        measured_again(classes_task(LOGITS), LOGITS.softmax(1))


def test_cross_entropy_is_right_for_log_probabilities_too() -> None:
    answers = LOGITS.log_softmax(1)
    assert torch.allclose(classes_task(answers, loss="cross_entropy").loss(answers, LABELS), WANTED)


def test_nll_on_logits_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`task.loss=nll` needs log-probabilities, but the network answers logits"):
        classes_task(LOGITS, loss="nll")


def test_a_probability_of_zero_has_a_finite_loss_and_logit() -> None:
    answers = torch.eye(3)[[0, 1, 2, 0]]
    task = classes_task(answers)
    assert torch.isfinite(task.loss(answers, LABELS))
    assert torch.isfinite(ClassificationHead("probabilities")(answers)["logits"]).all()


@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (4,), (4, 3, 8, 8)])
def test_an_output_that_does_not_fit_the_labels_names_both(shape: tuple[int, ...]) -> None:
    shown = "[" + ", ".join(["N", *map(str, shape[1:])]) + "]"
    with pytest.raises(ConfigError) as caught:
        classes_task(torch.zeros(shape))
    assert caught.value.message == f"the network answers {shown}, but `y` has 3 classes, so [N, 3] is needed"


def test_several_outputs_need_a_custom_task() -> None:
    with pytest.raises(ConfigError, match=r"answers 2 tensors \(output_0, output_1\)"):
        classes_task((LOGITS, LOGITS))


@pytest.mark.parametrize(("kind", "loss"), [("class", "mse"), ("number", "nll"), ("tensor", "nll")])
def test_a_loss_that_does_not_fit_the_task_is_refused(kind: str, loss: str) -> None:
    with pytest.raises(ConfigError, match=f"`task.loss={loss}` does not fit"):
        task_of(torch.zeros(4, 3) if kind == "class" else torch.zeros(4, 1), kind, ("a", "b", "c"), loss=loss)


@pytest.mark.parametrize(("kind", "wanted"), [("classification", "number"), ("regression", "class")])
def test_a_task_that_the_target_does_not_allow_is_refused(kind: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"`task.kind={kind}` needs"):
        task_of(torch.zeros(4, 1), wanted, ("a", "b") if wanted == "class" else (), kind=kind)


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
def test_a_column_of_predictions_is_not_broadcast_against_the_targets(name: str) -> None:
    target = torch.tensor([1.0, 2.0, 3.0])
    task = task_of(target[:, None], "number", loss=name)
    assert task.loss(target[:, None], target) == 0.0


def test_predictions_come_back_in_the_unit_of_the_target() -> None:
    served = RegressionHead(150.0, 20.0)(torch.tensor([[0.0], [1.0], [-2.0]]))
    assert served["prediction"].tolist() == [150.0, 170.0, 110.0]


def test_a_regression_with_several_numbers_a_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"answers \[N, 2\], but one number a sample"):
        task_of(torch.zeros(4, 2), "number")


@pytest.fixture
def own(write: Callable[[str, str], Path]) -> None:
    write(
        "own.py",
        """
        import torch

        def loss(outputs, target):
            return (outputs - target).abs().mean()

        class Loss:
            def __call__(self, outputs, target):
                return loss(outputs, target) * 2

        def vector(outputs, target):
            return outputs - target

        def broken(outputs, target):
            return outputs["mask"]

        def negative(outputs, target):
            return -abs(outputs - target).mean()

        def words(outputs, target):
            return "very good"
        """,
    )


@pytest.mark.usefixtures("own")
def test_the_users_own_loss_may_be_a_function_or_a_class() -> None:
    outputs, target = torch.ones(2, 5), torch.zeros(2, 5)
    assert task_of(outputs, "tensor", loss="own:loss").loss(outputs, target) == 1.0
    assert task_of(outputs, "tensor", loss="own:Loss").loss(outputs, target) == 2.0


@pytest.mark.usefixtures("own")
def test_a_loss_that_is_no_number_and_one_that_raises_name_the_key() -> None:
    outputs = torch.ones(2, 5)
    with pytest.raises(ConfigError, match=r"`task.loss=own:vector` must answer one number"):
        task_of(outputs, "tensor", loss="own:vector").loss(outputs, outputs)
    with pytest.raises(UserCodeError, match=r"`task.loss` failed at own\.py:14 \(`return outputs\[\"mask\"\]`\)"):
        task_of(outputs, "tensor", loss="own:broken").loss(outputs, outputs)


@pytest.mark.usefixtures("own")
def test_the_users_own_metric_sees_numpy_arrays() -> None:
    task = task_of(torch.ones(2, 5), "tensor", loss="mse", metric="own:negative")
    assert task.metrics({"output": np.ones((2, 5))}, np.zeros((2, 5))) == {"metric": -1.0}
    assert task.main_metric == "metric"


@pytest.mark.usefixtures("own")
def test_a_metric_that_is_no_number_is_the_users_mistake() -> None:
    task = task_of(torch.ones(2, 5), "tensor", loss="mse", metric="own:words")
    with pytest.raises(UserCodeError, match=r"`task.metric` answered no number"):
        task.metrics({"output": np.ones((2, 5))}, np.zeros((2, 5)))


@pytest.mark.usefixtures("own")
def test_a_metric_for_a_task_that_has_its_own_is_refused_and_not_ignored() -> None:
    with pytest.raises(ConfigError, match=r"`task.metric` is for custom tasks, but this is a classification"):
        classes_task(LOGITS, metric="own:negative")


def test_a_custom_task_needs_a_loss_only_to_be_trained() -> None:
    task = task_of(torch.ones(2, 5), "tensor")
    assert task.metrics({"output": np.ones((2, 5))}, np.zeros((2, 5))) == {}
    with pytest.raises(ConfigError, match="a custom task needs a loss"):
        task.loss(torch.ones(2, 5), torch.ones(2, 5))


def test_an_unknown_loss_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="unknown loss `crossentropy`") as caught:
        classes_task(LOGITS, loss="crossentropy")
    assert "cross_entropy, nll" in str(caught.value.hint)


def test_several_outputs_reach_the_metric_by_name() -> None:
    def metric(outputs: dict[str, np.ndarray], target: np.ndarray) -> float:
        return float(outputs["mean"].sum() + outputs["scale"].sum() + target.sum())

    ones = np.ones(3)
    assert task_metrics("custom", {"mean": ones, "scale": ones}, ones, metric) == {"metric": 9.0}


class Softmax(nn.Module):
    """A norm with buffers, dropout that takes random numbers, and a softmax in some modes."""

    def __init__(self, modes: tuple[bool, ...]) -> None:
        super().__init__()
        self.modes, self.body = modes, nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).softmax(1) if self.training in self.modes else self.body(x)


@pytest.mark.parametrize("modes", [(True,), (False,)])
def test_a_softmax_in_one_mode_only_is_refused(modes: tuple[bool, ...]) -> None:
    network, inputs = Softmax(modes), [torch.randn(8, 4)]
    task = classes_task(answer_of(network, inputs))
    with pytest.raises(ConfigError, match=r"answers \w+ in training mode, but \w+ in evaluation mode"):
        check_same_output_kind(task, network, inputs)


@pytest.mark.parametrize("modes", [(), (True, False)])
def test_looking_at_the_training_mode_leaves_no_trace(modes: tuple[bool, ...]) -> None:
    network, inputs = Softmax(modes).eval(), [torch.randn(8, 4)]
    task = classes_task(answer_of(network, inputs))
    before, random = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    check_same_output_kind(task, network, inputs)
    assert not network.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("kind", ["log_probabilities", "probabilities"])
def test_one_row_that_is_no_distribution_makes_them_all_logits(kind: str) -> None:
    answers = on_scale(LOGITS, kind).clone()
    assert measure_output_kind(answers) == kind
    answers[0, 0] = 0.5 * answers[0, 0] + 0.2 * (1 if kind == "probabilities" else -1)
    assert measure_output_kind(answers) == "logits"
