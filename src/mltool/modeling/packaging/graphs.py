"""What is done to every ONNX graph, wherever it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx

BATCH_AXIS = "batch"


def rename(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    """Rename values, in nested graphs too; a name means one value in all of them."""
    for inner in _with_nested(graph):
        for node in inner.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
        for value in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            value.name = new.get(value.name, value.name)


def without_paths(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what exporters write about this machine (stack traces with absolute paths), and name the batch axis."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    symbol = axes[0].dim_param if axes else ""
    _clear(model)
    for graph in (inner for outer in (model.graph, *model.functions) for inner in _with_nested(outer)):
        values = [*graph.value_info]
        tensors: list[onnx.TensorProto] = []
        if isinstance(graph, onnx.GraphProto):  # a function has names only
            values += [*graph.input, *graph.output]
            tensors += graph.initializer
        for part in (graph, *graph.node, *values, *tensors):
            _clear(part)
        for axis in (axis for value in values for axis in value.type.tensor_type.shape.dim):
            if symbol and axis.dim_param == symbol:
                axis.dim_param = BATCH_AXIS
    return model


def _clear(part: Any) -> None:
    part.doc_string = ""
    del part.metadata_props[:]


def _with_nested(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """A graph or a function, and all graphs inside it, such as the two branches of an `If`."""
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            yield from _with_nested(inner)
