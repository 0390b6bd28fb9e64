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
from mltool.modeling.tasks import OutputKind
from mltool.runtimes.backends.onnxruntime import GRAPH, OnnxRuntimeRunner
from mltool.runtimes.runner import Signature

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
    for value in model.graph.input:
        axes = value.type.tensor_type.shape.dim
        if axes and axes[0].HasField("dim_value") and value.name not in {w.name for w in model.graph.initializer}:
            raise CheckError(
                f"`{path}` has a fixed batch size: `{value.name}` always has {axes[0].dim_value} rows",
                hint="export it again with an open axis 0, such as `dynamic_shapes=({0: torch.export.Dim('batch')},)`",
            )
    return model


def inputs_of(model: onnx.ModelProto) -> list[TensorSpec]:
    weights = {weight.name for weight in model.graph.initializer}
    return [_spec(value) for value in model.graph.input if value.name not in weights]


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim[1:])
    return TensorSpec(value.name, str(dtype), shape)


def with_named_outputs(model: onnx.ModelProto, kind: OutputKind) -> onnx.ModelProto:
    """Give a graph the output names of its task, and a softmax where it answers logits.

    Raises:
        ConfigError: The graph has several outputs, and the task needs one.
    """
    if kind == "custom":
        return model
    if len(model.graph.output) > 1:
        names = ", ".join(f"`{value.name}`" for value in model.graph.output)
        raise ConfigError(f"the graph answers {names}, but this task needs one output", hint="use `task.kind=custom`")
    named = onnx.ModelProto()
    named.CopyFrom(model)
    answer = named.graph.output[0].name
    if kind == "prediction":
        shape = helper.make_tensor("mltool_rows", TensorProto.INT64, [1], [-1])
        named.graph.initializer.append(shape)
        nodes = [helper.make_node("Reshape", [answer, "mltool_rows"], ["prediction"])]
        outputs = [("prediction", ["batch"])]
    elif kind == "probabilities":
        floor = helper.make_tensor("mltool_floor", TensorProto.FLOAT, [], [1e-12])
        named.graph.initializer.append(floor)
        nodes = [
            helper.make_node("Max", [answer, "mltool_floor"], ["mltool_clipped"]),
            helper.make_node("Log", ["mltool_clipped"], ["logits"]),
            helper.make_node("Identity", [answer], ["probabilities"]),
        ]
        outputs = [("logits", ["batch", "classes"]), ("probabilities", ["batch", "classes"])]
    else:
        nodes = [helper.make_node("Softmax", [answer], ["probabilities"], axis=1)]
        outputs = [("logits", ["batch", "classes"]), ("probabilities", ["batch", "classes"])]
        if answer != "logits":
            nodes.append(helper.make_node("Identity", [answer], ["logits"]))
    named.graph.node.extend(nodes)
    del named.graph.output[:]
    named.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name, axes in outputs)
    return named


class GraphForm:
    """The graph is its own reference: its checks say that it runs the same in a fresh process, at any batch size."""

    weights_file: str | None = None

    def __init__(self, model: onnx.ModelProto) -> None:
        self._bytes = model.SerializeToString(deterministic=True)
        self._inputs = inputs_of(model)
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
        return [spec.name for spec in self._inputs]

    def answer(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        names = [spec.name for spec in self._inputs]
        parts = [
            self._runner.run({n: np.asarray(x[i : i + _ROWS]) for n, x in zip(names, inputs, strict=True)})
            for i in range(0, len(inputs[0]), _ROWS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def write(self, folder: Path, signature: Signature, example: Sequence[np.ndarray]) -> Check:
        (folder / GRAPH).write_bytes(self._bytes)
        return Check.passed("export", "imported as a graph")
