"""An ONNX graph that was made elsewhere as something that can be packaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from mltool.artifacts.checks import Check
from mltool.core.errors import CheckError, ConfigError, DataError
from mltool.datasets.schema import Schema, TensorSpec
from mltool.modeling.network import in_order
from mltool.modeling.packaging.graphs import rename, without_paths
from mltool.modeling.tasks.outputs import OutputKind
from mltool.runtimes.backends.onnxruntime import OnnxRuntimeRunner
from mltool.runtimes.config import GRAPH
from mltool.runtimes.runner import Signature, run_all

_ROWS = 256


def read_graph(path: Path) -> onnx.ModelProto:
    """Read a graph, with weights that stand in files beside it.

    Raises:
        CheckError: The graph has a fixed batch size.
        DataError: It is no ONNX graph.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's own error has no base but Exception
        lines = str(error).strip().splitlines()
        raise DataError(f"`{path}` is not a sound ONNX graph: {lines[0] if lines else error!r}") from error
    for value in _inputs(model):
        axes = value.type.tensor_type.shape.dim
        if axes and axes[0].HasField("dim_value"):
            raise CheckError(
                f"`{path}` has a fixed batch size: `{value.name}` always has {axes[0].dim_value} rows",
                hint="export it again with an open axis 0, such as `dynamic_shapes=({0: torch.export.Dim('batch')},)`",
            )
    return model


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs proper; old exporters list the weights among them."""
    weights = {weight.name for weight in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim[1:])
    return TensorSpec(value.name, str(dtype), shape)


def named(model: onnx.ModelProto, input_names: Sequence[str], kind: OutputKind) -> onnx.ModelProto:
    """The graph with the inputs of its schema and the outputs of its task, and a softmax where it answers logits.

    Raises:
        ConfigError: The graph has several outputs, and the task needs one.
    """
    if kind != "custom" and len(model.graph.output) > 1:
        answers = ", ".join(f"`{value.name}`" for value in model.graph.output)
        raise ConfigError(f"the graph answers {answers}, but this task needs one output", hint="use `task.kind=custom`")
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.ir_version = max(made.ir_version, 4)  # since 4, weights need not be listed as inputs
    graph = made.graph
    # Out of the way first: the names that are needed may be taken, even by the graph's own answer.
    theirs = [value.name for value in (*_inputs(made), *graph.output)]
    rename(graph, {name: f"{_OWN}{name}" for name in (*input_names, *theirs, *_TABLE_OUTPUTS, "prediction")})
    inputs, outputs = ([_called(value, value.name) for value in values] for values in (_inputs(made), graph.output))
    nodes = [
        helper.make_node("Identity", [name], [value.name]) for name, value in zip(input_names, inputs, strict=True)
    ]
    nodes += graph.node
    if kind == "custom":
        names = [value.name.removeprefix(_OWN) for value in outputs]
        nodes += [helper.make_node("Identity", [v.name], [name]) for v, name in zip(outputs, names, strict=True)]
    else:
        nodes.append(helper.make_node("Cast", [outputs[0].name], [_ANSWER], to=TensorProto.FLOAT))
        nodes += _HEADS[kind](graph)
        names = ["prediction"] if kind == "prediction" else list(_TABLE_OUTPUTS)
        axes = ["batch"] if kind == "prediction" else ["batch", "classes"]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in names]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.extend(_called(value, name) for value, name in zip(inputs, input_names, strict=True))
    graph.output.extend(_called(value, name) for value, name in zip(outputs, names, strict=True))
    return without_paths(made)


def _called(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy


def _prediction(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    graph.initializer.append(helper.make_tensor(f"{_OWN}rows", TensorProto.INT64, [1], [-1]))
    return [helper.make_node("Reshape", [_ANSWER, f"{_OWN}rows"], ["prediction"])]


def _probabilities(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    graph.initializer.append(helper.make_tensor(f"{_OWN}floor", TensorProto.FLOAT, [], [1e-12]))
    return [
        helper.make_node("Max", [_ANSWER, f"{_OWN}floor"], [f"{_OWN}clipped"]),
        helper.make_node("Log", [f"{_OWN}clipped"], ["logits"]),
        helper.make_node("Identity", [_ANSWER], ["probabilities"]),
    ]


def _logits(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Identity", [_ANSWER], ["logits"]),
        helper.make_node("Softmax", [_ANSWER], ["probabilities"], axis=1),
    ]


_OWN, _TABLE_OUTPUTS = "mltool.own/", ("logits", "probabilities")
_ANSWER = f"{_OWN}answer"
_HEADS = {
    "prediction": _prediction,
    "probabilities": _probabilities,
    "logits": _logits,
    "log_probabilities": _logits,
}


class GraphForm:
    """The graph is its own reference: its checks say that it runs the same in a fresh process, at any batch size."""

    weights_file: str | None = None

    def __init__(self, model: onnx.ModelProto) -> None:
        self._bytes = model.SerializeToString(deterministic=True)
        self._inputs = [_spec(value) for value in _inputs(model)]
        outputs = tuple(_spec(value) for value in model.graph.output)
        self._runner = OnnxRuntimeRunner(self._bytes, Signature(tuple(self._inputs), outputs), threads=None)

    def input_names(self, schema: Schema) -> list[str]:
        given = ", ".join(f"`{spec.name}` {spec.dtype} {list(spec.shape)}" for spec in schema.inputs)
        taken = ", ".join(f"`{spec.name}` {spec.dtype} {list(spec.shape)}" for spec in self._inputs)
        fits = len(self._inputs) == len(schema.inputs) and all(
            have.dtype == want.dtype
            and len(have.shape) == len(want.shape)
            and all(w in (-1, h) for h, w in zip(have.shape, want.shape, strict=True))
            for have, want in zip(schema.inputs, self._inputs, strict=True)
        )
        if not fits:
            raise ConfigError(
                f"the graph takes {taken}, but the data has {given}",
                hint="give the data as the graph takes it: an `.npz` or `.pt` file of prepared tensors",
            )
        if all(column.kind == "tensor" for column in schema.columns):
            return in_order([spec.name for spec in schema.inputs], [spec.name for spec in self._inputs])
        return [spec.name for spec in schema.inputs]

    def answer(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        names = [spec.name for spec in self._inputs]
        return run_all(self._runner, dict(zip(names, inputs, strict=True)), _ROWS)

    def write(self, folder: Path, signature: Signature, example: Sequence[np.ndarray]) -> Check:
        (folder / GRAPH).write_bytes(self._bytes)
        return Check.passed("export", "imported as a graph")
