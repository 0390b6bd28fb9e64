from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import CheckStatus
from mltool.core.errors import ArtifactError, CheckError, ConfigError, DataError

# The graphs are written by hand from the trained weights of the digits, so that no exporter of ours is involved.

pytestmark = pytest.mark.xdist_group("corn")


def linear_graph(corn: Any, kind: str, *, x: str = "x", y: str = "y", batch: int | str = "n") -> onnx.ModelProto:
    weight, bias = corn.linear
    tail = {"logits": "Identity", "log_probabilities": "LogSoftmax", "probabilities": "Softmax"}[kind]
    nodes = [
        helper.make_node("Flatten", [x], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits_"]),
        helper.make_node(tail, ["logits_"], [y], **({} if tail == "Identity" else {"axis": 1})),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, 1, 8, 8])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


class Linear:
    """A linear classifier of the digits, fitted in closed form."""

    def __init__(self, corn: Any) -> None:
        self.images = corn.images.numpy()
        flat, one_hot = self.images.reshape(len(self.images), -1), np.eye(10)[corn.labels.numpy()]
        weight = np.linalg.lstsq(np.c_[flat[:500], np.ones(500)], one_hot[:500], rcond=1e-3)[0].astype(np.float32) * 5
        self.linear = (weight[:-1], weight[-1])

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        logits = images.reshape(len(images), -1) @ self.linear[0] + self.linear[1]
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@pytest.fixture(scope="session")
def fitted(corn: Any) -> Linear:
    return Linear(corn)


@pytest.fixture
def folder(tmp_path: Path, corn: Any) -> Path:
    data = {"train_images": corn.images[:500], "train_labels": corn.labels[:500]}
    torch.save({**data, "test_images": corn.images[500:], "test_labels": corn.labels[500:]}, tmp_path / "data.pt")
    return tmp_path


def imported(model: onnx.ModelProto, *overrides: str, **saving: Any) -> mltool.Model:
    onnx.save(model, "net.onnx", **saving)
    return mltool.import_model("net.onnx", "data.source=data.pt", "name=net", *overrides)


def check_served(model: mltool.Model, fitted: Linear) -> None:
    answers = model.predict(fitted.images[500:])
    served = np.array([list(answer["probabilities"].values()) for answer in answers])
    assert np.abs(served - fitted.probabilities(fitted.images[500:])).max() < 1e-5
    assert {check.status for check in model.checks} == {CheckStatus.passed}
    assert model.metrics["accuracy"] > 0.7


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("kind", ["logits", "log_probabilities", "probabilities"])
@pytest.mark.parametrize("y", ["output", "probabilities", "logits"])
def test_probabilities_are_right_whatever_a_graph_answers(kind: str, y: str, fitted: Linear) -> None:
    check_served(imported(linear_graph(fitted, kind, y=y)), fitted)


@pytest.mark.usefixtures("folder")
def test_weights_in_a_file_beside_the_graph_are_packed_into_the_model(fitted: Linear) -> None:
    graph = linear_graph(fitted, "logits")
    model = imported(graph, save_as_external_data=True, location="net.weights", size_threshold=0)
    Path("net.weights").unlink()
    check_served(mltool.load("net"), fitted)
    assert not list(model.path.glob("*.weights"))


@pytest.mark.usefixtures("folder")
def test_a_graph_has_no_module_for_the_torch_runtime(fitted: Linear) -> None:
    model = imported(linear_graph(fitted, "logits"))
    assert model.manifest.weights_digest is None
    with pytest.raises(ArtifactError, match="`net@1` has no module to build again, only its graph") as caught:
        model.predict(fitted.images[:1], backend="torch")
    assert "backend=onnxruntime" in str(caught.value.hint)


@pytest.mark.usefixtures("folder")
def test_a_fixed_batch_size_is_a_failed_check(fitted: Linear) -> None:
    with pytest.raises(CheckError, match=r"`net\.onnx` has a fixed batch size: `x` always has 1 rows") as caught:
        imported(linear_graph(fitted, "logits", batch=1))
    assert caught.value.exit_code == 4


@pytest.mark.usefixtures("folder")
def test_a_batch_size_inside_the_graph_is_a_failed_check(fitted: Linear) -> None:
    model = linear_graph(fitted, "logits")
    model.graph.node[0].CopyFrom(helper.make_node("Reshape", ["x", "one_row"], ["flat"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 64]), "one_row"))
    with pytest.raises(CheckError, match=r"`net\.onnx` cannot run 64 rows at once") as caught:
        imported(model)
    assert caught.value.exit_code == 4


@pytest.mark.usefixtures("folder")
def test_a_graph_whose_answers_depend_on_the_batch_gets_no_name(fitted: Linear) -> None:
    model = linear_graph(fitted, "logits")
    mixing = [
        helper.make_node("ReduceMean", ["logits_", "axis"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["logits_", "mean"], ["y"]),
    ]
    del model.graph.node[-1]
    model.graph.node.extend(mixing)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
    with pytest.raises(CheckError, match="`batch_sizes`: a batch of 1 gives other values of `logits`") as caught:
        imported(model)
    assert isinstance(caught.value.artifact, Artifact)
    with pytest.raises(ArtifactError, match="there is no model `net`"):
        mltool.load("net")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("content", [b"", b"\x08\x07garbage", b"PK\x03\x04"])
def test_a_file_that_is_no_graph_is_one_clear_error(content: bytes) -> None:
    Path("net.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"`net\.onnx` is not a sound ONNX graph"):
        mltool.import_model("net.onnx", "data.source=data.pt")


@pytest.mark.usefixtures("folder")
def test_data_of_another_shape_is_refused_with_both(fitted: Linear) -> None:
    onnx.save(linear_graph(fitted, "logits"), "net.onnx")
    with pytest.raises(ConfigError, match=r"takes `x` float32 \[1, 8, 8\], but the data has `image` uint8 \[1, 8, 8\]"):
        mltool.import_model("net.onnx", "data.source=digits")


def test_a_graph_for_a_table_answers_for_records(write: Callable[[str, str], Path]) -> None:
    rows = "\n".join(f"{i},{i % 7},{2 * i + 3 * (i % 7) + 1}" for i in range(60))
    write("table.csv", f"a,b,price\n{rows}\n")
    nodes = [helper.make_node("Gemm", ["x", "weight", "bias"], ["prediction"])]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n", 1])],
        [
            numpy_helper.from_array(np.array([[2.0], [3.0]], np.float32), "weight"),
            numpy_helper.from_array(np.array([1.0], np.float32), "bias"),
        ],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), "net.onnx")
    model = mltool.import_model("net.onnx", "data.source=table.csv", "name=prices")
    assert model.metrics["r2"] == pytest.approx(1.0)
    assert model.predict([{"a": 10, "b": 3}, {"a": "100", "b": 0}]) == [{"prediction": 30.0}, {"prediction": 201.0}]
