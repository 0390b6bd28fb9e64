from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mltool.core.errors import CheckError, ConfigError, DataError
from mltool.datasets.schema import Column, Schema, Target, TensorSpec
from mltool.stages.import_.graph import GraphForm, named, read_graph

# Graphs written by hand, so that every odd name and type that other exporters give can be tried.

WEIGHT = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
LOGITS = X @ WEIGHT
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
TAILS = {"logits": [], "log_probabilities": ["LogSoftmax"], "probabilities": ["Softmax"]}


def graph(
    kind: str = "logits",
    *,
    x: str = "x",
    y: str = "y",
    batch: int | str | None = "n",
    dtype: int = TensorProto.FLOAT,
    listed: bool = False,
) -> onnx.ModelProto:
    """x [N,4] @ weight [4,3], and what `kind` ends in."""
    nodes, last = [helper.make_node("MatMul", [x, "weight"], ["product"])], "product"
    for op in TAILS[kind]:
        nodes.append(helper.make_node(op, [last], [op], axis=1))
        last = op
    nodes.append(helper.make_node("Identity", [last], [y]))
    array = WEIGHT.astype(helper.tensor_dtype_to_np_dtype(dtype))
    inputs = [helper.make_tensor_value_info(x, dtype, [batch, 4])]
    if listed:
        inputs.append(helper.make_tensor_value_info("weight", dtype, [4, 3]))
    made = helper.make_graph(
        nodes,
        "net",
        inputs,
        [helper.make_tensor_value_info(y, dtype, [batch, 3])],
        [numpy_helper.from_array(array, "weight")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=3 if listed else 8)


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def schema(*inputs: TensorSpec, kind: str = "tensor") -> Schema:
    columns = tuple(Column(spec.name, "tensor") for spec in inputs)
    if kind == "table":
        columns = tuple(Column(f"c{i}", "number") for i in range(4))
    return Schema(columns, inputs, Target("label", "class", ("a", "b", "c")))


@pytest.mark.parametrize("kind", list(TAILS))
@pytest.mark.parametrize("listed", [False, True])
def test_probabilities_are_right_whatever_the_graph_answers(kind: str, listed: bool) -> None:
    answers = run(named(graph(kind, listed=listed), ["x"], kind), x=X)  # type: ignore[arg-type]
    assert list(answers) == ["logits", "probabilities"]
    assert np.allclose(answers["probabilities"], PROBABILITIES, atol=1e-6)
    softmax_again = np.exp(answers["logits"]) / np.exp(answers["logits"]).sum(1, keepdims=True)
    assert np.allclose(softmax_again, PROBABILITIES, atol=1e-5)


@pytest.mark.parametrize("kind", list(TAILS))
@pytest.mark.parametrize("y", ["logits", "probabilities", "prediction", "output"])
@pytest.mark.parametrize("x", ["numbers", "probabilities.in", "product.in"])
def test_names_that_are_already_taken_do_not_break_the_graph(kind: str, y: str, x: str) -> None:
    answers = run(named(graph(kind, x=x, y=y), ["numbers"], kind), numbers=X)  # type: ignore[arg-type]
    assert np.allclose(answers["probabilities"], PROBABILITIES, atol=1e-6)


@pytest.mark.parametrize("dtype", [TensorProto.DOUBLE, TensorProto.FLOAT16])
@pytest.mark.parametrize("kind", list(TAILS))
def test_answers_of_other_precisions_become_float32(dtype: int, kind: str) -> None:
    x = X.astype(helper.tensor_dtype_to_np_dtype(dtype))
    answers = run(named(graph(kind, dtype=dtype), ["x"], kind), x=x)  # type: ignore[arg-type]
    assert answers["probabilities"].dtype == np.float32
    assert np.allclose(answers["probabilities"], PROBABILITIES, atol=1e-2)


def test_a_column_of_predictions_becomes_one_axis() -> None:
    node = helper.make_node("ReduceSum", ["x", "axis"], ["prediction"], keepdims=1)
    made = helper.make_graph(
        [node],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    answers = run(named(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]), ["x"], "prediction"), x=X)
    assert np.allclose(answers["prediction"], X.sum(1), atol=1e-6)


def test_a_custom_graph_keeps_its_own_outputs() -> None:
    model = graph()
    model.graph.output.append(helper.make_tensor_value_info("product", TensorProto.FLOAT, ["n", 3]))
    assert list(run(named(model, ["picture"], "custom"), picture=X)) == ["y", "product"]
    with pytest.raises(ConfigError, match="the graph answers `y`, `product`, but this task needs one output"):
        named(model, ["x"], "logits")


def test_names_inside_nested_graphs_are_renamed_with_the_others() -> None:
    branch = {
        name: helper.make_graph(
            [helper.make_node(op, ["x", "weight"], [f"{name}.logits"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}.logits", TensorProto.FLOAT, None)],
        )
        for name, op in (("then", "MatMul"), ("otherwise", "MatMul"))
    }
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["yes"]),
        helper.make_node("If", ["yes"], ["logits"], then_branch=branch["then"], else_branch=branch["otherwise"]),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(np.float32(0), "zero")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    assert np.allclose(run(named(model, ["numbers"], "logits"), numbers=X)["logits"], LOGITS, atol=1e-5)


def test_what_an_exporter_wrote_about_its_machine_is_taken_out() -> None:
    model = graph()
    model.graph.node[0].doc_string = 'File "/home/ann/secret/model.py", line 3'
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/ann/secret/model.py")
    model.graph.input[0].doc_string = model.doc_string = "/home/ann/secret"
    model.metadata_props.add(key="source", value="/home/ann/secret")
    for kind in ("logits", "custom"):
        assert b"secret" not in named(model, ["x"], kind).SerializeToString()  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 8])
def test_a_fixed_batch_size_is_refused_with_the_way_out(batch: int, tmp_path: Path) -> None:
    onnx.save(graph(batch=batch), tmp_path / "fixed.onnx")
    with pytest.raises(CheckError, match=rf"has a fixed batch size: `x` always has {batch} rows") as caught:
        read_graph(tmp_path / "fixed.onnx")
    assert caught.value.exit_code == 4
    assert "dynamic_shapes" in str(caught.value.hint)


@pytest.mark.parametrize("batch", ["n", None])
def test_an_open_batch_needs_no_name_and_listed_weights_are_no_inputs(batch: Any, tmp_path: Path) -> None:
    onnx.save(graph(batch=batch, listed=True), tmp_path / "open.onnx")
    form = GraphForm(read_graph(tmp_path / "open.onnx"))
    assert form.input_names(schema(TensorSpec("anything", "float32", (4,)))) == ["x"]


def test_weights_in_a_file_beside_the_graph_come_along(tmp_path: Path) -> None:
    model = graph()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    assert (tmp_path / "net.bin").is_file()
    assert np.allclose(run(named(read_graph(tmp_path / "net.onnx"), ["x"], "logits"), x=X)["logits"], LOGITS, atol=1e-6)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(DataError, match=r"net\.onnx` is not a sound ONNX graph"):
        read_graph(tmp_path / "net.onnx")


def test_weights_outside_the_graphs_folder_are_not_read(tmp_path: Path) -> None:
    inner = tmp_path / "models"
    inner.mkdir()
    onnx.save(graph(), inner / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    (inner / "net.bin").rename(tmp_path / "stolen.bin")
    model = onnx.load(inner / "net.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../stolen.bin"
    (inner / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="is not a sound ONNX graph"):
        read_graph(inner / "net.onnx")


def broken(what: str) -> bytes:
    model = graph()
    if what == "truncated":
        return model.SerializeToString()[:-40]
    if what == "an input that is not there":
        model.graph.node[0].input[0] = "nowhere"
    return {"empty": b"", "text": b"\x00garbage" * 9}.get(what, model.SerializeToString())


@pytest.mark.parametrize("what", ["empty", "text", "truncated", "an input that is not there"])
def test_a_broken_graph_is_one_clear_error(what: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(broken(what))
    with pytest.raises(DataError, match=r"net\.onnx` is not a sound ONNX graph: \S") as caught:
        read_graph(tmp_path / "net.onnx")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "inputs",
    [
        [TensorSpec("x", "float32", (5,))],
        [TensorSpec("x", "float32", (1, 4))],
        [TensorSpec("x", "int64", (4,))],
        [TensorSpec("x", "float32", (4,)), TensorSpec("y", "float32", (4,))],
    ],
)
def test_data_that_the_graph_does_not_take_is_refused_with_both(inputs: list[TensorSpec]) -> None:
    with pytest.raises(ConfigError, match=r"takes `x` float32 \[4\], but the data has `x` (float32|int64) \["):
        GraphForm(graph()).input_names(schema(*inputs))


def test_columns_of_a_table_keep_their_names_so_that_records_can_be_encoded() -> None:
    form = GraphForm(graph())
    assert form.input_names(schema(TensorSpec("numbers", "float32", (4,)), kind="table")) == ["numbers"]


def two_inputs(order: Sequence[str]) -> onnx.ModelProto:
    made = helper.make_graph(
        [helper.make_node("Sub", ["left", "right"], ["y"])],
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in order],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_several_inputs_are_matched_in_order_and_never_swapped() -> None:
    specs = [TensorSpec(name, "float32", (4,)) for name in ("right", "left")]
    assert GraphForm(two_inputs(["right", "left"])).input_names(schema(*specs)) == ["right", "left"]
    with pytest.raises(ConfigError, match="in another order") as caught:
        GraphForm(two_inputs(["left", "right"])).input_names(schema(*specs))
    assert caught.value.hint == "write `data.fields.inputs=left,right`"


def test_answers_of_many_rows_are_those_of_one_run() -> None:
    rows = np.random.default_rng(2).normal(size=(600, 4)).astype(np.float32)
    assert np.allclose(GraphForm(graph()).answer([rows])["y"], rows @ WEIGHT, atol=1e-5)
