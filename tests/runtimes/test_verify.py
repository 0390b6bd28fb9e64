from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from verify_testing import SIGNATURE, WEIGHT, X, checked, expected, failed, graph, samples

from mltool.artifacts.checks import Check, CheckStatus
from mltool.datasets.schema import TensorSpec
from mltool.runtimes.backends.onnxruntime import OnnxRuntimeRunner
from mltool.runtimes.runner import Signature
from mltool.runtimes.samples import Samples
from mltool.runtimes.verify import CHECK_IDS, Limits, relative_error, verify


def test_a_right_graph_passes_every_check() -> None:
    checks = checked(graph())
    assert tuple(checks) == CHECK_IDS
    assert {check.status for check in checks.values()} == {CheckStatus.passed}
    assert checks["batch_sizes"].detail == "1, 2, 5 and 64"
    assert checks["relative_error"].value < 1e-6
    assert checks["class_agreement"].value == 1.0
    assert checks["task_metric_drop"].value == 0.0


def test_a_weight_that_was_changed_is_noticed() -> None:
    weight = WEIGHT.copy()
    weight[2, 1] += 0.01
    checks = checked(graph(weight))
    assert failed(checks) == {"relative_error"}
    assert 1e-3 < checks["relative_error"].value < 1e-1


def test_weights_of_another_network_fail_agreement_and_metric_too() -> None:
    checks = checked(graph(-WEIGHT))
    assert failed(checks) == {"relative_error", "class_agreement", "task_metric_drop"}
    assert checks["class_agreement"].value < 0.5
    assert checks["class_agreement"].detail.startswith("margins of the flipped: ")
    assert checks["task_metric_drop"].detail == "accuracy 1.0000"


def test_a_change_of_one_class_in_a_thousand_is_seen_as_such() -> None:
    outputs = {name: array.copy() for name, array in expected().items()}
    outputs["probabilities"][7] = np.roll(outputs["probabilities"][7], 1)
    checks = checked(graph(), samples(outputs), relative_error=10.0)
    assert checks["class_agreement"].value == pytest.approx(63 / 64)
    assert failed(checks) == {"class_agreement"}
    assert not failed(checked(graph(), samples(outputs), relative_error=10.0, class_agreement=0.98))


@pytest.mark.parametrize(
    "mixing",
    [
        helper.make_node("Sub", ["product", "mean"], ["logits"]),  # a batch norm left in training mode
        helper.make_node("Mul", ["product", "mean"], ["logits"]),
    ],
    ids=["minus the batch's mean", "times the batch's mean"],
)
def test_a_graph_whose_answers_depend_on_the_rest_of_the_batch_is_refused(mixing: onnx.NodeProto) -> None:
    mean = helper.make_node("ReduceMean", ["product", "axis"], ["mean"], keepdims=1)
    mixed = graph(WEIGHT, mean, mixing, axis=np.array([0]))
    runner = OnnxRuntimeRunner(mixed, SIGNATURE, threads=1)
    own_answers = runner.run({"x": X})
    checks = checked(mixed, samples(own_answers))
    assert failed(checks) == {"batch_sizes"}, "held against its own answers only the batch sizes can tell"
    assert checks["batch_sizes"].detail == "a batch of 1 gives other values of `logits`"


class Lookup:
    """Answers looked up by the number of the row, which may be off in a batch of two; shows which rows it got."""

    def __init__(self, answers: dict[str, np.ndarray], **off: float) -> None:
        self.answers, self.off, self.batches = answers, off, list[list[int]]()

    @property
    def signature(self) -> Signature:
        return Signature((TensorSpec("row", "int64", ()),), ())

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows_N = inputs["row"]
        self.batches.append(rows_N.tolist())
        return {
            name: array[rows_N] + self.off.get(name, 0) if len(rows_N) == 2 else array[rows_N]
            for name, array in self.answers.items()
        }


def looked_up(
    answers: dict[str, np.ndarray], expected: dict[str, np.ndarray], target: np.ndarray | None = None, **off: float
) -> dict[str, Check]:
    given = Samples({"row": np.arange(len(next(iter(expected.values()))))}, expected, target)
    task = "classification" if "probabilities" in expected else "custom"
    return {check.id: check for check in verify(Lookup(answers, **off), given, Limits(), task)}


@pytest.mark.parametrize(("rows", "said"), [(1, "1, 2 and 5"), (3, "1, 2, 3 and 5"), (64, "1, 2, 5 and 64")])
def test_few_samples_are_repeated_and_the_batch_sizes_that_ran_are_said(rows: int, said: str) -> None:
    y = np.arange(rows, dtype=np.float32)
    runner = Lookup({"y": y})
    checks = verify(runner, Samples({"row": np.arange(rows)}, {"y": y}), Limits())
    assert (checks[0].status, checks[0].detail) == ("passed", said)
    sizes = [int(size) for size in said.replace(" and", ",").split(",")]
    assert runner.batches[1:] == [[row % rows for row in range(size)] for size in sizes]


@pytest.mark.parametrize("name", ["y", "z"])
def test_one_output_that_differs_in_one_batch_is_enough_and_rounding_is_not(name: str) -> None:
    answers = {"y": np.full(64, 2, np.float32), "z": np.full((64, 3), 2, np.float32)}
    assert not failed(looked_up(answers, answers, **{name: 1e-5}))
    checks = looked_up(answers, answers, **{name: 1e-3})
    assert failed(checks) == {"batch_sizes"}
    assert checks["batch_sizes"].detail == f"a batch of 2 gives other values of `{name}`"


@pytest.mark.parametrize("name", ["y", "z"])
def test_the_largest_error_of_all_outputs_counts(name: str) -> None:
    answers = {"y": np.ones(64, np.float32), "z": np.ones((64, 3), np.float32)}
    for error, wrong in ((5e-5, set()), (2e-4, {"relative_error"})):
        checks = looked_up({**answers, name: answers[name] + np.float32(error)}, answers)
        assert failed(checks) == wrong
        assert checks["relative_error"].value == pytest.approx(error, rel=1e-2)


@pytest.mark.parametrize(("rows", "wrong"), [(64, {"class_agreement", "task_metric_drop"}), (128, set())])
def test_one_answer_in_a_hundred_may_change_and_with_it_the_metric(rows: int, wrong: set[str]) -> None:
    expected = np.tile(np.array([0.50002, 0.49998, 0.0], np.float32), (rows, 1))
    actual = expected.copy()
    actual[7] = expected[7, [1, 0, 2]]
    checks = looked_up({"probabilities": actual}, {"probabilities": expected}, np.zeros(rows, np.int64))
    assert failed(checks) == wrong
    assert checks["task_metric_drop"].value == pytest.approx(1 / rows)


def test_how_close_a_flipped_decision_was_is_said_for_the_first_eight() -> None:
    expected = np.tile(np.array([0.2, 0.5, 0.3], np.float32), (64, 1))
    actual = expected.copy()
    actual[:10] = [0.0, 0.4, 0.6]
    checks = looked_up({"probabilities": actual}, {"probabilities": expected})
    assert checks["class_agreement"].value == 54 / 64
    assert checks["class_agreement"].detail == "margins of the flipped: " + ", ".join(["0.2"] * 8)


@pytest.mark.parametrize("name", ["mask", "depth"])
def test_of_several_whole_number_outputs_the_worst_counts(name: str) -> None:
    right = {"mask": np.arange(64), "depth": np.arange(64)}
    wrong = np.where(np.arange(64) < 16, -1, np.arange(64))
    assert looked_up({**right, name: wrong}, right)["class_agreement"].value == 0.75
    assert looked_up({**right, name: right[name][:, None]}, right)["class_agreement"].value == 0.0


def test_a_graph_that_ignores_the_batch_is_refused() -> None:
    always_two = helper.make_node("Slice", ["product", "from", "to", "axis"], ["logits"])
    constants = {"from": np.array([0]), "to": np.array([2]), "axis": np.array([0])}
    checks = checked(graph(WEIGHT, always_two, **constants))
    assert checks["batch_sizes"].detail == "a batch of 5 gives 2 rows of `logits`"
    assert failed(checks) == {"batch_sizes", "relative_error", "class_agreement"}
    assert checks["class_agreement"].detail == "2 answers for 64 samples"


def test_a_batch_size_baked_into_a_shape_is_refused() -> None:
    reshape = helper.make_node("Reshape", ["product", "shape"], ["logits"])
    checks = checked(graph(WEIGHT, reshape, shape=np.array([2, 3])))
    assert failed(checks) == {"batch_sizes"}
    assert "ONNX Runtime cannot run this input" in checks["batch_sizes"].detail
    assert {check.status for name, check in checks.items() if name != "batch_sizes"} == {CheckStatus.not_run}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_finite_fail(value: float) -> None:
    weight = WEIGHT.copy()
    weight[0, 0] = value
    checks = checked(graph(weight))
    assert {"finite", "relative_error"} <= failed(checks)
    assert checks["batch_sizes"].status is CheckStatus.passed  # each batch is as wrong as the whole
    assert checks["finite"].detail == "logits, probabilities"
    with np.errstate(invalid="ignore"):
        as_bad = checked(graph(weight), samples(expected(weight)))
    assert as_bad["finite"].detail == "logits, probabilities; the eager network's answers are not finite either"


def test_without_labels_the_metric_is_not_run_and_agreement_still_is() -> None:
    checks = checked(graph(), samples(labelled=False))
    assert checks["task_metric_drop"].status is CheckStatus.not_run
    assert checks["class_agreement"].status is CheckStatus.passed


def regression(shift: float, scale: float = 1.0) -> dict[str, Check]:
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["prediction"]),
    ]
    constants = {"axis": np.array([1]), "shift": np.float32(shift), "scale": np.float32(scale)}
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    signature = Signature(SIGNATURE.inputs, (TensorSpec("prediction", "float32", ()),))
    runner = OnnxRuntimeRunner(model.SerializeToString(), signature, threads=1)
    given = Samples({"x": X}, {"prediction": X.sum(1)}, X.sum(1))
    return {check.id: check for check in verify(runner, given, Limits(), "regression")}


def test_a_regression_is_held_against_its_r2_and_has_no_classes() -> None:
    right, wrong = regression(0.0), regression(0.0, scale=0.5)
    assert not failed(right)
    assert right["class_agreement"].status is CheckStatus.not_run
    assert failed(wrong) == {"relative_error", "task_metric_drop"}
    assert wrong["task_metric_drop"].detail == "r2 1.0000"
    assert wrong["task_metric_drop"].value == pytest.approx(0.25, abs=0.05)


def custom(output: str, expected_array: np.ndarray, op: str, target: np.ndarray, **attributes: Any) -> dict[str, Check]:
    """A graph of one operation on x, whose only output has any name."""
    dtype = helper.np_dtype_to_tensor_dtype(expected_array.dtype)
    made = helper.make_graph(
        [helper.make_node(op, ["x"], [output], **attributes)],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(output, dtype, None)],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    spec = TensorSpec(output, str(expected_array.dtype), expected_array.shape[1:])
    runner = OnnxRuntimeRunner(model.SerializeToString(), Signature(SIGNATURE.inputs, (spec,)), threads=1)
    return {c.id: c for c in verify(runner, Samples({"x": X}, {output: expected_array}, target), Limits())}


def test_whole_number_outputs_are_compared_too() -> None:
    right = custom("mask", X.argmax(1), "ArgMax", X, axis=1, keepdims=0)
    wrong = custom("mask", X.argmin(1), "ArgMax", X, axis=1, keepdims=0)
    assert not failed(right)
    assert right["class_agreement"].value == 1.0
    assert failed(wrong) == {"class_agreement"}


def test_a_custom_output_that_is_only_called_probabilities_is_not_measured_as_such() -> None:
    sigmoid = 1 / (1 + np.exp(-X))
    checks = custom("probabilities", sigmoid, "Sigmoid", np.ones_like(X))
    assert not failed(checks)
    assert checks["task_metric_drop"].detail == "a custom task has no metric that every host can compute"


def test_an_error_is_relative_to_the_largest_value_and_shapes_must_agree() -> None:
    assert relative_error(np.array([100.0, 0.001]), np.array([100.0, 0.002])) == pytest.approx(1e-5)
    assert relative_error(np.array([2.0, 0.0]), np.array([1.0, 0.0])) == 1.0
    assert relative_error(np.array([1.0, 0.0]), np.array([2.0, 0.0])) == 0.5
    assert relative_error(np.zeros((2, 1)), np.zeros(2)) == np.inf
    assert relative_error(np.zeros(0), np.zeros(0)) == 0.0
    assert np.isnan(relative_error(np.array([np.nan]), np.array([1.0])))
